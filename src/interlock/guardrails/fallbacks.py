"""When a tool is not there, another one that the operator declared as equivalent may stand in for it.

Never one of a higher class, never one by which data could leave where it could not before, and never for a call that
may have reached the first tool and changed something: that would be doing it twice. The alternative is a call of its
own in everything else: granted, pinned, checked, judged by the policy, and recorded.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interlock.config import FallbackConfig, ToolServerConfig
from interlock.guardrails.degraded import Trouble
from interlock.guardrails.expect import fill
from interlock.model import ActionClass, ConfigError, Decision, ToolRef, UserError

_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Alternative:
    """A declared fallback with the arguments that it would be called with.

    Attributes:
        gap: why there are no such arguments; then `args` are not to be used.
    """

    ref: ToolRef
    args: dict[str, Any]
    gap: str | None = None


@dataclass(frozen=True)
class Failing:
    """The call whose tool is not there, as the gate judged it."""

    ref: ToolRef
    action_class: ActionClass
    egress: bool
    decision: Decision
    trouble: Trouble


@dataclass(frozen=True)
class Candidate:
    """An alternative as the gate judged it, for these very arguments.

    Attributes:
        obstacle: why the gate would not make the call now, in a few words: not granted, not pinned, arguments that do
            not fit, not ready, breaker open, rate limit; None when it would.
    """

    ref: ToolRef
    args: dict[str, Any]
    action_class: ActionClass
    egress: bool
    decision: Decision
    obstacle: str | None = None


@dataclass(frozen=True)
class Choice:
    """What stands in, if anything does.

    Attributes:
        passed_over: the others that were looked at before, and why not.
        sentence: for the audit and the model.
    """

    taken: Candidate | None
    passed_over: tuple[tuple[ToolRef, str], ...]
    sentence: str


def alternatives(fallbacks: Sequence[FallbackConfig], args: Mapping[str, Any]) -> tuple[Alternative, ...]:
    """The declared fallbacks of a tool with the arguments of this call put in, in their order.

    An argument that is wholly one of the call's (`{name}`) is left out when the call does not have it; inside a text
    it can't be, so then there is a gap.

    Raises:
        UserError: a fallback is no tool's name; `refuse_unknown_fallbacks` finds that before anything starts.
    """
    return tuple(_alternative(fallback, args) for fallback in fallbacks)


def choose(failing: Failing, candidates: Sequence[Candidate]) -> Choice:
    """The first candidate that may stand in; those that need no person go before those that do.

    One that needs a person is only taken where the call itself did.
    """
    if failing.trouble.sent and failing.action_class is not ActionClass.READ:
        said = f"nothing stands in for {failing.ref}: the call may have reached it"
        return Choice(None, (), said)
    passed = [(candidate.ref, why) for candidate in candidates if (why := _against(failing, candidate)) is not None]
    fitting = [candidate for candidate in candidates if _against(failing, candidate) is None]
    fitting.sort(key=lambda candidate: candidate.decision.rank)  # stable: else in the declared order
    if not fitting:
        said = "; ".join(f"{ref}: {why}" for ref, why in passed) or "none is declared"
        return Choice(None, tuple(passed), f"nothing stands in for {failing.ref} ({failing.trouble}): {said}")
    taken = fitting[0]
    other = f"; not {', '.join(f'{ref} ({why})' for ref, why in passed)}" if passed else ""
    kept = f"class {taken.action_class} (of {failing.action_class}), egress {str(taken.egress).lower()}"
    return Choice(taken, tuple(passed), f"{taken.ref} stands in for {failing.ref} ({failing.trouble}): {kept}{other}")


def refuse_unknown_fallbacks(servers: Mapping[str, ToolServerConfig]) -> None:
    """Check that every fallback names a configured server, and not the very tool.

    Raises:
        ConfigError: one does not.
    """
    for name, server in servers.items():
        for tool, contract in server.contracts.items():
            for index, fallback in enumerate(contract.fallbacks):
                where = f"tools.{name}.contracts.{tool}.fallbacks[{index}]"
                try:
                    ref = ToolRef.parse(fallback.tool)
                except UserError as error:
                    raise ConfigError(f"{where}: {error.message}") from error
                if ref.server not in servers:
                    raise ConfigError(f"{where}: no tool server is named '{ref.server}'; expected one of `tools:`")
                if ref == ToolRef(name, tool):
                    raise ConfigError(f"{where}: {ref} can't stand in for itself; expected another tool")


def _alternative(fallback: FallbackConfig, args: Mapping[str, Any]) -> Alternative:
    ref = ToolRef.parse(fallback.tool)
    if not fallback.args:
        return Alternative(ref, dict(args))
    template = {key: value for key, value in fallback.args.items() if not _absent(value, args)}
    missing = sorted(_named(template) - set(args))
    if missing:
        return Alternative(ref, {}, f"the call has no argument '{missing[0]}'")
    filled: dict[str, Any] = fill(template, args)
    return Alternative(ref, filled)


def _absent(value: Any, args: Mapping[str, Any]) -> bool:
    whole = _PLACE.fullmatch(value) if isinstance(value, str) else None
    return whole is not None and whole[1] not in args


def _named(template: Any) -> set[str]:
    """The arguments of the call that a template speaks of."""
    if isinstance(template, Mapping):
        return {name for value in template.values() for name in _named(value)}
    if isinstance(template, list):
        return {name for value in template for name in _named(value)}
    return set(_PLACE.findall(template)) if isinstance(template, str) else set()


def _against(failing: Failing, candidate: Candidate) -> str | None:
    """Why a candidate may not stand in, or None."""
    if candidate.ref == failing.ref:
        return "it is the same tool"
    if candidate.action_class.rank > failing.action_class.rank:
        return f"it is {candidate.action_class}, and the call is {failing.action_class}"
    if candidate.egress and not failing.egress:
        return "data could leave by it"
    if candidate.decision is Decision.DENY:
        return "the policy denies it"
    if candidate.obstacle is not None:
        return candidate.obstacle
    if candidate.decision.rank > failing.decision.rank:
        return "it would need a person, and the call did not"
    return None
