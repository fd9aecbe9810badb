"""One call before the gate: what is known of it, filled in stage by stage."""

import datetime
from dataclasses import dataclass, field
from typing import Any

from interlock.config import AgentConfig
from interlock.model import (
    ActionClass,
    Call,
    Decision,
    Lease,
    RequestTurn,
    Task,
    TaskKind,
    ToolContract,
    ToolDefinition,
    ToolRef,
    canonical_sha256,
)
from interlock.store import CallFacts


@dataclass(frozen=True)
class Subject:
    """On whose behalf a call is made.

    Attributes:
        lease: the hold of the run; every write checks it.
        agent: what is configured of the agent.
        request: the trusted text and the untrusted inputs.
        read_only: a verifier: anything but a read is denied.
    """

    lease: Lease
    task: Task
    agent: AgentConfig
    request: RequestTurn
    read_only: bool = False

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.task.agent

    @property
    def checks_result(self) -> bool:
        """Whether it is a check of a result: people are asked by a check of that kind, or not at all."""
        return self.read_only and self.task.kind is TaskKind.AGENT

    @property
    def actor(self) -> str:
        """Who the audit says it was."""
        return f"verifier:{self.name}" if self.read_only else f"agent:{self.name}"

    @property
    def ids(self) -> dict[str, Any]:
        """Task and run for the audit."""
        return {"task": self.lease.task_id, "run": self.lease.run_no, "segment": self.lease.segment_no}


@dataclass(frozen=True)
class Staged:
    """What a call would do, measured without doing it.

    Attributes:
        effect: files and diff; shape as the workspace server's `preview`.
        state_sha256: the state of what it touches, as it is now.
        after_sha256: the state that it would leave.
        touched: the paths that both states are about.
    """

    effect: dict[str, Any]
    state_sha256: str
    after_sha256: str | None
    touched: tuple[str, ...]

    @property
    def files(self) -> int:
        """How many files it would change."""
        return int(self.effect.get("files_changed", 0))


@dataclass(frozen=True)
class Admission:
    """A call may be made now.

    Attributes:
        probe: it is the one that tries whether a tool works again; how it ended must be told.
        noted: its breaker remembers a failure.
        missed_at: a result was looked for that could be used again, and there was none at that moment.
    """

    probe: bool = False
    noted: bool = False
    missed_at: datetime.datetime | None = None


@dataclass(frozen=True)
class Case:
    """A call on its way through the gate; each stage returns a fuller one."""

    subject: Subject
    call: Call
    ref: ToolRef
    definition: ToolDefinition
    contract: ToolContract
    action_class: ActionClass = ActionClass.DESTRUCTIVE
    egress: bool = True
    plan_entry: str | None = None
    tainted: bool = False
    decision: Decision = Decision.DENY
    rules: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    staged: Staged | None = None
    timeout_s: float = 60.0
    trusted_hints: bool = False
    facts: CallFacts = field(default_factory=CallFacts)
    stands_in: bool = False
    unstaged: str | None = None
    admission: Admission = field(default_factory=Admission)

    @property
    def reversible(self) -> bool:
        """Whether its effect can be taken back by snapshot or by a declared inverse."""
        return self.contract.snapshot or self.contract.inverse is not None

    @property
    def idempotency_key(self) -> str:
        """The key of the call, the same on every try: task, run and our own number."""
        key = f"{self.call.task_id}:{self.call.run_no}:{self.call.call_no}"
        return f"{key}:{self.ref}" if self.stands_in else key

    def binding(self, policy_sha256: str, plan_sha256: str) -> dict[str, Any]:
        """What an approval of this call is bound to; shape `{tool, pin, args, policy, plan, effect, state}`."""
        return {
            "tool": str(self.ref),
            "pin_sha256": self.definition.pin_sha256,
            "args_sha256": self.call.args_sha256,
            "class": self.action_class,
            "policy_sha256": policy_sha256,
            "plan_sha256": plan_sha256,
            "effect_sha256": canonical_sha256(self.staged.effect) if self.staged else None,
            "state_sha256": self.staged.state_sha256 if self.staged else None,
        }
