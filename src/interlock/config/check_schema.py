"""The shape of a check of a finished run: what a result must pass to be one."""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from interlock.config.shapes import Name, Strict

SUBJECTS = ("tool", "file", "command", "schema", "effect", "judge", "person")
_FITTING: dict[str, frozenset[str]] = {
    "args": frozenset({"tool", "effect"}),
    "expect": frozenset({"tool", "file", "command"}),
    "server": frozenset({"file", "command"}),
    "at_least": frozenset({"effect"}),
    "question": frozenset({"judge"}),
}


class CheckConfig(Strict):
    """A check of a finished run: exactly one of tool, file, command, schema, effect, judge and person.

    All but the last two are made by reading only, through the gate; a person is asked after everything else has passed.

    Attributes:
        tool: `server.name` of a read; its answer must hold what `expect` says.
        file: a file below a workspace; `expect` speaks of its text, or says whether it exists.
        command: run in the sandbox on a copy of the shell server's folder, so that it changes nothing.
        schema: a JSON Schema (2020-12) that the result must fit; the agent is told to answer with JSON only.
        effect: `server.name` or `server.*`: a call of it that changed something must have been made, and hold.
        judge: another agent, which sees the request, the effects and what it reads itself, never what the first one says.
        person: a question to a person, who sees the result and approves or denies it.
        args: what the tool is called with; of an effect, arguments by value or pattern that the call must have had.
        expect: `{contains}`, `{lacks}`, `{matches}`, `{equals}`, `{ok}`; of a file also `{exists}`, of a command also
            `{exit_status}`.
        server: whose file or command, where the agent has several workspaces or shells.
        at_least: how many such calls.
        question: what the judge shall decide.
    """

    model_config = ConfigDict(populate_by_name=True)

    tool: str | None = None
    file: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    command: Annotated[str, Field(min_length=1, max_length=10_000)] | None = None
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    effect: str | None = None
    judge: Name | None = None
    person: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    args: dict[str, Any] = {}
    expect: dict[str, Any] = {}
    server: Name | None = None
    at_least: Annotated[int, Field(ge=1, le=10_000)] = 1
    question: Annotated[str, Field(max_length=10_000)] = ""

    @property
    def subject(self) -> str:
        """Which of the seven kinds it is."""
        return next(name for name in SUBJECTS if self._given(name))

    @property
    def label(self) -> str:
        """The check in a few words, for people."""
        words = {"schema": "the result fits the schema", "person": "a person accepts the result"}
        value = getattr(self, self.subject, None)
        return words.get(self.subject) or f"{self.subject} {value}"

    def _given(self, name: str) -> bool:
        return (self.json_schema if name == "schema" else getattr(self, name)) is not None

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        given = [name for name in SUBJECTS if self._given(name)]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"found {found}; expected exactly one of {', '.join(SUBJECTS)}")
        for key, fitting in _FITTING.items():
            if getattr(self, key) != type(self).model_fields[key].default and given[0] not in fitting:
                raise ValueError(f"found `{key}` beside `{given[0]}`; it belongs to {' or '.join(sorted(fitting))}")
        return self
