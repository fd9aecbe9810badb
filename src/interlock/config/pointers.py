"""JSON pointers (RFC 6901): a place in a JSON document as a text such as `/alerts/0/labels`."""

import re
from typing import Any

MAX_POINTER_CHARS = 1000
_TOKEN = re.compile(r"(?:[^~]|~[01])*", re.DOTALL)
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


def parse_pointer(text: str) -> tuple[str, ...]:
    """The names and indexes that lead to a place; none for the whole document.

    Raises:
        ValueError: the text is no pointer.
    """
    if len(text) > MAX_POINTER_CHARS or (text and not text.startswith("/")) or not _TOKEN.fullmatch(text):
        raise ValueError(f"found '{text[:60]}'; expected a JSON pointer such as /alerts/0/labels, or '' for all of it")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:])


def look_up(document: Any, pointer: str) -> Any:
    """What is at a place.

    Raises:
        LookupError: there is nothing.
        ValueError: the text is no pointer.
    """
    found = document
    for token in parse_pointer(pointer):
        if isinstance(found, dict):
            found = found[token]
        elif isinstance(found, list) and _INDEX.fullmatch(token):
            found = found[int(token)]
        else:
            raise LookupError(token)
    return found
