"""Confines programs: bubblewrap, else Landlock, else nothing and loudly."""

from interlock.sandbox.confining import confined
from interlock.sandbox.places import needed
from interlock.sandbox.probing import prospect
from interlock.sandbox.terms import Confinement, Means, Prospect

__all__ = ["Confinement", "Means", "Prospect", "confined", "needed", "prospect"]
