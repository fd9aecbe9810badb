"""A changing call as a plan: the present state, the steps, and the state that they lead to.

`preview` stops here; performing a call applies exactly these steps. So what was shown is what runs.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from interlock.model import UserError
from interlock.servers.workspace.entries import Entry, State, file_entry, state_of
from interlock.servers.workspace.limits import DEPTH, MIB, WRITE_BYTES
from interlock.servers.workspace.opening import OpenFolder
from interlock.servers.workspace.paths import (
    Parts,
    is_below,
    is_protected,
    named,
    parse_path,
    require_changeable,
    require_new_name,
    show,
    topmost,
)
from interlock.servers.workspace.root import Root, kind_of
from interlock.servers.workspace.snapshot import Keep, capture


@dataclass(frozen=True)
class MakeFolder:
    """Make a folder that does not exist, with exactly this mode."""

    parts: Parts
    mode: int


@dataclass(frozen=True)
class PutFile:
    """Put a whole file in place at once; `seen` is the file it replaces, None when nothing may be there.

    `content` may also be a file of ours outside the root, to be copied.
    """

    parts: Parts
    content: bytes | Path
    mode: int
    seen: Entry | None = None
    mtime_ns: int | None = None
    owner: tuple[int, int] | None = None


@dataclass(frozen=True)
class PutLink:
    """Make a symbolic link where nothing is."""

    parts: Parts
    target: str
    mtime_ns: int | None
    owner: tuple[int, int] | None


@dataclass(frozen=True)
class Remove:
    """Remove a file, a link or an empty folder, if it still is what was seen."""

    parts: Parts
    seen: Entry


@dataclass(frozen=True)
class Rename:
    """Give something another path where nothing is."""

    source: Parts
    target: Parts


@dataclass(frozen=True)
class SetFolder:
    """Give a folder its mode, time and owner."""

    parts: Parts
    mode: int
    mtime_ns: int | None = None
    owner: tuple[int, int] | None = None


@dataclass(frozen=True)
class Touch:
    """Give a file its time of change."""

    parts: Parts
    mtime_ns: int


Step: TypeAlias = OpenFolder | MakeFolder | PutFile | PutLink | Remove | Rename | SetFolder | Touch


@dataclass(frozen=True)
class Plan:
    """What a call will do.

    Attributes:
        touched: the paths that hold everything the call changes; to capture them is to be able to undo it.
        before: the state of `touched` now.
        after: the state of `touched` once the steps are done.
        steps: in the order in which they are done.
        moves: pairs of source and target.
    """

    touched: tuple[Parts, ...]
    before: State
    after: State
    steps: tuple[Step, ...]
    moves: tuple[tuple[Parts, Parts], ...] = ()


@dataclass(frozen=True)
class Way:
    """The folders that have to be made so that a path can exist.

    Attributes:
        top: the first of them, or the path itself when all are there.
        folders: how each will be.
    """

    top: Parts
    folders: tuple[Entry, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The folders as steps, outermost first."""
        return tuple(MakeFolder(folder.parts, folder.mode or 0) for folder in self.folders)


def make_way(root: Root, parts: Parts) -> Way:
    """Find out which folders are missing above a path.

    Raises:
        UserError: a name on the way is no folder, or the last folder that exists can't be written to.
    """
    way = find_way(root, parts)
    require_room(root, way.top[:-1])
    return way


def find_way(root: Root, parts: Parts) -> Way:
    """As `make_way`, whatever the permissions are.

    Raises:
        UserError: a name on the way is no folder.
    """
    for depth in range(1, len(parts)):
        folder = parts[:depth]
        info = root.lstat(folder)
        if info is None:
            parent = root.lstat(folder[:-1])
            inherited = parent.st_mode & 0o2000 if parent else 0
            mode = 0o777 & ~root.umask | inherited
            missing = (parts[:below] for below in range(depth, len(parts)))
            return Way(folder, tuple(Entry(name, "dir", mode=mode) for name in missing))
        kind = kind_of(info)
        if kind != "dir":
            what = "a symbolic link, which is not followed here" if kind == "symlink" else "not a folder"
            raise UserError(f"{named(folder)} is {what}; choose a path through real folders.")
    return Way(parts, ())


