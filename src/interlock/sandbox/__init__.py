"""Confines programs: bubblewrap, else Landlock, else nothing and loudly."""

__all__: list[str] = []
