"""Whether a server still offers the tools that were accepted; pure functions, the store keeps what was accepted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from interlock.model import ToolDefinition


@dataclass(frozen=True)
class PinReport:
    """Tool names by what became of them; a renamed tool is one missing and one new.

    Attributes:
        accepted: unchanged since they were accepted.
        new: never accepted.
        changed: accepted in another form.
        missing: accepted, and no longer offered.
    """

    accepted: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether everything offered is as it was accepted, and nothing is gone."""
        return not (self.new or self.changed or self.missing)


def compare(accepted: Mapping[str, str], definitions: Iterable[ToolDefinition]) -> PinReport:
    """Compare what one server offers with the pins (`name -> sha256`) that were accepted for it."""
    offered = {definition.ref.name: definition.pin_sha256 for definition in definitions}
    known = offered.keys() & accepted.keys()
    return PinReport(
        accepted=tuple(sorted(name for name in known if offered[name] == accepted[name])),
        new=tuple(sorted(offered.keys() - accepted.keys())),
        changed=tuple(sorted(name for name in known if offered[name] != accepted[name])),
        missing=tuple(sorted(accepted.keys() - offered.keys())),
    )
