"""Looks for hidden instructions in the definitions of tools. Advice for whoever accepts a pin, never a decision.

A definition is text that a stranger wrote and a model reads. What is looked for: characters that can't be seen or
look like others, blobs, marks of a page or a prompt, texts that address the model, other servers' tools by name.
"""

import base64
import binascii
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from interlock.guardrails.scan_words import PATTERNS
from interlock.model import ToolDefinition, ToolRef

MAX_FINDINGS = 50
MAX_TEXT_CHARS = 20_000
MAX_CHARS = 100_000  # of one definition: the patterns are not free, and a stranger chooses the text
LONG_CHARS = 10_000
QUOTE_CHARS = 120
_MAX_DEPTH = 64
_MIN_NAME_CHARS = 6

_ANYWHERE = frozenset("\u115f\u1160\u3164\uffa0\u034f\u2800\u180e\ufeff")  # letters and blanks that show nothing
_JOINERS = "\u200c\u200d"
_MARKS = "\u200e\u200f\u061c"
_LOOKALIKES: dict[str, str] = dict(
    zip(
        "авеіјкмнорстухѕԁԛԝһӏАВЕЅІЈКМНОРСТХУѴαεικνορτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
        "abeijkmhopctyxsdqwhlABESIJKMHOPCTXYVaeiknoptuxABEZHIKMNOPTYX",
        strict=True,
    )
)
_PLAINLY = {ord(odd): plain for odd, plain in _LOOKALIKES.items()}
_WORD = re.compile(r"[^\W_\d]+")
_FAR_BELOW = re.compile(r"(?:\n[^\S\n]{0,20}){15}|[^\S\n]{80}")
_TOKEN = re.compile(r"\w+(?:[.-]\w+)*")
_BASE64 = re.compile(r"(?<![\w+/=.:-])[A-Za-z0-9+/]{24,}={0,2}(?![\w+/=])")
_HEX = re.compile(r"(?<![\w.-])(?:[0-9a-f]{2}){16,}(?!\w)", re.IGNORECASE)
_ESCAPED = re.compile(
    r"(?:\\x[0-9a-f]{2}){6,}|(?:\\u[0-9a-f]{4}){4,}|(?:%[0-9a-f]{2}){8,}|(?:&#x?[0-9a-f]+;){4,}", re.IGNORECASE
)


@dataclass(frozen=True)
class Finding:
    """Something that a person should look at before the tool is accepted.

    Attributes:
        kind: invisible, control, lookalike, encoded, far_below, long, or one of the words' kinds.
        where: `name`, `description`, `input.path.description`, ...
        quote: from the text, in one line, with what can't be seen written out.
        why: what it may be for.
    """

    kind: str
    where: str
    quote: str
    why: str


@dataclass(frozen=True)
class _Text:
    where: str
    text: str
    is_name: bool = False


def findings(definition: ToolDefinition, others: Collection[ToolRef] = ()) -> tuple[Finding, ...]:
    """What is odd in the texts of a definition: some 50 findings at most, one of each kind in a text.

    May take a second for a text that is made to be slow; not for an event loop that others wait for.

    Args:
        definition: as its server lists it.
        others: the tools of all servers; those of other servers must not be named in it.
    """
    names = _foreign_names(definition.ref, others)
    found: list[Finding] = []
    left = MAX_CHARS
    for text in _texts(definition):
        if left <= 0:
            found.append(
                Finding("long", text.where, "", f"more than {MAX_CHARS:,} characters; the rest was not looked at")
            )
            break
        if len(found) >= MAX_FINDINGS:
            break
        found += {finding.kind: finding for finding in _in_text(_cut(text, left), names)}.values()
        left -= len(text.text)
    return tuple(found[: MAX_FINDINGS + 1])


def _cut(text: _Text, left: int) -> _Text:
    return replace(text, text=text.text[: min(left, MAX_TEXT_CHARS)])


def _texts(definition: ToolDefinition) -> Iterator[_Text]:
    """All texts that a model may read, the description before the schemas."""
    yield _Text("name", definition.ref.name, is_name=True)
    parts = {
        "title": definition.title,
        "description": definition.description,
        "input": definition.input_schema,
        "output": definition.output_schema,
        "hints": definition.annotations,
    }
    for where, part in parts.items():
        yield from _strings(part, where, 0)


