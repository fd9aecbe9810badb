"""Effects, diffs and arguments as lines."""

from typing import Any

from interlock.cli.output import Paint
from interlock.cli.words import block, clean, compact, count, exact, size

MAX_DIFF_LINES = 200
_DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def effect_summary(effect: dict[str, Any] | None) -> str:
    """What a call does or did, in a line."""
    if not effect:
        return "not measured"
    parts = [f"{count(int(effect.get('files_changed', 0)), 'file')} changed"]
    if effect.get("folders_changed"):
        parts.append(f"{count(int(effect['folders_changed']), 'folder')} changed")
    if effect.get("bytes_changed"):
        parts.append(size(float(effect["bytes_changed"])))
    return ", ".join(parts)


def changed_files(effect: dict[str, Any] | None) -> list[str]:
    """The paths that an effect changes, each with how: `deleted   logs/old.log  (1.2 kB)`."""
    found: list[str] = []
    for entry in (effect or {}).get("files") or []:
        before, after = int(entry.get("bytes_before") or 0), int(entry.get("bytes_after") or 0)
        sizes = f"{size(before)} -> {size(after)}" if before and after else size(before or after)
        source = f" from {exact(str(entry['from']))}" if entry.get("from") else ""
        kind = "" if entry.get("kind") == "file" else f", {entry.get('kind')}"
        found.append(f"{entry.get('change', '?'):<8}  {exact(str(entry.get('path', '?')))}{source}  ({sizes}{kind})")
    return found


def effect_lines(
    effect: dict[str, Any] | None, paint: Paint, indent: int = 2, limit: int = MAX_DIFF_LINES
) -> list[str]:
    """A whole effect: summary, files, diff."""
    if not effect:
        return []
    pad = " " * indent
    lines = [f"{pad}{paint('effect', 'dim')}  {effect_summary(effect)}"]
    files = changed_files(effect)
    lines += [f"{pad}  {name}" for name in files[:limit]]
    if len(files) > limit:
        lines.append(f"{pad}  … {count(len(files) - limit, 'more file')}; --json shows all")
    diff = effect.get("diff")
    if diff:
        lines += [f"{pad}{paint('diff', 'dim')}", *diff_lines(str(diff), paint, indent + 2, limit)]
    return lines


def diff_lines(diff: str, paint: Paint, indent: int, limit: int = MAX_DIFF_LINES) -> list[str]:
    """A unified diff with colours."""
    return [
        f"{'':{indent}}{paint(line[indent:], _DIFF_COLOURS.get(line[indent : indent + 1]))}"
        for line in block(diff, indent, limit)
    ]


def argument_lines(args: dict[str, Any], indent: int, limit: int = MAX_DIFF_LINES) -> list[str]:
    """Arguments one below the other; texts of several lines as blocks."""
    if not args:
        return [f"{'':{indent}}none"]
    width = max(len(clean(name)) for name in args)
    lines: list[str] = []
    for name, value in args.items():
        if isinstance(value, str) and "\n" in value:
            lines += [f"{'':{indent}}{clean(name)}", *block(value, indent + 2, limit)]
        else:
            lines.append(f"{'':{indent}}{clean(name):<{width}}  {compact(value, 2000)}")
    return lines
