"""The triggers of a project: deliveries come in, are proven, read, and become tasks; and what people see of it.

Nothing of a delivery is looked at before it was proven, and one that is refused writes nothing: refusals are counted
here, and told to the metrics and the audit once a second.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from interlock import orchestrator
from interlock.app.proofs import Fault, Proof, Sent, check_proof, key_of, sign
from interlock.app.views import when
from interlock.audit import record
from interlock.config import Clock, Project, Rate, Secrets, TriggerConfig, new_id
from interlock.model import (
    AuditEntry,
    ConfigError,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
    UserError,
)
from interlock.observability import count_trigger, trigger_counts
from interlock.store import Database, Transaction, rate_rows, task_rows, trigger_rows

log = logging.getLogger("interlock.triggers")
UNKNOWN = "not_configured"  # no trigger can have that name
TELL_EVERY_S = 1.0
TURN_TIMEOUT_S = 15.0
TOLD: Final = Rate(30.0, 3600.0, 10.0)  # audit records of refusals, for each trigger and over all processes
OUTCOMES: Final = ("fired", "duplicate", "ignored", "unauthorized", "malformed", "rate_limited", "backlog_full")
HINT = "interlock triggers list"

Reader = Callable[[bytes], Any]


def path_of(name: str) -> str:
    """Where deliveries of a trigger go."""
    return f"/api/v1/triggers/{name}"


@dataclass
class Triggers:
    """The triggers that are configured, with what became of them; one for each process, which has it as long as it runs.

    Attributes:
        secrets: where the secrets of the triggers are looked up, each time.
    """

    database: Database
    project: Project
    secrets: Secrets = field(repr=False)
    _refused: dict[tuple[str, str, str], int] = field(default_factory=dict, repr=False)
    _turns: dict[str, asyncio.Lock] = field(default_factory=dict, repr=False)

    # ---- deliveries ----------------------------------------------------------------------------

    async def receive(self, name: str, sent: Sent, read: Reader) -> dict[str, Any]:
        """Take a delivery in; shape `{trigger, outcome, tasks: [{id, state, created}]}`.

        Args:
            name: of the trigger.
            sent: what came.
            read: makes JSON of a body, or raises UserError.

        Raises:
            Unauthorized: it is not proven, or there is no such trigger: it is never told which.
            UserError: it is proven, but can't be read; the message names the field.
            RateLimited: it, or a part of it, is to come again later.
            BacklogFull: the same, because too many tasks of the agent wait.
            Unavailable: the database does not answer, or others are in the way for too long.
        """
        config, proof = self._proven(name, sent)
        try:
            events = orchestrator.events_of(config, read(sent.body), proof.delivery_id)
        except UserError:
            self._note(name, "malformed", "")
            raise
        if not events:
            self._note(name, "ignored", "")
            return {"trigger": name, "outcome": "ignored", "tasks": []}
        taken = await self._take_in(name, events)
        if taken.refusal is not None:
            self._note(name, "rate_limited" if isinstance(taken.refusal, RateLimited) else "backlog_full", "")
            raise taken.refusal
        fired = any(task.created for task in taken.tasks)
        tasks = [{"id": task.task_id, "state": task.state, "created": task.created} for task in taken.tasks]
        return {"trigger": name, "outcome": "fired" if fired else "duplicate", "tasks": tasks}

    async def _take_in(self, name: str, events: tuple[orchestrator.Event, ...]) -> orchestrator.TakenIn:
        turn = self._turns.setdefault(name, asyncio.Lock())  # so that those who wait hold no connection
        try:
            async with asyncio.timeout(TURN_TIMEOUT_S), turn:
                return await orchestrator.take_delivery(self.database, self.project, name, events)
        except TimeoutError as error:
            raise Unavailable(f"the trigger '{name}' is busy with other deliveries", hint="send it again") from error

    def _proven(self, name: str, sent: Sent) -> tuple[TriggerConfig, Proof]:
        configured = self.project.config.triggers
        config = configured.get(name)
        # one that is not there takes the way of one that is, so that time does not tell
        found = self._check(config or next(iter(configured.values()), None), sent)
        if config is None:
            self._refuse(UNKNOWN, Fault.UNKNOWN)
        if isinstance(found, Fault):
            self._refuse(name, found)
        return config, found

    def _check(self, config: TriggerConfig | None, sent: Sent) -> Proof | Fault:
        if config is None:
            return Fault.UNKNOWN
        try:
            key = key_of(config, self.secrets)
        except ConfigError:
            return Fault.NO_SECRET
        return check_proof(config, key, sent, self.database.clock.now().timestamp())

    def _refuse(self, name: str, fault: Fault) -> NoReturn:
        self._note(name, "unauthorized", fault)
        raise Unauthorized(
            "no trigger takes this delivery: the name in the path, or the proof in the headers, is not right",
            hint=f"on the server: {HINT}",
        )

    # ---- what is refused -----------------------------------------------------------------------

    def _note(self, name: str, outcome: str, why: str) -> None:
        key = (name, outcome, why)  # of configured names and our own words, so there are only so many
        self._refused[key] = self._refused.get(key, 0) + 1

    async def watch(self) -> None:
        """Tell of refusals, second by second, until cancelled."""
        try:
            while True:
                await asyncio.sleep(TELL_EVERY_S)
                await self.tell()
        finally:
            await self.tell()

    async def tell(self) -> None:
        """Bring what was refused since the last time into the metrics and the audit; it is kept if that can't be done."""
        told, self._refused = self._refused, {}
        if not told:
            return
        try:
            async with self.database.transaction() as tx:
                for name in sorted({key[0] for key in told}):
                    await _tell_one(tx, name, {key[1:]: number for key, number in told.items() if key[0] == name})
        except Unavailable as error:
            log.warning("triggers.untold error=%s", error.message)
            for key, number in told.items():
                self._refused[key] = self._refused.get(key, 0) + number

    # ---- what people see -----------------------------------------------------------------------

    async def listing(self) -> list[dict[str, Any]]:
        """All of them, in the order of the configuration; never their secrets.

        Shape `{name, kind, agent, text, path, signature, rate, problem, last_fired, last_task, last_state, counts}`.
        """
        await self.tell()
        async with self.database.transaction() as tx:
            rows, counts = await trigger_rows.listing(tx), await trigger_counts(tx)
            last = {
                name: await task_rows.get(tx, row.last_task) for name, row in rows.items() if row.last_task is not None
            }
        problems = dict(self.problems())
        found = []
        for name, config in self.project.config.triggers.items():
            row = rows.get(name)
            found.append(
                {
                    "name": name,
                    "kind": config.kind,
                    "agent": config.agent,
                    "text": config.text,
                    "path": path_of(name),
                    "signature": config.signature,
                    "rate": config.rate,
                    "problem": problems.get(name),
                    "last_fired": None if row is None else when(row.last_fired),
                    "last_task": None if row is None else row.last_task,
                    "last_state": last[name].state if name in last else None,
                    "counts": {outcome: counts.get(name, {}).get(outcome, 0) for outcome in OUTCOMES},
                }
            )
        return found

    def problems(self) -> list[tuple[str, str]]:
        """Triggers whose secret can't be used, and why."""
        found = []
        for name, config in self.project.config.triggers.items():
            try:
                key_of(config, self.secrets)
            except ConfigError as error:
                found.append((name, error.message))
        return found


