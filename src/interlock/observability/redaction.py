"""Takes secrets out of a text before it is logged, recorded or shown: known values first, then the usual shapes."""

import re
from collections.abc import Iterable

HIDDEN = "***"
_SHAPES = re.compile(
    r"sk-[A-Za-z0-9_-]{16,}|ilk_[A-Za-z0-9]+_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?i:(?<=password=)|(?<=passwd=)|(?<=token=)|(?<=secret=)|(?<=api_key=)|(?<=bearer ))[^\s\"'&,;]{4,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
_MIN_KNOWN_CHARS = 6


def redact(text: str, known: Iterable[str] = ()) -> str:
    """Return the text with every known secret and everything that looks like one replaced by `***`."""
    for value in sorted(set(known), key=len, reverse=True):
        if len(value) >= _MIN_KNOWN_CHARS:
            text = text.replace(value, HIDDEN)
    return _SHAPES.sub(HIDDEN, text)
