"""Tools as data: their names, definitions, classes, contracts and results."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

from interlock.model.canonical import canonical_sha256
from interlock.model.errors import UserError

MODEL_NAME_LIMIT = 64  # the longest function name that every provider takes


class ActionClass(StrEnum):
    """How much harm a call can do; `egress` is a separate axis."""

    READ = "read"
    WRITE = "write"
    DESTRUCTIVE = "destructive"

    @property
    def rank(self) -> int:
        """0 for read, 1 for write, 2 for destructive."""
        return list(ActionClass).index(self)


@dataclass(frozen=True, order=True)
class ToolRef:
    """A tool's full name, `server.name`, split at the first dot."""

    server: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `server.name`.

        Raises:
            UserError: there is no dot, or a side of it is empty.
        """
        server, dot, name = text.partition(".")
        if not (dot and server and name):
            raise UserError(f"'{text}' is no tool: expected server.name, as in workspace.read")
        return cls(server, name)

    def __str__(self) -> str:
        return f"{self.server}.{self.name}"

    @property
    def model_name(self) -> str:
        """The name a model sees: `server__name`, of letters, digits, `_` and `-`, at most 64 characters.

        One that does not fit is made to, and ends in a hash of the whole, so that no two tools ever share a name.
        """
        plain = f"{self.server}__{self.name}"
        fitting = re.sub(r"[^A-Za-z0-9_-]", "_", plain)
        if fitting == plain and len(plain) <= MODEL_NAME_LIMIT:
            return plain
        return f"{fitting[: MODEL_NAME_LIMIT - 9]}_{canonical_sha256(plain)[:8]}"


@dataclass(frozen=True)
class ToolDefinition:
    """One tool as its server lists it; `internal` ones belong to the gate and are never shown to a model."""

    ref: ToolRef
    title: str | None
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, Any] = field(default_factory=dict)
    internal: bool = False

    @cached_property
    def pin_sha256(self) -> str:
        """Hash over everything a model or the gate relies on: a change of it is another tool."""
        return canonical_sha256(
            {
                "name": self.ref.name,
                "title": self.title,
                "description": self.description,
                "inputSchema": self.input_schema,
                "outputSchema": self.output_schema,
                "annotations": self.annotations,
            }
        )


@dataclass(frozen=True)
class ToolContract:
    """What the operator (or a built-in server) declares of a tool; all of it optional, nothing of it a hint.

    Attributes:
        action_class: read, write or destructive; None leaves it to the classifier.
        egress: whether data can leave the machine; None leaves it to the classifier.
        control: arguments that decide where or on what the call acts (path, recipient, id, amount).
        paths: arguments that name files, for measuring and snapshots.
        output: `trusted` or `untrusted`.
        idempotent: a repeat with the same idempotency key has no further effect.
        snapshot: the server can preview, capture and restore what this tool changes.
        verify: how to find out whether a call took effect: `{tool, args, expect}`, see docs/guardrails.md.
        inverse: a call that takes it back: `{tool, args}`.
        preview: the server can say what this tool would do, without doing it; it may not be able to go back.
        dry_run: arguments that make the tool itself say so.
        rate: calls by everyone together, such as `60/m burst 10`.
        cache_s: how long a result may be used again, in seconds.
        fallbacks: tools that may stand in, in order, each with the template of its arguments.
    """

    action_class: ActionClass | None = None
    egress: bool | None = None
    control: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    output: str = "untrusted"
    idempotent: bool = False
    snapshot: bool = False
    verify: dict[str, Any] | None = None
    inverse: dict[str, Any] | None = None
    preview: bool = False
    dry_run: dict[str, Any] | None = None
    rate: str | None = None
    cache_s: float | None = None
    fallbacks: tuple[tuple[str, dict[str, Any]], ...] = ()


@dataclass(frozen=True)
class Attachment:
    """What a tool answered besides text: an image, a sound, a file."""

    mime: str
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class ToolResult:
    """What a tool answered: `text` is what a model reads, `structured` the JSON object if the tool gave one.

    Attributes:
        truncated: something is left out of `text` or `structured`.
        overflow: the text before it was cut, for an artifact; bounded.
        attachments: what is only named in `text`, for artifacts; bounded.
        artifacts: what was kept of both; shape of each `{sha256, mime, size_bytes, name}`.
    """

    ok: bool
    text: str
    structured: dict[str, Any] | None = None
    truncated: bool = False
    overflow: bytes | None = field(default=None, repr=False)
    attachments: tuple[Attachment, ...] = ()
    artifacts: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Shape `{ok, text, structured, truncated}`, and `artifacts` if there are any; never their bytes."""
        body = {"ok": self.ok, "text": self.text, "structured": self.structured, "truncated": self.truncated}
        return {**body, "artifacts": list(self.artifacts)} if self.artifacts else body

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        kept = tuple(data.get("artifacts", ()))
        return cls(data["ok"], data["text"], data.get("structured"), data.get("truncated", False), artifacts=kept)


class ServerState(StrEnum):
    """Where a tool server's process is in its life."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    QUARANTINED = "quarantined"
    PARKED = "parked"


@dataclass(frozen=True)
class ServerHealth:
    """One tool server's health as data.

    Attributes:
        sandbox: by what its process is confined, and why not better.
        since: when it got into this state, as RFC 3339; empty if it never left it.
        listing_sha256: of what it offers; another one when anything in that is different.
    """

    server: str
    state: ServerState
    reason: str
    tools: int
    restarts: int
    pid: int | None = None
    stderr_tail: tuple[str, ...] = ()
    sandbox: str = ""
    since: str = ""
    listing_sha256: str = ""
