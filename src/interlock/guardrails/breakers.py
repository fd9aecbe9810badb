"""The circuit breaker of a tool, one for all workers: the state machine of `resilience` on rows in Postgres.

Ask `admit` right before a call is started, not before a person is asked: whoever is admitted as the probe must tell
how it ended, by `succeeded`, `failed` or `given_up`. `look` claims nothing; it is for choosing between tools.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from interlock.config import BreakerConfig
from interlock.model import BreakerPhase, ToolLost, ToolRef, ToolTimeout, ToolUnavailable
from interlock.observability import redact
from interlock.resilience import Admission, BreakerRule, breaking
from interlock.store import BreakerRow, Transaction, breaker_rows

PROBE_PATIENCE_S = 180.0  # above what a call may take by default, with the start of its server
MARGIN_S = 30.0


@dataclass(frozen=True)
class BreakerView:
    """One breaker for people and metrics.

    Attributes:
        key: `tool:server.name`.
        failures: in a row.
        retry_after_s: seconds until the next call may try.
        reason: of the last failure.
    """

    key: str
    phase: BreakerPhase
    failures: int
    retry_after_s: float
    reason: str


def breaker_key(ref: ToolRef) -> str:
    """The name of a tool's breaker."""
    return f"tool:{ref}"


def counts(error: BaseException) -> bool:
    """Whether it speaks against the tool: it died, was silent or is not there. An answer, even a bad one, does not."""
    return isinstance(error, ToolLost | ToolTimeout | ToolUnavailable)


async def admit(tx: Transaction, key: str, patience_s: float = PROBE_PATIENCE_S) -> Admission:
    """Whether a call may be made now; one select while the breaker is closed.

    Args:
        tx: when it would try, the claim counts from its commit.
        key: see `breaker_key`.
        patience_s: how long the call may take at most; a probe that has not ended by then is given up.
    """
    seen = await breaker_rows.find(tx, key)
    if seen is None:
        return Admission(True)
    admission = breaking.look(seen.state, seen.now)
    if not admission.probe or await breaker_rows.claim_probe(tx, seen, patience_s + MARGIN_S):
        return admission
    present = await breaker_rows.find(tx, key)
    if present is None:  # somebody else's probe has closed it
        return Admission(True)
    return replace(breaking.look(present.state, present.now), allowed=False, probe=False)


async def look(tx: Transaction, keys: Iterable[str]) -> dict[str, Admission]:
    """What calls that ask now would be told; claims nothing, one select for all of them."""
    wanted = list(keys)
    rows = await breaker_rows.find_all(tx, wanted)
    return {key: breaking.look(rows[key].state, rows[key].now) if key in rows else Admission(True) for key in wanted}


async def succeeded(tx: Transaction, key: str, *, probe: bool = False) -> bool:
    """The tool answered; True when that closed or cleared its breaker. Writes nothing when there is none."""
    return await breaker_rows.close(tx, key, even_open=probe)


async def failed(tx: Transaction, key: str, config: BreakerConfig, reason: str, *, probe: bool = False) -> Admission:
    """The tool failed in a way that `counts`; what the next call is told. `reason` loses its secrets here."""
    row = await breaker_rows.locked(tx, key)
    rule = BreakerRule(config.failures, config.cooldown)
    after = breaking.failed(row.state, rule, row.now, redact(reason), probe=probe)
    await breaker_rows.keep(tx, key, after)
    return breaking.look(after, row.now)


async def given_up(tx: Transaction, key: str) -> None:
    """The call that was admitted as the probe was not sent: the next one may be it."""
    await breaker_rows.give_up_probe(tx, key)


async def reset(tx: Transaction, key: str) -> bool:
    """A person closes it; False when it was closed and healthy."""
    return await breaker_rows.close(tx, key, even_open=True)


async def listing(tx: Transaction, prefix: str = "tool:") -> tuple[BreakerView, ...]:
    """All breakers that remember a failure, by key."""
    return tuple(_view(row) for row in await breaker_rows.listing(tx, prefix))


def _view(row: BreakerRow) -> BreakerView:
    state = row.state
    told = breaking.look(state, row.now)
    return BreakerView(row.key, breaking.phase(state, row.now), state.failures, told.retry_after_s, state.reason)
