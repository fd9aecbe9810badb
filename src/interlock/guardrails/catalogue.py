"""Large catalogues: above forty tools an agent sees two, one that searches and one that calls what was found.

The search ranks by BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009) over
names, titles, descriptions and parameters. The call is unfolded before it is numbered: the ledger, the gate and the
audit see the inner call only.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from interlock.model import ModelAnswer, ToolDefinition, ToolRef, ToolResult, UserError

FEW = 40
RESERVED = "interlock"
SEARCH = ToolRef(RESERVED, "tool_search")
CALL = ToolRef(RESERVED, "tool_call")
MAX_FOUND = 20
_K1, _B = 1.2, 0.75
_NAME_WEIGHT = 3  # words of a name say more than those of a description
_MAX_WORDS = 400
_SCHEMA_CHARS = 4_000
_READ = {"readOnlyHint": True, "openWorldHint": False}


def is_large(tools: Sequence[ToolDefinition]) -> bool:
    """Whether an agent sees the pair instead of all of its tools."""
    return len(tools) > FEW


def pair(tools: Sequence[ToolDefinition]) -> tuple[ToolDefinition, ToolDefinition]:
    """The two tools that stand for all of them."""
    servers = Counter(tool.ref.server for tool in tools)
    listed = ", ".join(f"{server} ({number})" for server, number in sorted(servers.items()))[:1000]
    search_schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "query": {"type": "string", "maxLength": 500, "description": "what the tool should do, in a few words"},
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_FOUND, "default": 5},
        },
        "required": ["query"],
        "additionalProperties": False,
    }
    call_schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "the name of a tool, as the search gave it"},
            "args": {"type": "object", "description": "its arguments, as its schema demands"},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    return (
        ToolDefinition(SEARCH, None, f"Find tools by what they do. There are: {listed}.", search_schema, None, _READ),
        ToolDefinition(CALL, None, f"Call a tool that {SEARCH.model_name} has found.", call_schema),
    )


def search(tools: Sequence[ToolDefinition], query: str, limit: int = 5) -> list[ToolDefinition]:
    """The tools that fit best, the best first; none that shares no word with the query."""
    wanted = set(_words(query))
    texts = [_text(tool) for tool in tools]
    mean = sum(len(text) for text in texts) / max(1, len(texts))
    spread = Counter(word for text in texts for word in set(text) & wanted)
    scored = []
    for tool, text in zip(tools, texts, strict=True):
        counts = Counter(word for word in text if word in wanted)
        score = sum(_score(counts[word], spread[word], len(texts), len(text) / mean) for word in counts)
        if score > 0:
            scored.append((-score, str(tool.ref), tool))
    return [tool for _, _, tool in sorted(scored, key=lambda found: found[:2])[:limit]]


def _score(count: int, holders: int, texts: int, length: float) -> float:
    rarity = math.log(1 + (texts - holders + 0.5) / (holders + 0.5))
    return rarity * count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * length))


def answer_search(tools: Sequence[ToolDefinition], args: dict[str, Any]) -> ToolResult:
    """What a search gives: names, descriptions and schemas.

    Raises:
        UserError: the arguments do not fit.
    """
    query, limit = args.get("query"), args.get("limit", 5)
    if not isinstance(query, str) or not query.strip():
        raise UserError(f"{SEARCH}: query: expected what the tool should do, in a few words")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_FOUND:
        raise UserError(f"{SEARCH}: limit: expected a number from 1 to {MAX_FOUND}")
    found = search(tools, query[:500], limit)
    shown = [
        {"name": tool.ref.model_name, "description": tool.description, "input_schema": _bounded(tool.input_schema)}
        for tool in found
    ]
    lines = [f"{tool.ref.model_name}: {' '.join(tool.description.split())[:300]}" for tool in found]
    text = "\n".join(lines) or "No tool fits these words; try others."
    return ToolResult(True, text, {"tools": shown})


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    return (
        schema
        if len(str(schema)) <= _SCHEMA_CHARS
        else {key: schema[key] for key in ("type", "required") if key in schema}
    )


def unfold(answer: ModelAnswer, tools: Sequence[ToolDefinition]) -> ModelAnswer:
    """Calls by way of the pair as the calls that they are; a name that no tool has stays, and the gate refuses it."""
    by_name = {name: tool.ref for tool in tools for name in (tool.ref.model_name, str(tool.ref))}
    calls = []
    for call in answer.calls:
        inner = call.args.get("name") if call.tool == str(CALL) else None
        if isinstance(inner, str):
            args = call.args.get("args")
            ref = by_name.get(inner)
            tool = str(ref) if ref is not None else inner[:200]
            calls.append(replace(call, tool=tool, args=args if isinstance(args, dict) else {}))
        else:
            calls.append(call)
    return replace(answer, calls=tuple(calls))


def _text(tool: ToolDefinition) -> list[str]:
    named = _words(tool.ref.name) * _NAME_WEIGHT + _words(tool.ref.server)
    parameters = tool.input_schema.get("properties", {})
    return (named + _words(" ".join([tool.title or "", tool.description, *map(str, parameters)])))[:_MAX_WORDS]


def _words(text: str) -> list[str]:
    """Small letters, split at everything else and at humps; a plural counts as its singular."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    words = re.findall(r"[a-z0-9]+", spaced.lower())
    return [word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in words]
