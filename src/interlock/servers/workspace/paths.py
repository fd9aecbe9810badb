"""What a path may be. Pure text: nothing here touches the disk.

A path is a tuple of names below the root; the root itself is the empty tuple, written `.`.
"""

import json
import re
from typing import TypeAlias

from interlock.model import UserError
from interlock.servers.workspace.limits import DEPTH, NAME_BYTES, PATH_BYTES

Parts: TypeAlias = tuple[str, ...]

ROOT: Parts = ()
TEMPORARY = re.compile(r"\.interlock-[0-9a-f]{16}\.tmp")
OPENINGS_NAME = ".interlock-0000000000000000.tmp"  # the record of folders that are open for a change
# Control characters and the marks that reverse the direction of text: they make a name look like another one.
DECEPTIVE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def parse_path(text: str) -> Parts:
    """Read a path relative to the root; `.` is the root, `./a`, `a/` and `a//b` are taken as meant.

    Raises:
        UserError: it is empty, absolute, too long, too deep, no valid Unicode, or holds `..` or a NUL character.
    """
    if not text:
        raise UserError("The path is empty; use '.' for the workspace folder itself.")
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        raise UserError("The path is not valid Unicode; give its real name.") from error
    if "\x00" in text:
        raise UserError("The path holds a NUL character; remove it.")
    if size_bytes > PATH_BYTES:
        raise UserError(f"The path has {size_bytes} bytes; at most {PATH_BYTES} are allowed.")
    if text.startswith("/"):
        raise UserError(f"{quoted(text)} is an absolute path; give a path relative to the workspace folder.")
    parts = tuple(part for part in text.split("/") if part not in ("", "."))
    if ".." in parts:
        raise UserError(f"{quoted(text)} holds '..'; give a path inside the workspace without it.")
    if len(parts) > DEPTH:
        raise UserError(f"The path goes {len(parts)} folders deep; at most {DEPTH} are allowed.")
    if any(len(part.encode()) > NAME_BYTES for part in parts):
        raise UserError(f"A name in the path is longer than {NAME_BYTES} bytes; use a shorter one.")
    if any(is_temporary(part) for part in parts):
        raise UserError(f"{show(parts)} is a name that this server keeps for itself; use another one.")
    return parts


def show(parts: Parts) -> str:
    """The path as a caller writes it: names joined by slashes, the root as `.`."""
    return "/".join(parts) if parts else "."


def quoted(text: str) -> str:
    """A path for a sentence: in quotes, odd characters escaped, at most 200 characters of it."""
    shown = text if len(text) <= 200 else f"{text[:200]}..."
    return json.dumps(shown, ensure_ascii=True) if DECEPTIVE.search(shown) else f"'{shown}'"


def named(parts: Parts) -> str:
    """The path for a sentence."""
    return quoted(show(parts))


def is_below(parts: Parts, folder: Parts) -> bool:
    """Whether `parts` is `folder` or inside it; compares whole names, so that a twin prefix never matches."""
    return parts[: len(folder)] == folder


def is_temporary(name: str) -> bool:
    """Whether the name is one of our own half-written files."""
    return TEMPORARY.fullmatch(name) is not None


def is_protected(parts: Parts) -> bool:
    """Whether the path is, or is inside, a `.git`: its hooks and settings are code that git runs."""
    return any(part.casefold() == ".git" for part in parts)


def require_changeable(parts: Parts) -> None:
    """Check that a change of this path may be asked for.

    Raises:
        UserError: it is the root, or inside a `.git`.
    """
    if not parts:
        raise UserError("The workspace folder itself can't be changed; name something inside it.")
    if is_protected(parts):
        raise UserError(
            f"{named(parts)} belongs to git, whose hooks and settings are code; it can't be changed here. "
            "Use a git tool instead."
        )


def require_new_name(parts: Parts) -> None:
    """Check that a new file or folder may carry this name.

    Raises:
        UserError: a name holds control characters or marks that reverse text.
    """
    if any(DECEPTIVE.search(part) for part in parts):
        raise UserError(f"{named(parts)} holds control characters; use a plain name.")


def topmost(paths: "list[Parts] | tuple[Parts, ...]") -> tuple[Parts, ...]:
    """The paths without repeats and without those inside another of them, sorted."""
    kept: list[Parts] = []
    for parts in sorted(set(paths)):
        if not (kept and is_below(parts, kept[-1])):
            kept.append(parts)
    return tuple(kept)
