"""The key of what is found out once for each definition of a tool, and kept in a cache with a bound."""

from dataclasses import dataclass

from interlock.model import ToolDefinition


@dataclass(frozen=True, eq=False)
class Pinned:
    """A definition that equals another one of its server if their pins do."""

    definition: ToolDefinition

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pinned) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[str, str]:
        return self.definition.ref.server, self.definition.pin_sha256
