"""The difference between the accepted definition of a tool and the present one, as lines that a person can judge.

Both come from a server that is not trusted here: whatever can't be seen in a text is made visible, so that nothing
is hidden from whoever accepts it.
"""

import difflib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from interlock.model import canonical_json

_LONG_CHARS = 100
_MAX_DEPTH = 32
_MAX_LINES = 400
_LIKE_ENOUGH = 0.6
_HINTS = {  # the value that a client takes where a hint is not given, and the one that makes a tool look harmless
    "readOnlyHint": (False, True),
    "destructiveHint": (True, False),
    "idempotentHint": (False, True),
    "openWorldHint": (True, False),
}


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes:
        field: `description`, `input.path`, `input.path.description`, `hints.readOnlyHint`, ...
        old: as JSON or text; None where it was not there.
        new: the same.
        note: what to look at, where it is more than a change of words.
        lines: how it is shown, without colour; what can't be seen is made visible.
    """

    field: str
    old: str | None
    new: str | None
    note: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Renamed:
    """A missing tool and a new one that are alike; `likeness` from 0.6 to 1."""

    old: str
    new: str
    likeness: float


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """What has changed between two definitions as the store keeps them; empty when they are the same.

    Shape of each: `{title, description, input_schema, output_schema, annotations}`.
    """
    found = [
        *_texts("title", old.get("title"), new.get("title")),
        *_texts("description", old.get("description"), new.get("description")),
        *_schemas("input", old.get("input_schema"), new.get("input_schema")),
        *_schemas("output", old.get("output_schema"), new.get("output_schema")),
        *_hints(old.get("annotations") or {}, new.get("annotations") or {}),
    ]
    return tuple(found)


def shown(changes: Iterable[Change]) -> tuple[str, ...]:
    """All lines of some changes, at most 400; then the last one says how many more there are."""
    lines = [line for change in changes for line in change.lines]
    if len(lines) <= _MAX_LINES:
        return tuple(lines)
    return (*lines[: _MAX_LINES - 1], f"... and {len(lines) - _MAX_LINES + 1} more lines")


def visible(text: str) -> str:
    """A text with everything that can't be seen, or that changes how the rest is seen, written out: `<U+200B>`.

    Line ends stay; a tab becomes a space.
    """
    return "".join(_seen(character) for character in text)


def renamed(missing: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> tuple[Renamed, ...]:
    """Which of the new tools may be a missing one under another name: the best pairs, each tool once. A guess only."""
    pairs = [
        Renamed(old_name, new_name, likeness)
        for old_name, before in missing.items()
        for new_name, after in new.items()
        if (likeness := _likeness(before, after)) >= _LIKE_ENOUGH
    ]
    chosen: list[Renamed] = []
    for pair in sorted(pairs, key=lambda pair: (-pair.likeness, pair.old, pair.new)):
        if all(pair.old != other.old and pair.new != other.new for other in chosen):
            chosen.append(pair)
    return tuple(chosen)


def _seen(character: str) -> str:
    if character in ("\n", " "):
        return character
    if character == "\t":
        return " "
    category = unicodedata.category(character)
    hidden = category[0] in "CZ" or 0xFE00 <= ord(character) <= 0xFE0F or 0xE0100 <= ord(character) <= 0xE01EF
    return f"<U+{ord(character):04X}>" if hidden or character in "\u115f\u1160\u3164\uffa0\u034f\u2800" else character


def _texts(field: str, old: str | None, new: str | None) -> list[Change]:
    if old == new:
        return []
    note = "holds characters that can't be seen" if _hides(new or "") and not _hides(old or "") else ""
    before, after = visible(old or ""), visible(new or "")
    mark = f"  ({note})" if note else ""
    if max(len(before), len(after)) <= _LONG_CHARS and "\n" not in before + after:
        return [Change(field, old, new, note, (f"{field}: {_quoted(old, before)} -> {_quoted(new, after)}{mark}",))]
    body = difflib.unified_diff(_wrapped(before), _wrapped(after), "accepted", "now", lineterm="", n=1)
    return [Change(field, old, new, note, (f"{field}:{mark}", *(f"  {line}" for line in body)))]


def _hides(text: str) -> bool:
    return visible(text) != text.replace("\t", " ")


def _quoted(value: str | None, text: str) -> str:
    return "(none)" if value is None else f'"{text}"'


def _wrapped(text: str) -> list[str]:
    """Lines, long ones cut behind sentences, so that a changed sentence is one changed line."""
    lines: list[str] = []
    for line in text.split("\n"):
        lines += re.split(r"(?<=[.;:!?]) +(?=\S)", line) if len(line) > _LONG_CHARS else [line]
    return lines


def _hints(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    found = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if _same(before, after) and (name in old) == (name in new):
            continue
        field = f"hints.{name}"
        texts = [value for value in (before, after) if value is not None]
        if texts and all(isinstance(value, str) for value in texts):
            found += _texts(field, before, after)
            continue
        default, harmless = _HINTS.get(name, (None, object()))
        was = default if before is None else before
        now = default if after is None else after
        note = "now claims to be less dangerous" if now == harmless and was != harmless else ""
        shown_old, shown_new = (_written(name in hints, hints.get(name)) for hints in (old, new))
        mark = f"  ({note})" if note else ""
        found.append(Change(field, shown_old, shown_new, note, (f"{field}: {shown_old} -> {shown_new}{mark}",)))
    return found


def _schemas(field: str, old: Any, new: Any, depth: int = 0) -> list[Change]:
    """Changes of a schema: its parameters by name, everything else by keyword."""
    if _same(old, new):
        return []
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)) or depth > _MAX_DEPTH:
        return [_whole(field, old, new)]
    found: list[Change] = []
    for keyword in sorted({*old, *new}):
        before, after = old.get(keyword), new.get(keyword)
        if _same(before, after) and (keyword in old) == (keyword in new):
            continue
        if before is None and after is None:  # null, and nothing: the same for a caller, but not for the pin
            found.append(_appeared(f"{field}.{keyword}", there=keyword in new))
        elif keyword == "properties":
            told = _parameters(field, (old, old.get(keyword, {})), (new, new.get(keyword, {})), depth)
            found += told or [_whole(f"{field}.properties", before, after)]
        elif keyword == "required":
            found += _required(field, old, new)
        elif isinstance(before, str) and isinstance(after, str):
            found += _texts(f"{field}.{keyword}", before, after)
        else:
            found += _schemas(f"{field}.{keyword}", before, after, depth + 1)
    return found


def _parameters(
    field: str, old: tuple[Mapping[str, Any], Any], new: tuple[Mapping[str, Any], Any], depth: int
) -> list[Change]:
    (old_schema, before), (new_schema, after) = old, new
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return [_whole(f"{field}.properties", before, after)]
    found: list[Change] = []
    for name in sorted({*before, *after}):
        where = f"{field}.{visible(name)}"
        if name not in before:
            found.append(_parameter("+", where, after[name], _needs(new_schema, name)))
        elif name not in after:
            found.append(_parameter("-", where, before[name], _needs(old_schema, name)))
        else:
            found += _schemas(where, before[name], after[name], depth + 1)
    return found


def _parameter(sign: str, where: str, schema: Any, needed: bool) -> Change:
    text = _json(schema)
    added = sign == "+"
    note = f"parameter {'added' if added else 'removed'}{', required' if needed else ''}"
    about = schema if isinstance(schema, Mapping) else {}
    kind = about.get("type")
    named = f" {kind}" if isinstance(kind, str) else ""
    lines = [f"{sign} {where}:{visible(named)} ({note})"]
    for keyword in sorted(about):
        if keyword != "type" or not named:
            value = about[keyword]
            words = value if isinstance(value, str) else _json(value)
            lines += [f"    {visible(str(keyword))}: {line}" for line in _wrapped(visible(words))]
    return Change(where, None if added else text, text if added else None, note, tuple(lines))


def _required(field: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Parameters of both that became required or no longer are; added and removed ones say it themselves."""
    before, after = _parameter_names(old), _parameter_names(new)
    found, told = [], before ^ after
    for name in sorted(before & after):
        was, now = _needs(old, name), _needs(new, name)
        if was != now:
            told.add(name)
            words = ("optional", "required") if now else ("required", "optional")
            where = f"{field}.{visible(name)}"
            found.append(Change(where, *words, "", (f"{where}: {words[0]} -> {words[1]}",)))
    rest = [_without(schema.get("required", []), told) for schema in (old, new)]
    if not _same(*rest):
        found.append(_whole(f"{field}.required", *rest))
    elif not told:  # an empty list, and none: the same for a caller, but not for the pin
        found.append(_whole(f"{field}.required", old.get("required"), new.get("required")))
    return found


