"""Looking through folders for the reading tools: sorted, bounded, never through a link."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from interlock.servers.workspace.limits import DEPTH, VISITED_ENTRIES
from interlock.servers.workspace.paths import Parts, is_protected, is_temporary
from interlock.servers.workspace.root import FOLDER_FLAGS, Root, kind_of


@dataclass(frozen=True)
class Found:
    """Something in a folder; `size` in bytes, of files only."""

    parts: Parts
    kind: str
    size: int | None


def walk(root: Root, folder: Parts, *, recursive: bool) -> Iterator[Found]:
    """What is in a folder, each folder followed by what is inside it; stops after a fixed number of entries.

    The inside of a `.git` is left out unless the walk starts there.

    Raises:
        UserError: a link leads to the folder.
        OSError: the folder is missing or may not be read.
    """
    with root.folder(folder) as fd:
        below = _below(fd, folder, recursive, is_protected(folder))
        for count, found in enumerate(below, start=1):
            yield found
            if count >= VISITED_ENTRIES:
                return


def _below(fd: int, folder: Parts, recursive: bool, inside_git: bool) -> Iterator[Found]:
    for name in sorted(os.listdir(fd)):
        if is_temporary(name):
            continue
        parts = (*folder, name)
        try:
            info = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            continue
        kind = kind_of(info)
        yield Found(parts, kind, info.st_size if kind == "file" else None)
        hidden = is_protected(parts) and not inside_git
        if recursive and kind == "dir" and not hidden and len(parts) <= DEPTH:
            yield from _inside(fd, parts, inside_git)


def _inside(fd: int, parts: Parts, inside_git: bool) -> Iterator[Found]:
    try:
        child = os.open(parts[-1], FOLDER_FLAGS, dir_fd=fd)
    except OSError:  # unreadable, or gone meanwhile: its name is listed, its inside is not
        return
    try:
        yield from _below(child, parts, True, inside_git)
    finally:
        os.close(child)


def fits(parts: Parts, glob: str | None) -> bool:
    """Whether a path fits a glob: `*` and `?` stay within a name, `**` spans folders; without a slash it is the name's.

    The work is bounded: names are matched one by one, so stars can't multiply.
    """
    if glob is None:
        return True
    pieces = [piece for piece in glob.split("/") if piece not in ("", ".")]
    if len(pieces) == 1 and pieces[0] != "**":
        return bool(parts) and fnmatchcase(parts[-1], pieces[0])
    reached = {0}  # how many pieces can be used up by the names so far
    for name in parts:
        reached = _advance(_skip_stars(reached, pieces), pieces, name)
    return len(pieces) in _skip_stars(reached, pieces)


def _advance(reached: set[int], pieces: list[str], name: str) -> set[int]:
    following: set[int] = set()
    for index in reached:
        if index == len(pieces):
            continue
        if pieces[index] == "**":
            following.add(index)
        elif fnmatchcase(name, pieces[index]):
            following.add(index + 1)
    return following


def _skip_stars(reached: set[int], pieces: list[str]) -> set[int]:
    closed = set(reached)
    for index, piece in enumerate(pieces):
        if piece == "**" and index in closed:
            closed.add(index + 1)
    return closed


def printable(parts: Parts) -> str:
    """The path as text, bytes that are no UTF-8 escaped."""
    return os.fsencode("/".join(parts)).decode("utf-8", "backslashreplace") if parts else "."
