"""Stage 1: is this a tool that the agent may see, is it the one that was accepted, and do the arguments fit it?"""

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from interlock.guardrails.case import Case, Subject
from interlock.guardrails.pinned import Pinned
from interlock.model import (
    FIRST_HOST,
    Conflict,
    TaskKind,
    ToolDefinition,
    ToolRef,
    ToolRefused,
    UserError,
    canonical_json,
    canonical_sha256,
)

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

MAX_ARGS_BYTES = 16_000_000
FOR_CHECKS = ("capture", "preview")  # they say what is there, or would be, and change nothing
_MAX_REF_DEPTH = 64
_KEPT_VALIDATORS = 2048


def check_grant(case: Case) -> None:
    """Refuse a tool that the agent was not given; internal tools belong to the undo agent.

    Raises:
        ToolRefused: it is not granted.
    """
    if case.definition.internal:
        if case.subject.task.kind is TaskKind.UNDO and case.ref.name == "restore":
            return
        if case.subject.read_only and case.ref.name in FOR_CHECKS:
            return
        raise ToolRefused(f"{case.ref} belongs to the gate; agents can't call it")
    if case.subject.task.kind is TaskKind.UNDO or case.subject.read_only:
        return
    if not any(fnmatchcase(str(case.ref), pattern) for pattern in case.subject.agent.tools):
        raise ToolRefused(f"{case.ref} is not among the tools of agent '{case.subject.name}'")


def check_host(subject: Subject, ref: ToolRef, bound: str | None, machine: str) -> None:
    """Refuse a tool whose files are on another machine; `bound` is what is configured, `machine` where this process runs.

    Raises:
        ToolRefused: they are.
    """
    if bound is None or not machine:
        return
    where = subject.task.host if bound == FIRST_HOST else bound
    if where == machine:
        return
    if where in (None, FIRST_HOST):
        raise ToolRefused(f"{ref} works on files of one machine, and this task is not bound to any")
    raise ToolRefused(f"the files of {ref} are on the machine '{where}', and this is '{machine}'")


def check_pin(definition: ToolDefinition, pinned: str | None) -> None:
    """Refuse a tool whose definition is not the accepted one.

    Raises:
        ToolRefused: it is new or was changed.
    """
    pin = f"see the difference: interlock tools show {definition.ref}"
    if pinned is None:
        raise ToolRefused(f"{definition.ref} is new since its server was accepted", hint=pin)
    if pinned != definition.pin_sha256:
        raise ToolRefused(f"{definition.ref} was changed since it was accepted", hint=pin)


def check_args(case: Case) -> None:
    """Check the arguments against the tool's schema (JSON Schema 2020-12) and the hash in the ledger.

    Raises:
        UserError: they do not fit; the message names the field.
        Conflict: they are not the ones that were recorded.
    """
    args = case.call.args
    if canonical_sha256(args) != case.call.args_sha256:
        raise Conflict(f"the arguments of call {case.call.call_no} are not the recorded ones")
    if len(canonical_json(args)) > MAX_ARGS_BYTES and not case.definition.internal:
        raise UserError(f"{case.ref}: the arguments are larger than {MAX_ARGS_BYTES:,} bytes")
    problem = next(iter(_validator(Pinned(case.definition)).iter_errors(args)), None)
    if problem is not None:
        where = ".".join(str(part) for part in problem.absolute_path) or "the arguments"
        raise UserError(f"{case.ref}: {where}: {_misfit(problem)}", hint=f"interlock tools show {case.ref}")


@lru_cache(maxsize=_KEPT_VALIDATORS)
def _validator(pinned: Pinned) -> "Draft202012Validator":
    """The schema of a tool, checked once for each definition of it.

    Raises:
        ToolRefused: it is no schema, or refers to something outside itself.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    schema = pinned.definition.input_schema
    _check_refs(schema, 0)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        what = f"the input schema of {pinned.definition.ref} is no valid JSON Schema: {error.message[:200]}"
        raise ToolRefused(what) from error
    return Draft202012Validator(schema)


def _misfit(problem: "ValidationError") -> str:
    """What does not fit, without the value itself: it may be a secret, and this sentence is recorded."""
    if problem.validator in ("required", "additionalProperties", "dependentRequired"):
        return problem.message[:300]
    return f"expected {problem.validator} {problem.validator_value}"[:300]


def _check_refs(schema: Any, depth: int) -> None:
    """Only references inside the schema itself: anything else would be fetched from somewhere."""
    if depth > _MAX_REF_DEPTH:
        raise ToolRefused("the input schema is nested too deeply")
    if isinstance(schema, dict):
        target = schema.get("$ref")
        if isinstance(target, str) and not target.startswith("#"):
            raise ToolRefused(f"the input schema refers to something outside itself: {target[:100]}")
        for value in schema.values():
            _check_refs(value, depth + 1)
    elif isinstance(schema, list):
        for value in schema:
            _check_refs(value, depth + 1)