def _strings(value: Any, where: str, depth: int) -> Iterator[_Text]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, str):
        yield _Text(where, value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            inner = where if key == "properties" else f"{where}.{key}"
            yield _Text(inner, str(key), is_name=True)
            yield from _strings(item, inner, depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, f"{where}[{index}]", depth + 1)


def _in_text(text: _Text, foreign: frozenset[str]) -> Iterator[Finding]:
    yield from _unseen(text)
    yield from _lookalike(text)
    if text.where == "description" and len(text.text) > LONG_CHARS:
        said = f"{len(text.text):,} characters, in which much can hide"
        yield Finding("long", text.where, _quote(text.text, 0, QUOTE_CHARS), said)
    far = _FAR_BELOW.search(text.text)
    rest = text.text[far.end() :].lstrip() if far is not None else ""
    if rest:
        why = "goes on far below or to the right, where people may not look"
        yield Finding("far_below", text.where, _quote(rest, 0, QUOTE_CHARS), why)
    yield from _blobs(text)
    plain = _plain(text.text.replace("_", " ") if text.is_name else text.text)
    for pattern in PATTERNS:
        hit = pattern.found_by.search(plain)
        if hit is not None:
            yield Finding(pattern.kind, text.where, _quote(plain, hit.start(), hit.end()), pattern.why)
    named = next((token for token in _TOKEN.finditer(plain) if token[0] in foreign), None) if foreign else None
    if named is not None and not text.is_name and named[0] != plain:
        why = f"names {named[0]}, a tool of another server"
        yield Finding("shadowing", text.where, _quote(plain, named.start(), named.end()), why)


def _unseen(text: _Text) -> Iterator[Finding]:
    """Characters that can't be seen or steer a terminal; not those that a script or an emoji needs."""
    hidden = [index for index, _ in enumerate(text.text) if _is_unseen(text.text, index)]
    if hidden:
        decoded = "".join(chr(ord(c) - 0xE0000) for c in text.text if 0xE0020 <= ord(c) <= 0xE007E)
        said = f"; they spell: {decoded[:QUOTE_CHARS]}" if decoded else ""
        why = f"{len(hidden)} characters that can't be seen{said}"
        yield Finding("invisible", text.where, _quote(text.text, hidden[0], hidden[0] + 1), why)
    steering = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", text.text)
    if steering is not None:
        why = "control characters, which can hide or overwrite text in a terminal"
        yield Finding("control", text.where, _quote(text.text, steering.start(), steering.end()), why)


def _is_unseen(text: str, index: int) -> bool:
    character = text[index]
    point = ord(character)
    if point < 0xAD:
        return False
    before = text[index - 1] if index else ""
    if 0xFE00 <= point <= 0xFE0F:  # picks the form of the sign before it
        return not before or not (unicodedata.category(before) in ("So", "Sm", "Po") or before in "0123456789#*\u200d")
    if character in _JOINERS:
        return not (before and (unicodedata.category(before) in ("So", "Sk", "Mn", "Mc") or _script_joins(before)))
    if character in _MARKS:
        return not any(unicodedata.bidirectional(other) in ("R", "AL") for other in text)
    if character in _ANYWHERE or 0xE0000 <= point <= 0xE0FFF:
        return True
    return unicodedata.category(character) in ("Cf", "Co", "Zl", "Zp")


def _script_joins(character: str) -> bool:
    """Arabic, Syriac, and the scripts of India, where a joiner changes the letters next to it."""
    return 0x0600 <= ord(character) <= 0x0DFF or character == "\ufe0f"


def _lookalike(text: _Text) -> Iterator[Finding]:
    """Words that mix Latin letters with others that look like them, or that are made of styled letters."""
    for word in _WORD.finditer(text.text):
        odd = [letter for letter in word[0] if letter in _LOOKALIKES]
        if odd and len(word[0]) > 2 and any("a" <= letter.lower() <= "z" for letter in word[0]):
            names = ", ".join(sorted({unicodedata.name(letter, "?").title() for letter in odd})[:3])
            yield Finding("lookalike", text.where, word[0][:QUOTE_CHARS], f"letters that look like others: {names}")
            return
        styled = sum(unicodedata.normalize("NFKC", letter) != letter and ord(letter) > 0x2000 for letter in word[0])
        if styled >= 4 and re.fullmatch(r"[A-Za-z]+", unicodedata.normalize("NFKC", word[0])):
            yield Finding("lookalike", text.where, word[0][:QUOTE_CHARS], "styled letters that a search does not find")
            return


def _blobs(text: _Text) -> Iterator[Finding]:
    """Encoded texts: what decodes to something that can be read; not a hash, a path or a picture."""
    for found in _candidates(text.text):
        words = _decoded(found)
        if words is not None:
            yield Finding(
                "encoded", text.where, found[:QUOTE_CHARS], f"an encoded text: {_quote(words, 0, QUOTE_CHARS)}"
            )
            return
    escaped = _ESCAPED.search(text.text)
    if escaped is not None:
        yield Finding("encoded", text.where, escaped[0][:QUOTE_CHARS], "characters written as numbers")


def _candidates(text: str) -> Iterator[str]:
    for shape in (_BASE64, _HEX):
        for hit in shape.finditer(text):
            yield hit[0]


def _decoded(blob: str) -> str | None:
    """The words in a blob, or None when it holds none."""
    for decode in (bytes.fromhex, _from_base64):
        try:
            words = decode(blob).decode("utf-8")
        except (ValueError, binascii.Error):
            continue
        letters = sum(character.isalpha() or character == " " for character in words)
        if len(words) >= 12 and words.isprintable() and letters > 0.7 * len(words):
            return words
    return None


def _from_base64(blob: str) -> bytes:
    return base64.b64decode(blob + "=" * (-len(blob) % 4), validate=True)


def _foreign_names(ref: ToolRef, others: Iterable[ToolRef]) -> frozenset[str]:
    """How tools of other servers may be named in a text: in full, or alone if that is no plain word."""
    names: set[str] = set()
    own = {ref.name}
    for other in others:
        if other.server == ref.server:
            own.add(other.name)
            continue
        names |= {str(other), other.model_name}
        if len(other.name) >= _MIN_NAME_CHARS and re.search(r"\w[_.-]\w|[a-z][A-Z]", other.name):
            names.add(other.name)
    return frozenset(names - own)


def _plain(text: str) -> str:
    """A text as the patterns want it: no unseen characters, look-alikes as plain letters, one line."""
    kept = "".join(character for index, character in enumerate(text) if not _is_unseen(text, index))
    letters = unicodedata.normalize("NFKC", kept).translate(_PLAINLY)
    return re.sub(r"\s+", " ", letters.replace("\u2019", "'"))


def _quote(text: str, start: int, end: int) -> str:
    """A piece of a text and a little around it, in one line, with what can't be seen written out."""
    piece = text[max(0, start - 20) : min(end, start + QUOTE_CHARS) + 20]
    shown = "".join(
        f"<U+{ord(c):04X}>" if unicodedata.category(c) in ("Cf", "Co", "Cc") and not c.isspace() else c for c in piece
    )
    return " ".join(shown.split())