async def _tell_one(tx: Transaction, name: str, refused: dict[tuple[str, str], int]) -> None:
    for outcome in sorted({key[0] for key in refused}):
        await count_trigger(tx, name, outcome, sum(number for key, number in refused.items() if key[0] == outcome))
    whys = {": ".join(filter(None, key)): number for key, number in refused.items() if key[0] != "ignored"}
    if not whys:
        return
    if await rate_rows.take(tx, f"trigger-refused:{name}", TOLD) is not None:
        await trigger_rows.leave_untold(tx, name, sum(whys.values()))
        return
    detail = {"trigger": name, "refused": whys, "untold_before": await trigger_rows.take_untold(tx, name)}
    await record(tx, AuditEntry("trigger.refused", f"trigger:{name}", {}, detail))


def signed_headers(project: Project, secrets: Secrets, name: str, body: bytes, clock: Clock) -> dict[str, str]:
    """The headers with which a new delivery of this body proves itself.

    Raises:
        NotFound: no trigger has that name.
        ConfigError: its secret can't be used.
    """
    config = project.config.triggers.get(name)
    if config is None:
        known = ", ".join(sorted(project.config.triggers)) or "none"
        raise NotFound(f"there is no trigger '{name[:100]}'; configured are: {known}", hint=HINT)
    return sign(config, key_of(config, secrets), body, clock.now().timestamp(), f"msg_{new_id()}")
