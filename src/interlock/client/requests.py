"""Every request of the API, built once for both clients; nothing here sends anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypedDict, TypeVar
from urllib.parse import quote

from interlock.client.shapes import (
    Approval,
    Call,
    Chain,
    Delivered,
    Halted,
    Status,
    Submitted,
    Task,
    TaskPage,
    TaskStory,
    Token,
    Undoing,
)
from interlock.model import UserError

API = "/api/v1"
SLOW_S = 150.0  # for what may have to start a tool server, or reads the whole audit

Answer = TypeVar("Answer")


class Options(TypedDict, total=False):
    """What a submission may add to agent and text."""

    inputs: dict[str, Any]
    priority: int
    dedupe_key: str
    delay: str | float
    at: str
    max_duration: str | float
    checks: list[dict[str, Any]]


class Items(TypedDict):
    """A list, as the API wraps it."""

    items: list[Any]


@dataclass(frozen=True)
class Request(Generic[Answer]):
    """A request whose answer has this type.

    Attributes:
        method: of HTTP.
        path: below the server's URL, quoted.
        query: without what is None.
        body: as JSON; None sends none.
        content: a body as it is, instead.
        headers: more than those of every request.
        timeout_s: for the answer; None means the client's own.
    """

    method: Literal["GET", "POST"]
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    timeout_s: float | None = None
    content: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def _path(*parts: str) -> str:
    for part in parts:
        if not part or part in (".", ".."):
            raise UserError(f"'{part}' is no id and no name")
    return "/".join([API, *(quote(part, safe="") for part in parts)])


def _query(**values: str | float | None) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }


def submit(text: str, agent: str, options: Options) -> Request[Submitted]:
    """Take a task in."""
    given = {name: value for name, value in options.items() if value is not None}
    return Request("POST", _path("tasks"), body={"text": text, "agent": agent, **given})


def tasks(state: str | None, agent: str | None, cursor: str | None, limit: int) -> Request[TaskPage]:
    """A page of tasks."""
    return Request("GET", _path("tasks"), _query(state=state, agent=agent, cursor=cursor, limit=limit))


def task(task_id: str) -> Request[TaskStory]:
    """A task."""
    return Request("GET", _path("tasks", task_id))


def task_calls(task_id: str) -> Request[Items]:
    """The calls of a task."""
    return Request("GET", _path("tasks", task_id, "calls"))


def events(task_id: str) -> Request[str]:
    """What happens to a task, as a stream."""
    return Request("GET", _path("tasks", task_id, "events"))


def export_task(task_id: str, run: int | None) -> Request[str]:
    """The runs of a task, a line at a time."""
    return Request("GET", _path("tasks", task_id, "export"), _query(run=run), timeout_s=SLOW_S)


def cancel(task_id: str) -> Request[Task]:
    """Cancel a task."""
    return Request("POST", _path("tasks", task_id, "cancel"))


def retry(task_id: str, reason: str) -> Request[Submitted]:
    """Try a task again."""
    return Request("POST", _path("tasks", task_id, "retry"), body={"reason": reason})


def resolve(task_id: str, resolution: str, reason: str, text: str) -> Request[Task]:
    """Decide about an escalated task."""
    body = {"resolution": resolution, "reason": reason, **({"text": text} if text else {})}
    return Request("POST", _path("tasks", task_id, "resolve"), body=body)


def undo(kind: Literal["tasks", "calls"], target: str, dry_run: bool) -> Request[Undoing]:
    """Take effects back."""
    return Request("POST", _path(kind, target, "undo"), _query(dry_run=dry_run))


def approvals(everything: bool) -> Request[Items]:
    """Questions to people."""
    return Request("GET", _path("approvals"), _query(all=everything))


def approval(approval_id: str) -> Request[Approval]:
    """One question."""
    return Request("GET", _path("approvals", approval_id))


def decide(approval_id: str, decision: str, binding_sha256: str, reason: str | None) -> Request[Approval]:
    """Answer a question."""
    body: dict[str, Any] = {"decision": decision, "binding_sha256": binding_sha256}
    if reason is not None:
        body["reason"] = reason
    return Request("POST", _path("approvals", approval_id, "decision"), body=body)


def call(call_id: str) -> Request[Call]:
    """One call."""
    return Request("GET", _path("calls", call_id))


def resolve_call(call_id: str, outcome: str, reason: str) -> Request[Call]:
    """Say whether a call in doubt took effect."""
    return Request("POST", _path("calls", call_id, "resolve"), body={"outcome": outcome, "reason": reason})


def which(text: str) -> Request[dict[str, str]]:
    """Whether an id is a task's or a call's."""
    return Request("GET", _path("ids", text))


def audit(task_id: str | None, limit: int) -> Request[Items]:
    """Records of the audit."""
    return Request("GET", _path("audit"), _query(task=task_id, limit=limit))


def verify_audit(expected: tuple[int, str] | None) -> Request[Chain]:
    """Recompute the chain."""
    number, link = expected or (None, None)
    return Request("GET", _path("audit", "verify"), _query(number=number, link=link), timeout_s=SLOW_S)


def export_audit() -> Request[str]:
    """The chain, a line at a time."""
    return Request("GET", _path("audit", "export"), timeout_s=SLOW_S)


def halt(scope: str, reason: str, stop: bool) -> Request[Halted]:
    """Halt a scope."""
    return Request("POST", _path("halt"), body={"scope": scope, "reason": reason, **({"stop": True} if stop else {})})


def resume(scope: str) -> Request[Halted]:
    """End a halt."""
    return Request("POST", _path("resume"), body={"scope": scope})


def schedules() -> Request[Items]:
    """The schedules."""
    return Request("GET", _path("schedules"))


def steer_schedule(name: str, verb: str) -> Request[dict[str, Any]]:
    """Pause, resume or trigger one."""
    return Request("POST", _path("schedules", name, verb))


def triggers() -> Request[Items]:
    """The triggers."""
    return Request("GET", _path("triggers"))


def deliver(name: str, body: bytes, headers: Mapping[str, str]) -> Request[Delivered]:
    """Send a trigger what another program would."""
    given = {"Content-Type": "application/json", **headers}
    return Request("POST", _path("triggers", name), content=body, headers=given)


def agents() -> Request[Items]:
    """The agents."""
    return Request("GET", _path("agents"))


def agent(name: str) -> Request[dict[str, Any]]:
    """One agent."""
    return Request("GET", _path("agents", name))


def tools(server: str | None) -> Request[Items]:
    """The tools."""
    return Request("GET", _path("tools"), _query(server=server), timeout_s=SLOW_S)


def tool(name: str) -> Request[dict[str, Any]]:
    """One tool or server."""
    return Request("GET", _path("tools", name), timeout_s=SLOW_S)


def pin(name: str, seen: Mapping[str, str] | None = None) -> Request[dict[str, list[str]]]:
    """Accept a definition."""
    body = None if seen is None else {"seen": dict(seen)}
    return Request("POST", _path("tools", name, "pin"), body=body, timeout_s=SLOW_S)


def restart_tools(server: str) -> Request[dict[str, Any]]:
    """Start a tool server anew."""
    return Request("POST", _path("tools", server, "restart"), timeout_s=SLOW_S)


def artifact(call_id: str, sha256: str) -> Request[bytes]:
    """The bytes of an artifact."""
    return Request("GET", _path("calls", call_id, "artifacts", sha256), timeout_s=SLOW_S)


def create_token(agent: str, expires: str | float | None, task_id: str | None) -> Request[Token]:
    """A token for an agent outside."""
    given = {"agent": agent, "expires": expires, "task": task_id}
    return Request("POST", _path("tokens"), body={name: value for name, value in given.items() if value is not None})


def tokens() -> Request[Items]:
    """The tokens of agents outside."""
    return Request("GET", _path("tokens"))


def revoke_token(token_id: str) -> Request[Token]:
    """End a token."""
    return Request("POST", _path("tokens", token_id, "revoke"))


def status() -> Request[Status]:
    """Is it healthy."""
    return Request("GET", _path("status"))


def shutdown() -> Request[dict[str, bool]]:
    """Stop the server."""
    return Request("POST", _path("shutdown"))


def ready() -> Request[dict[str, Any]]:
    """Does the server answer, and its database."""
    return Request("GET", "/readyz", timeout_s=10.0)


def metrics() -> Request[str]:
    """The text that Prometheus scrapes."""
    return Request("GET", "/metrics")
