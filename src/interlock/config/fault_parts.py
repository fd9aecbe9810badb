"""What several checks of the configuration are made of: tools that exist, patterns that work, expectations."""

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from interlock.config.problems import quoted
from interlock.config.yaml_marks import Loc
from interlock.config.yaml_models import did_you_mean
from interlock.model import ToolRef, UserError

EXPECTATIONS = ("contains", "lacks", "matches", "equals", "ok")

Fault = tuple[Loc, str]


@dataclass(frozen=True)
class Known:
    """The names of a project that others may refer to.

    Attributes:
        servers: tool servers that can be started.
        skipped: servers of `.mcp.json` that can't, with the reason.
        playbooks: by stem.
    """

    servers: frozenset[str]
    skipped: Mapping[str, str]
    playbooks: frozenset[str]


def tool_faults(text: str, known: Known, loc: Loc, *, wildcard: bool = False) -> Iterator[Fault]:
    """A reference to a tool of a server that nothing declares."""
    expected = "server.name" + (", or server.*" if wildcard else "")
    try:
        ref = ToolRef.parse(text)
    except UserError:
        yield loc, f"found {quoted(text)}; expected {expected}"
        return
    if "*" in ref.server or ("*" in ref.name and not (wildcard and ref.name == "*")):
        yield loc, f"found {quoted(text)}; expected {expected}"
    elif ref.server in known.servers:
        return
    elif ref.server in known.skipped:
        yield loc, f"the tool server {quoted(ref.server)} of .mcp.json can't be used: {known.skipped[ref.server]}"
    else:
        wanted = did_you_mean(ref.server, sorted(known.servers)) or "expected one that tools or .mcp.json declares"
        yield loc, f"no tool server {quoted(ref.server)} is configured; {wanted}"


def expect_faults(expect: Mapping[str, Any], loc: Loc, more: tuple[str, ...] = ()) -> Iterator[Fault]:
    """Expectations of no known kind (`more` are those that only some checks know), or of a wrong type."""
    for key, value in expect.items():
        if key not in (*EXPECTATIONS, *more):
            yield (*loc, key), f"unknown expectation; {did_you_mean(key, [*EXPECTATIONS, *more])}"
        elif key == "matches":
            yield from pattern_faults(value, (*loc, key))
        elif key in ("ok", "exists") and not isinstance(value, bool):
            yield (*loc, key), "found a value that is no truth value; expected true or false"
        elif key == "exit_status" and (isinstance(value, bool) or not isinstance(value, int)):
            yield (*loc, key), "found a value that is no whole number; expected an exit status such as 0"
        elif key in ("contains", "lacks") and not isinstance(value, str):
            yield (*loc, key), "found a value that is no text; expected one (put it in quotes)"
        elif key == "equals" and not _comparable(value):
            yield (*loc, key), "expected a text that is the whole answer, or {path, value} of a structured one"


def _comparable(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, Mapping) and set(value) == {"path", "value"})


def pattern_faults(pattern: Any, loc: Loc) -> Iterator[Fault]:
    """A value that is no regular expression."""
    if not isinstance(pattern, str):
        yield loc, "found a value that is no text; expected a regular expression (put it in quotes)"
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        yield loc, f"found {quoted(pattern)}, no regular expression ({error}); expected one that Python's re takes"
