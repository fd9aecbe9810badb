"""The published format of a recorded run, version 1: one JSON object a line; see docs/recorded-runs.md.

What writes and what reads it share these models, and the JSON Schema is made from them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from interlock.model.errors import UserError

RECORDED_VERSION = 1
HINT = "interlock tasks export ID --out FILE"
_SHOWN_CHARS = 60
Belief: TypeAlias = Literal["trusted", "token", "untrusted"]


class _Part(BaseModel):
    """Fields that are not known here are passed over: a later release may add some."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False, validate_by_name=True)

    left_out: ClassVar[frozenset[str]] = frozenset()  # fields that are not written when they are None

    def to_json(self) -> dict[str, Any]:
        """As it is written."""
        body = self.model_dump(mode="json", by_alias=True)
        return {name: value for name, value in body.items() if value is not None or name not in self.left_out}


class _Line(_Part):
    v: Literal[1] = 1
    run: Annotated[str, Field(min_length=1, description="which run it belongs to")]


class RecordedContract(_Part):
    """What was declared of a tool, by the operator or by interlock for its own; what nobody declared is null."""

    left_out = frozenset({"inverse"})

    action_class: Annotated[Literal["read", "write", "destructive"] | None, Field(alias="class")] = None
    egress: Annotated[bool | None, Field(description="whether data can leave the machine")] = None
    control: Annotated[tuple[str, ...], Field(description="arguments that decide where or on what it acts")] = ()
    content: Annotated[tuple[str, ...], Field(description="arguments that are only content")] = ()
    output: Annotated[
        Literal["trusted", "untrusted"] | dict[str, Belief],
        Field(description="whether what it returns may be believed: all of it, or by field"),
    ] = "untrusted"
    inverse: Annotated[dict[str, Any] | None, Field(description="the call that takes it back: `{tool, args}`")] = None


class RecordedRequest(_Line):
    """What was asked for; the first line of every run."""

    type: Literal["request"] = "request"
    agent: str
    text: Annotated[str, Field(description="the trusted part")]
    inputs: Annotated[dict[str, Any], Field(description="the untrusted part")] = {}
    tainted: Annotated[
        bool,
        Field(description="it began as one that has read something untrusted: somebody outside wrote its inputs"),
    ] = False

    def to_json(self) -> dict[str, Any]:
        """As it is written; most runs do not begin tainted, and say nothing of it."""
        body = super().to_json()
        return body if self.tainted else {name: value for name, value in body.items() if name != "tainted"}


class RecordedTool(_Line):
    """A tool that the agent sees, as it was accepted."""

    left_out = frozenset({"contract"})

    type: Literal["tool"] = "tool"
    tool: Annotated[str, Field(description="`server.name`")]
    description: str = ""
    input_schema: dict[str, Any] = {}
    annotations: Annotated[dict[str, Any], Field(description="hints of its server; nothing of it is believed")] = {}
    contract: RecordedContract | None = None

    def to_json(self) -> dict[str, Any]:
        """As it is written."""
        body = super().to_json()
        return body if self.contract is None else {**body, "contract": self.contract.to_json()}


class PlannedCall(_Part):
    """A call that was to be expected: arguments by value, or as `{pattern: regex}`."""

    tool: str
    args: dict[str, Any] = {}
    count: Annotated[int, Field(ge=1)] = 1


class RecordedPlan(_Line):
    """The calls that the run was expected to make."""

    type: Literal["plan"] = "plan"
    source: Literal["declared", "agent", "model"]
    calls: tuple[PlannedCall, ...] = ()


class RecordedCall(_Line):
    """A call that the agent asked for, in order; without `started` it was never made."""

    type: Literal["call"] = "call"
    n: Annotated[int, Field(ge=1)]
    tool: str
    args: dict[str, Any] = {}
    result: Annotated[Any, Field(description="what the model read; null if there was an error, or no answer yet")] = (
        None
    )
    error: Annotated[str | None, Field(description="what the model read when it failed or was refused")] = None
    started: AwareDatetime | None = None
    ended: AwareDatetime | None = None


class RecordedApproval(_Line):
    """What became of the question whether call `n` may be made."""

    type: Literal["approval"] = "approval"
    n: Annotated[int, Field(ge=1)]
    decision: Annotated[Literal["approve", "deny", "expired"], Field(description="`expired`: nobody answered in time")]
    by: str | None = None
    reason: str = ""


class RecordedModel(_Line):
    """An answer of a model: what it took. Numbered by itself, from 1."""

    type: Literal["model"] = "model"
    n: Annotated[int, Field(ge=1)]
    model: str
    tier: Literal["small", "medium", "large"] | None = None
    tokens: Annotated[dict[str, int], Field(description="by direction: input, output, cache_read, cache_write")] = {}
    cost_usd: Annotated[float, Field(ge=0)] = 0.0


class RecordedResult(_Line):
    """How the run ended; a run that has not ended has none."""

    type: Literal["result"] = "result"
    state: str
    text: str = ""