def _parameter_names(schema: Mapping[str, Any]) -> set[str]:
    properties = schema.get("properties")
    return set(properties) if isinstance(properties, Mapping) else set()


def _without(required: Any, told: set[str]) -> Any:
    """What else is said to be required."""
    if not isinstance(required, list):
        return required
    return [name for name in required if not (isinstance(name, str) and name in told)]


def _needs(schema: Mapping[str, Any], name: str) -> bool:
    required = schema.get("required")
    return isinstance(required, list) and name in required


def _whole(field: str, old: Any, new: Any) -> Change:
    before = None if old is None else _json(old)
    after = None if new is None else _json(new)
    line = f"{field}: {visible(before or '(none)')} -> {visible(after or '(none)')}"
    return Change(field, before, after, "", (line,))


def _appeared(field: str, *, there: bool) -> Change:
    """A keyword without a value that came, or went."""
    before, after = ("(none)", "null") if there else ("null", "(none)")
    return Change(field, before, after, "", (f"{field}: {before} -> {after}",))


def _written(there: bool, value: Any) -> str:
    return visible(_json(value)) if there else "(none)"


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are one for the pin: true is not 1, and 1 is 1.0."""
    return canonical_json(one) == canonical_json(other)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _likeness(old: Mapping[str, Any], new: Mapping[str, Any]) -> float:
    """From 0 to 1: half for the parameters, half for the words of the description."""
    return (_overlap(_shape(old), _shape(new)) + _overlap(_words(old), _words(new))) / 2


def _overlap(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other) if one or other else 1.0


def _shape(definition: Mapping[str, Any]) -> set[str]:
    schema = definition.get("input_schema")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return set()
    return {
        f"{name}:{value.get('type') if isinstance(value, Mapping) else value}" for name, value in properties.items()
    }


def _words(definition: Mapping[str, Any]) -> set[str]:
    return set(re.findall(r"\w+", str(definition.get("description") or "").lower()))
