"""What a tool does, from its definition alone: name, description, parameters and hints. Pure; no I/O.

The result is a proposal. It becomes effective when a person accepts the definition of the tool, or declares a contract.
"""

from interlock.guardrails.classes.opinion import Opinion, opinion

__all__ = ["Opinion", "opinion"]
