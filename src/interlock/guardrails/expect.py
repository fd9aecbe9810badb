"""Checks over a tool's result, as data: `{ok}`, `{contains}`, `{lacks}`, `{matches}`, `{equals}`.

`equals` is a text, or `{path, value}` of the structured answer.
"""

import re
from collections.abc import Mapping
from typing import Any

from interlock.model import ToolResult, UserError

KINDS = ("ok", "contains", "lacks", "matches", "equals")


def meets(result: ToolResult, expect: Mapping[str, Any]) -> bool:
    """Whether a result holds everything that is expected of it.

    Raises:
        UserError: an expectation is of no known kind.
    """
    unknown = set(expect) - set(KINDS)
    if unknown:
        raise UserError(f"expect: '{sorted(unknown)[0]}' is none of {', '.join(KINDS)}")
    if result.ok is not bool(expect.get("ok", True)):
        return False
    if "contains" in expect and str(expect["contains"]) not in result.text:
        return False
    if "lacks" in expect and str(expect["lacks"]) in result.text:
        return False
    if "matches" in expect and re.search(str(expect["matches"]), result.text) is None:
        return False
    if "equals" in expect:
        wanted = expect["equals"]
        if isinstance(wanted, str):
            return result.text.rstrip("\n") == wanted.rstrip("\n")
        return bool(_at(result.structured, str(wanted["path"])) == wanted["value"])
    return True


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def fill(template: Any, args: Mapping[str, Any]) -> Any:
    """Put a call's arguments into a template: the text `{name}` alone becomes the value, inside a text its text."""
    if isinstance(template, Mapping):
        return {key: fill(value, args) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, args) for value in template]
    if not isinstance(template, str):
        return template
    whole = re.fullmatch(r"\{(\w+)\}", template)
    if whole:
        return args.get(whole[1])
    return re.sub(r"\{(\w+)\}", lambda found: str(args.get(found[1], "")), template)
