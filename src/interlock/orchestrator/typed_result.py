"""A result that is data: found in what a model writes around it, and held against its schema."""

import json
import re
from typing import Any

MAX_CHARS = 1_000_000
TOLD_CHARS = 20_000


def told(schemas: list[dict[str, Any]]) -> str:
    """What an agent is told of the form of its result; empty when it is free."""
    if not schemas:
        return ""
    shown = "\n".join(json.dumps(schema, ensure_ascii=False) for schema in schemas)[:TOLD_CHARS]
    return f"Your last answer is the result. It must be JSON only, no other text, and fit this JSON Schema:\n{shown}"


def parsed(text: str, schema: dict[str, Any]) -> tuple[Any, str | None]:
    """The data of a result and what is wrong with it: `(data, None)` or `(None, sentence)`.

    A fence of a code block around the data is taken off; anything else around it is wrong.
    """
    from jsonschema import Draft202012Validator

    if len(text) > MAX_CHARS:
        return None, f"the result has {len(text):,} characters; at most {MAX_CHARS:,} are read as JSON"
    fenced = re.fullmatch(r"\s*```[\w-]*\s*\n(.*?)\n?\s*```\s*", text, re.DOTALL)
    try:
        data = json.loads(fenced[1] if fenced else text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return None, f"the result is no JSON ({str(error)[:100]}); expected JSON only"
    problem = next(iter(Draft202012Validator(schema).iter_errors(data)), None)
    if problem is None:
        return data, None
    where = ".".join(str(part) for part in problem.absolute_path) or "the result"
    return None, f"{where}: {problem.message[:300]}"


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