def require_room(root: Root, folder: Parts) -> None:
    """Check that names in this folder can be added and removed.

    Raises:
        UserError: the permissions forbid it.
    """
    with root.folder(folder) as fd:
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=fd, effective_ids=True):
            raise UserError(f"{named(folder)} is write-protected for this server; choose another folder.")


def plan_write(root: Root, args: Mapping[str, Any]) -> Plan:
    """`{path, content, mode?}`: create a file, or replace it when `mode` is `overwrite`.

    Raises:
        UserError: the path is refused, or is taken by something else.
    """
    parts = parse_path(args["path"])
    require_changeable(parts)
    content = _encoded(args["content"])
    kind = _kind(root, parts)
    if kind not in ("missing", "file"):
        raise UserError(f"{named(parts)} is a {_noun(kind)}, not a file; choose another path.")
    if kind == "missing":
        require_new_name(parts)
    way = make_way(root, parts)
    before = capture(root, (way.top,), Keep.FOR_DIFF)
    present = before.get(parts)
    if present is None or present.kind == "missing":
        made = file_entry(parts, content, 0o666 & ~root.umask)
        steps = (*way.steps, PutFile(parts, content, made.mode or 0))
        return Plan((way.top,), before, state_of((*way.folders, made)), steps)
    made = file_entry(parts, content, (present.mode or 0) & 0o777)
    if made.sha256 == present.sha256:
        return Plan((parts,), before, before, ())
    if args.get("mode", "create") != "overwrite":
        raise UserError(f"{named(parts)} already exists; use 'edit', or mode 'overwrite' to replace all of it.")
    return _replacing(before, present, made)


def plan_edit(root: Root, args: Mapping[str, Any]) -> Plan:
    """`{path, old, new, all?}`: replace text in a file.

    Raises:
        UserError: the path is refused, is no text file, or does not hold `old` exactly once.
    """
    parts = parse_path(args["path"])
    require_changeable(parts)
    kind = _kind(root, parts)
    if kind == "missing":
        raise UserError(f"{named(parts)} does not exist; use 'write' to create it, or 'list' to look for it.")
    if kind != "file":
        raise UserError(f"{named(parts)} is a {_noun(kind)}, not a file; only text files can be edited.")
    require_room(root, parts[:-1])
    info = root.lstat(parts)
    if info is not None and info.st_size > WRITE_BYTES:
        raise UserError(f"{named(parts)} has {info.st_size:,} bytes; at most {WRITE_BYTES:,} can be edited.")
    before = capture(root, (parts,), Keep.ALL)
    present = before[parts]
    text = _replaced(parts, present.content or b"", args)
    return _replacing(before, present, file_entry(parts, _encoded(text), (present.mode or 0) & 0o777))


def plan_move(root: Root, args: Mapping[str, Any]) -> Plan:
    """`{source, target}`: give a file, folder or link another path.

    Raises:
        UserError: a path is refused, the source is missing, or the target is taken.
    """
    source, target = parse_path(args["source"]), parse_path(args["target"])
    require_changeable(source)
    require_changeable(target)
    require_new_name(target)
    if _kind(root, source) == "missing":
        raise UserError(f"{named(source)} does not exist; use 'list' to look for it.")
    if is_below(target, source):
        raise UserError(f"{named(source)} can't be moved to itself or into itself; choose another target.")
    _require_free(root, target)
    way = make_way(root, target)
    require_room(root, source[:-1])
    touched = topmost((source, way.top))
    before = capture(root, touched, Keep.FOR_DIFF)
    moved = [
        replace(entry, parts=(*target, *entry.parts[len(source) :]))
        for entry in before.values()
        if is_below(entry.parts, source)
    ]
    _require_no_git(entry for entry in before.values() if is_below(entry.parts, source))
    if any(len(entry.parts) > DEPTH for entry in moved):
        raise UserError(f"The move would make paths of more than {DEPTH} folders; choose a target that is less deep.")
    after = state_of((Entry(source, "missing"), *way.folders, *moved))
    return Plan(touched, before, after, (*way.steps, Rename(source, target)), ((source, target),))


