"""The bodies that the routes take; unknown fields are refused by name, and no field holds anything that is run."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from interlock.model import Resolution

MAX_REASON_CHARS = 2000

Reason = Annotated[str, Field(max_length=MAX_REASON_CHARS)]
Duration = Annotated[
    Any, Field(json_schema_extra={"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}, {"type": "null"}]})
]


class Body(BaseModel):
    """A JSON object with these fields and no others; `hint` is what to do when it does not fit."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    hint: ClassVar[str] = "see /api/openapi.json for what there is"

    def given(self) -> dict[str, Any]:
        """The fields that were sent."""
        return self.model_dump(exclude_unset=True)


class Nothing(Body):
    """No fields: an empty body or `{}`."""


class SubmitBody(Body):
    """A task to take in. Texts such as `10s` or `5m`, or seconds, are durations; times carry their zone."""

    hint: ClassVar[str] = 'interlock submit "TEXT" --agent AGENT'

    agent: str
    text: str
    inputs: dict[str, Any] = {}
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    dedupe_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    delay: Duration = None
    at: str | None = None
    max_duration: Duration = None
    checks: Annotated[list[dict[str, Any]], Field(max_length=50)] = []


class RetryBody(Body):
    """Why another run."""

    reason: Reason = ""


class ResolveBody(Body):
    """What becomes of an escalated task; `text` is the answer, or the request as it reads now."""

    hint: ClassVar[str] = "interlock tasks resolve ID --accept --reason TEXT"

    resolution: Annotated[str, Field(json_schema_extra={"enum": [str(choice) for choice in Resolution]})]
    reason: Reason = ""
    text: Annotated[str, Field(max_length=100_000)] = ""


class DecisionBody(Body):
    """A decision, with the hash of what was seen; a denial needs a reason."""

    hint: ClassVar[str] = "interlock approvals show ID"

    decision: Annotated[str, Field(json_schema_extra={"enum": ["approve", "deny"]})]
    binding_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    reason: Reason | None = None


class ResolveCallBody(Body):
    """Whether a call in doubt took effect."""

    hint: ClassVar[str] = "interlock calls resolve CALL --done|--not-done --reason TEXT"

    outcome: Annotated[str, Field(json_schema_extra={"enum": ["done", "not_done"]})]
    reason: Reason


class HaltBody(Body):
    """What to halt: `all`, `agent:NAME`, `tool:SERVER`, `tool:SERVER.NAME`; or to pause: `queue:all`, `queue:agent:NAME`.

    With `stop`, what is under way is stopped as well; else it ends by itself.
    """

    hint: ClassVar[str] = "interlock halt --reason TEXT"

    scope: Annotated[str, Field(min_length=1, max_length=200)]
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON_CHARS)]
    stop: bool = False


class ResumeBody(Body):
    """Which halt to end."""

    hint: ClassVar[str] = "interlock resume"

    scope: Annotated[str, Field(min_length=1, max_length=200)]


class PinBody(Body):
    """What was looked at before it is accepted: hashes by `server.tool`; with any others, nothing is accepted."""

    hint: ClassVar[str] = "interlock tools show NAME"

    seen: Annotated[dict[str, str], Field(max_length=2000)] | None = None


class TokenBody(Body):
    """A token for an agent outside; `expires` is a duration such as `30d`, and without it it never ends."""

    hint: ClassVar[str] = "interlock tokens create --agent AGENT --expires 30d"

    agent: Annotated[str, Field(min_length=1, max_length=200)]
    expires: Duration = None
    task: Annotated[str, Field(min_length=1, max_length=100)] | None = None
