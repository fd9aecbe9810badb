"""Measures the classifier of tools on a labelled file: five bars, plain and with hints and verbs tampered with.

    python bench/tool_classes.py FILE.json [--json] [--errors] [--server NAME ...] [--seed N]

FILE is a list of objects with `server, tool, title, description, input_schema, annotations` and `gold` (read, write or
destructive). Exit status 1 when a bar does not hold.
"""

import argparse
import hashlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from interlock.guardrails.classes import opinion
from interlock.guardrails.classes.verbs import VERBS
from interlock.model import ToolDefinition, ToolRef

Row = dict[str, Any]
NEUTRAL = ("handle", "process", "do", "manage", "execute", "perform")
SAFETY = ("destructive_called_read", "destructive_ungated", "mutating_called_read")
TARGETS = {
    "destructive_called_read": 0.0,
    "destructive_ungated": 0.02,
    "mutating_called_read": 0.01,
    "read_over_gated": 0.10,
    "write_called_destructive": 0.15,
}
HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


def flipped(row: Row, _: str) -> Row:
    """Each hint says the opposite; reading and destroying are claimed where they were not."""
    hints = {key: not value if isinstance(value, bool) else value for key, value in (row["annotations"] or {}).items()}
    hints.setdefault("readOnlyHint", row["gold"] != "read")
    hints.setdefault("destructiveHint", row["gold"] == "read")
    return {**row, "annotations": hints}


def without(row: Row, _: str) -> Row:
    """No hints at all."""
    return {**row, "annotations": {}}


def renamed(row: Row, seed: str) -> Row:
    """The verbs of the name are replaced by one that says nothing; hints are gone."""
    return {**without(row, seed), "tool": _neutral_name(row["tool"], seed), "title": None}


def lying(row: Row, seed: str) -> Row:
    """Verbs of the name replaced, and every hint claims that the tool only reads."""
    return {
        **renamed(row, seed),
        "annotations": {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False},
    }


def reworded(row: Row, seed: str) -> Row:
    """As `lying`, and the first verb of the description is replaced as well."""
    words = re.split(r"(\s+)", row["description"] or "")
    for at, word in enumerate(words):
        plain = re.sub(r"\W", "", word).lower()
        if plain in VERBS:
            words[at] = _neutral(seed, row["tool"]).capitalize()
            break
    return {**lying(row, seed), "description": "".join(words)}


def posing(row: Row, seed: str) -> Row:
    """The verbs of the name are replaced by `get`, and every hint claims that the tool only reads."""
    name = re.sub(r"[A-Za-z]+", lambda match: "get" if match.group(0).lower() in VERBS else match.group(0), row["tool"])
    return {**lying(row, seed), "tool": name}


def _neutral(seed: str, text: str) -> str:
    """A verb that says nothing, chosen by the seed."""
    return NEUTRAL[hashlib.sha256(f"{seed} {text}".encode()).digest()[0] % len(NEUTRAL)]


def _neutral_name(name: str, seed: str) -> str:
    parts = re.split(r"([_\-.]|(?<=[a-z])(?=[A-Z]))", name)
    return "".join(_neutral(seed, name + part) if part.lower() in VERBS else part for part in parts)


VARIANTS: dict[str, Callable[[Row, str], Row]] = {
    "plain": lambda row, _: row,
    "hints flipped": flipped,
    "hints removed": without,
    "verbs renamed": renamed,
    "renamed, hints lie": lying,
    "renamed and reworded": reworded,
    "posing as get": posing,
}


def definition_of(row: Row) -> ToolDefinition:
    """A row as a tool definition."""
    return ToolDefinition(
        ref=ToolRef(row["server"], row["tool"]),
        title=row.get("title"),
        description=row.get("description") or "",
        input_schema=row.get("input_schema") or {},
        annotations=row.get("annotations") or {},
    )


def bars(pairs: Iterable[tuple[str, str]]) -> dict[str, float | None]:
    """The five shares, from (gold, found)."""
    pairs = list(pairs)

    def share(golds: tuple[str, ...], wrong: tuple[str, ...]) -> float | None:
        found = [got for gold, got in pairs if gold in golds]
        return sum(got in wrong for got in found) / len(found) if found else None

    return {
        "destructive_called_read": share(("destructive",), ("read",)),
        "destructive_ungated": share(("destructive",), ("read", "write")),
        "mutating_called_read": share(("write", "destructive"), ("read",)),
        "read_over_gated": share(("read",), ("write", "destructive")),
        "write_called_destructive": share(("write",), ("destructive",)),
    }


def main(arguments: list[str]) -> int:
    """Print the table, or JSON; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measures the classifier of tools on a labelled file.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--errors", action="store_true", help="also print each wrong one, without tampering")
    parser.add_argument("--server", action="append", help="only this server; may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    rows = json.loads(chosen.file.read_text(encoding="utf-8"))
    rows = [row for row in rows if not chosen.server or row["server"] in chosen.server]
    table: list[dict[str, Any]] = []
    for variant, tamper in VARIANTS.items():
        definitions = [definition_of(tamper(row, str(chosen.seed))) for row in rows]
        started = time.process_time()
        found = [opinion(definition) for definition in definitions]
        spent_ms = (time.process_time() - started) * 1000 / max(1, len(rows))
        values = bars((row["gold"], str(one.action_class)) for row, one in zip(rows, found, strict=True))
        table.append({"variant": variant, **values, "ms_per_tool": round(spent_ms, 3)})
        if chosen.errors and variant == "plain":
            for row, one in zip(rows, found, strict=True):
                if row["gold"] != one.action_class:
                    print(f"{row['gold']:>11} -> {one.action_class:<11} {row['server']}.{row['tool']}: {one.reasons}")
    checked = [
        {"name": f"{name} ({line['variant']})", "value": line[name], "target": target, "op": "<="}
        for line in table
        for name, target in TARGETS.items()
        if name in SAFETY or line["variant"] == "plain"
    ]
    for bar in checked:
        bar["holds"] = bar["value"] is not None and bar["value"] <= bar["target"]
    if chosen.json:
        print(json.dumps({"bench": "tool_classes", "tools": len(rows), "rows": table, "bars": checked}, indent=2))
    else:
        _show(table, len(rows))
    return 0 if all(bar["holds"] for bar in checked) else 1


def _show(table: list[dict[str, Any]], count: int) -> None:
    print(f"{count} tools; targets: {', '.join(f'{name} {value:.0%}' for name, value in TARGETS.items())}")
    print(
        f"{'':<22}" + "".join(f"{name.replace('_called_', '->').replace('_', ' '):>23}" for name in TARGETS) + "   ms"
    )
    for line in table:
        shares = "".join("      -" if line[name] is None else f"{line[name]:>23.1%}" for name in TARGETS)
        print(f"{line['variant']:<22}{shares}   {line['ms_per_tool']}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