RecordedLine: TypeAlias = (
    RecordedRequest | RecordedTool | RecordedPlan | RecordedCall | RecordedApproval | RecordedModel | RecordedResult
)
_BY_TYPE: dict[str, type[RecordedLine]] = {
    "request": RecordedRequest,
    "tool": RecordedTool,
    "plan": RecordedPlan,
    "call": RecordedCall,
    "approval": RecordedApproval,
    "model": RecordedModel,
    "result": RecordedResult,
}


@dataclass
class Recording:
    """The lines of one run, sorted by what they are, in the order in which they came."""

    request: RecordedRequest
    tools: dict[str, RecordedTool] = field(default_factory=dict)
    plan: RecordedPlan | None = None
    calls: list[RecordedCall] = field(default_factory=list)
    approvals: list[RecordedApproval] = field(default_factory=list)
    models: list[RecordedModel] = field(default_factory=list)
    result: RecordedResult | None = None

    @property
    def run(self) -> str:
        """Its id."""
        return self.request.run

    def lines(self) -> Iterator[RecordedLine]:
        """All of it in the order of the format: the approvals of a call stand before it."""
        yield self.request
        yield from self.tools.values()
        if self.plan is not None:
            yield self.plan
        for call in self.calls:
            yield from (approval for approval in self.approvals if approval.n == call.n)
            yield call
        yield from self.models
        if self.result is not None:
            yield self.result

    def add(self, line: RecordedLine) -> str | None:
        """Take a line of the same run in; what is wrong with it here, if anything is."""
        match line:
            case RecordedTool():
                if line.tool in self.tools:
                    return f"tool: {line.tool[:_SHOWN_CHARS]} is there twice"
                self.tools[line.tool] = line
            case RecordedCall():
                if self.calls and line.n <= self.calls[-1].n:
                    return f"n: found {line.n} after {self.calls[-1].n}; expected calls in order, each once"
                self.calls.append(line)
            case RecordedApproval():
                self.approvals.append(line)
            case RecordedModel():
                self.models.append(line)
            case RecordedPlan() if self.plan is None:
                self.plan = line
            case RecordedResult() if self.result is None:
                self.result = line
            case _:
                return f"type: a second {line.type} of the same run"
        return None

    @classmethod
    def read(cls, lines: Iterable[str], where: str = "") -> list[Self]:
        """Read the lines of a file; runs may stand one after the other or be mixed.

        Args:
            lines: of the file, one JSON object each; empty ones are passed over.
            where: the file's name, for messages.

        Raises:
            UserError: a line is none of this version; the message names it and the field.
        """
        runs: dict[str, Self] = {}
        for number, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            place = f"{where}:{number}" if where else f"line {number}"
            line = read_recorded_line(text, place)
            known = runs.get(line.run)
            if known is None:
                if not isinstance(line, RecordedRequest):
                    raise _fault(place, f"run: the first line of '{line.run[:_SHOWN_CHARS]}' is no request")
                runs[line.run] = cls(line)
                continue
            problem = known.add(line)
            if problem is not None:
                raise _fault(place, problem)
        for found in runs.values():
            stray = {approval.n for approval in found.approvals} - {call.n for call in found.calls}
            if stray:
                named = f"'{found.run[:_SHOWN_CHARS]}'"
                raise _fault(where or "the recording", f"run {named} has an approval of call {min(stray)}, and no call")
        return list(runs.values())


def read_recorded_line(text: str, place: str = "line 1") -> RecordedLine:
    """One line.

    Raises:
        UserError: it is none of this version; the message begins with `place` and names the field.
    """
    try:
        head = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise _fault(place, f"it is no JSON: {str(error)[:200]}") from None
    if not isinstance(head, dict):
        raise _fault(place, "found no JSON object; expected one on each line")
    version, kind = head.get("v"), head.get("type")
    if version != RECORDED_VERSION or isinstance(version, bool):
        raise _fault(place, f"v: found {_shown(version)}; this release reads version {RECORDED_VERSION}")
    model = _BY_TYPE.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise _fault(place, f"type: found {_shown(kind)}; expected one of {', '.join(_BY_TYPE)}")
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(step) for step in first["loc"])
        raise _fault(place, f"{path}: {first['msg'][:200]}") from None


def write_recorded_line(line: RecordedLine) -> dict[str, Any]:
    """A line as a JSON object, with version, type and run in front."""
    body = line.to_json()
    return {"v": body.pop("v"), "type": body.pop("type"), "run": body.pop("run"), **body}


def recorded_run_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one line."""
    line: TypeAdapter[RecordedLine] = TypeAdapter(Annotated[RecordedLine, Field(discriminator="type")])
    schema = line.json_schema(by_alias=True)
    for part in schema["$defs"].values():
        if "type" in part.get("properties", {}):
            part["required"] = sorted({*part.get("required", []), "v", "type"})
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "title": "a line of a recorded run, version 1", **schema}


def _shown(value: Any) -> str:
    return ascii(value)[:_SHOWN_CHARS] if value is not None else "nothing"


def _fault(place: str, what: str) -> UserError:
    return UserError(f"{place}: {what}", hint=HINT)