def plan_delete(root: Root, args: Mapping[str, Any]) -> Plan:
    """`{paths, recursive?}`: remove files, links and folders; all of them or, when one is refused, none.

    Raises:
        UserError: a path is refused or missing, or a folder is not empty and `recursive` is not set.
    """
    paths = [parse_path(text) for text in args["paths"]]
    for parts in paths:
        require_changeable(parts)
        if _kind(root, parts) == "missing":
            raise UserError(f"{named(parts)} does not exist, so nothing was deleted; use 'list' to look for it.")
    touched = topmost(paths)
    before = capture(root, touched, Keep.FOR_DIFF)
    _require_no_git(before.values())
    if not args.get("recursive", False):
        _require_no_content(before, touched)
    for folder in sorted({parts[:-1] for parts in before}):
        require_room(root, folder)
    steps = tuple(Remove(entry.parts, entry) for entry in reversed(before.values()))
    return Plan(touched, before, state_of(Entry(parts, "missing") for parts in touched), steps)


PLANNERS: Mapping[str, Callable[[Root, Mapping[str, Any]], Plan]] = {
    "write": plan_write,
    "edit": plan_edit,
    "move": plan_move,
    "delete": plan_delete,
}


def _replacing(before: State, present: Entry, made: Entry) -> Plan:
    if not (present.mode or 0) & 0o222:
        raise UserError(f"{named(made.parts)} is read-only (mode {present.mode or 0:04o}); it is not changed.")
    step = PutFile(made.parts, made.content or b"", made.mode or 0, seen=present, owner=present.owner)
    return Plan((made.parts,), before, state_of((made,)), (step,))


def _replaced(parts: Parts, content: bytes, args: Mapping[str, Any]) -> str:
    old, new = args["old"], args["new"]
    text = decoded(parts, content)
    found = text.count(old)
    if found == 0:
        raise UserError(f"The text of 'old' is not in {named(parts)}; 'read' the file and copy the text exactly.")
    if found > 1 and not args.get("all", False):
        raise UserError(
            f"The text of 'old' is in {named(parts)} {found} times; add lines around it until it fits one place, "
            "or set 'all' to true."
        )
    if old == new:
        raise UserError("'old' and 'new' are the same, so nothing would change; give the text that should be there.")
    grown_characters = len(text) + found * (len(new) - len(old))
    if grown_characters > WRITE_BYTES:
        raise UserError(f"The file would grow over {WRITE_BYTES // MIB} MiB; split it into several files.")
    return text.replace(old, new)


def decoded(parts: Parts, content: bytes) -> str:
    """The content as text.

    Raises:
        UserError: it is binary.
    """
    try:
        if b"\x00" not in content:
            return content.decode()
    except UnicodeDecodeError:
        pass
    raise UserError(
        f"{named(parts)} is a binary file of {len(content):,} bytes, not UTF-8 text; it can't be shown or edited."
    )


def _encoded(text: str) -> bytes:
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise UserError("The content is not valid Unicode; send plain UTF-8 text.") from error
    if len(content) > WRITE_BYTES:
        raise UserError(
            f"The content has {len(content):,} bytes; at most {WRITE_BYTES:,} are allowed. Split it into several files."
        )
    return content


def _kind(root: Root, parts: Parts) -> str:
    info = root.lstat(parts)
    if info is None:
        return "missing"
    kind = kind_of(info)
    if kind == "special":
        raise UserError(f"{named(parts)} is a pipe, socket or device; it can't be changed here.")
    return kind


def _noun(kind: str) -> str:
    return {"dir": "folder", "symlink": "symbolic link"}.get(kind, kind)


def _require_free(root: Root, target: Parts) -> None:
    kind = _kind(root, target)
    if kind == "dir":
        raise UserError(f"{named(target)} is a folder that exists; give the whole new path, with the new name.")
    if kind != "missing":
        raise UserError(f"{named(target)} already exists and is not overwritten; choose another target.")


def _require_no_git(entries: Iterable[Entry]) -> None:
    for entry in entries:
        if is_protected(entry.parts):
            folder = entry.parts[:-1]
            raise UserError(f"{named(folder)} holds a git repository, which can't be moved or deleted here.")


def _require_no_content(before: State, touched: tuple[Parts, ...]) -> None:
    full = [parts for parts in touched if sum(is_below(other, parts) for other in before) > 1]
    if full:
        names = ", ".join(named(parts) for parts in full[:5])
        raise UserError(f"{names}: not empty, so nothing was deleted; set 'recursive' to true to delete all inside.")


def shown(paths: tuple[Parts, ...]) -> list[str]:
    """Paths as callers write them."""
    return [show(parts) for parts in paths]
