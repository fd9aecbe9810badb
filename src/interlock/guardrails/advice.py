"""What a person should look at before a definition is accepted; loads its patterns when it is first asked."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from interlock.model import ToolDefinition, ToolRef

if TYPE_CHECKING:
    from interlock.guardrails.scan import Finding


def advice(definition: ToolDefinition, others: Collection[ToolRef] = ()) -> "tuple[Finding, ...]":
    """Oddities in the texts of a definition; advice only, and slow enough (3 to 12 ms) to belong in a thread.

    Args:
        definition: as its server lists it.
        others: the tools of all servers; those of other servers must not be named in it.
    """
    from interlock.guardrails.scan import findings

    return findings(definition, others)
