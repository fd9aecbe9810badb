"""The reading tools `list` and `read`."""

import base64
import codecs
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from interlock.model import UserError
from interlock.servers.workspace.limits import LIST_ENTRIES, MIB, READ_BYTES, READ_FILE_BYTES, READ_LINES
from interlock.servers.workspace.paths import Parts, named, parse_path
from interlock.servers.workspace.plan import decoded
from interlock.servers.workspace.root import Root, kind_of
from interlock.servers.workspace.walk import Found, fits, printable, walk

SKIP_BYTES = 64 * 1024


def list_folder(root: Root, args: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """`{path?, recursive?, glob?}`: the text, and `{path, entries: [{path, kind, size, target}], truncated}`.

    Raises:
        UserError: the path is refused, missing, or no folder.
        OSError: the folder may not be read.
    """
    asked = parse_path(args.get("path", "."))
    folder = root.resolve(asked)
    require_kind(root, asked, folder, "dir")
    found: list[Found] = []
    truncated = False
    for entry in walk(root, folder, recursive=args.get("recursive", False)):
        if fits(entry.parts[len(folder) :], args.get("glob")):
            if len(found) == LIST_ENTRIES:
                truncated = True
                break
            found.append(entry)
    entries = [_listed(root, entry, asked, folder) for entry in found]
    lines = [_line(entry) for entry in entries] or ["Nothing is there that fits."]
    if truncated:
        lines.append(f"... cut at {LIST_ENTRIES:,} entries; name a folder inside, or give a glob.")
    return "\n".join(lines), {"path": printable(asked), "entries": entries, "truncated": truncated}


def read_file(root: Root, args: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """`{path, offset_line?, limit_lines?}`: the text, and what part of the file it is.

    Shape of the second: `{path, size, offset_line, lines, truncated, next_offset_line}`.

    Raises:
        UserError: the path is refused or missing, or the file is binary, special or too large.
        OSError: the file may not be read.
    """
    asked = parse_path(args["path"])
    parts = root.resolve(asked)
    require_kind(root, asked, parts, "file")
    offset, limit = args.get("offset_line", 1), args.get("limit_lines", READ_LINES)
    with root.file(parts) as fd, os.fdopen(fd, "rb", closefd=False) as stream:
        size_bytes = os.fstat(fd).st_size
        if size_bytes > READ_FILE_BYTES:
            raise UserError(f"{named(asked)} has {size_bytes:,} bytes, which is too large to read; use another tool.")
        skipped = _skip(stream, offset - 1)
        if skipped < offset - 1:
            raise UserError(f"{named(asked)} has only about {skipped + 1} lines; give a smaller offset_line.")
        part = _take(stream, limit)
    text = part.text(asked, size_bytes)
    following = offset + part.lines if part.truncated else None
    structured = {
        "path": printable(asked),
        "size": size_bytes,
        "offset_line": offset,
        "lines": part.lines,
        "truncated": part.truncated,
        "next_offset_line": following,
    }
    if part.truncated:
        cut = (
            f"Line {offset} is longer than {READ_BYTES // MIB} MiB; only its start is shown. " if part.line_cut else ""
        )
        text += f"\n[{cut}The file goes on; continue with offset_line {following}.]"
    return text, structured


def read_bytes(root: Root, args: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """`{path, offset_bytes?}`: up to 1 MiB of a file of any kind, without following links.

    Shape of the second: `{path, size, offset_bytes, content (base64), next_offset_bytes or null}`.

    Raises:
        UserError: the path is refused, or is no regular file.
        OSError: the file is missing or may not be read.
    """
    parts, offset = parse_path(args["path"]), args.get("offset_bytes", 0)
    require_kind(root, parts, parts, "file")
    with root.file(parts) as fd, os.fdopen(fd, "rb", closefd=False) as stream:
        size_bytes = os.fstat(fd).st_size
        stream.seek(offset)
        content = stream.read(READ_BYTES)
    following = offset + len(content)
    structured = {
        "path": printable(parts),
        "size": size_bytes,
        "offset_bytes": offset,
        "content": base64.b64encode(content).decode(),
        "next_offset_bytes": following if content and following < size_bytes else None,
    }
    return f"{len(content):,} bytes", structured


def require_kind(root: Root, asked: Parts, parts: Parts, kind: str) -> None:
    """Check what a path is, once links are followed.

    Raises:
        UserError: it is missing or something else.
    """
    info = root.lstat(parts)
    if info is None:
        raise UserError(f"{named(asked)} does not exist; use 'list' to look for it.")
    found = kind_of(info)
    if found == "special":
        raise UserError(f"{named(asked)} is a pipe, socket or device; only regular files can be read.")
    if kind == "dir" and found == "file":
        raise UserError(f"{named(asked)} is a file, not a folder; use 'read'.")
    if kind == "file" and found == "dir":
        raise UserError(f"{named(asked)} is a folder, not a file; use 'list'.")


@dataclass(frozen=True)
class _Part:
    content: bytes
    lines: int
    truncated: bool
    line_cut: bool

    def text(self, asked: Parts, size_bytes: int) -> str:
        if not self.line_cut:
            try:
                return decoded(asked, self.content)
            except UserError as error:
                raise _binary(asked, size_bytes) from error
        try:
            # A cut line may end inside a character: leave that one out.
            return codecs.getincrementaldecoder("utf-8")().decode(self.content)
        except UnicodeDecodeError as error:
            raise _binary(asked, size_bytes) from error


def _binary(asked: Parts, size_bytes: int) -> UserError:
    return UserError(f"{named(asked)} is a binary file of {size_bytes:,} bytes, not UTF-8 text; it can't be shown.")


def _skip(stream: IO[bytes], lines: int) -> int:
    skipped = 0
    while skipped < lines:
        piece = stream.readline(SKIP_BYTES)
        if not piece:
            break
        skipped += piece.endswith(b"\n")
    return skipped


def _take(stream: IO[bytes], limit: int) -> _Part:
    taken, lines = bytearray(), 0
    while lines < limit:
        piece = stream.readline(READ_BYTES + 1)
        if not piece:
            return _Part(bytes(taken), lines, truncated=False, line_cut=False)
        if len(taken) + len(piece) > READ_BYTES:
            if taken:
                return _Part(bytes(taken), lines, truncated=True, line_cut=False)
            return _Part(piece[:READ_BYTES], 1, truncated=True, line_cut=True)
        taken += piece
        lines += 1
    return _Part(bytes(taken), lines, truncated=bool(stream.read(1)), line_cut=False)


def _listed(root: Root, entry: Found, asked: Parts, folder: Parts) -> dict[str, Any]:
    # A listing through a link names what the caller can use: the path that was asked for.
    parts = (*asked, *entry.parts[len(folder) :])
    target = None
    if entry.kind == "symlink":
        try:
            target = printable(root.resolve(entry.parts))
        except (UserError, OSError):
            target = "(outside the workspace)"
    return {"path": printable(parts), "kind": entry.kind, "size": entry.size, "target": target}


def _line(entry: dict[str, Any]) -> str:
    if entry["kind"] == "dir":
        return f"{entry['path']}/"
    if entry["kind"] == "file":
        return f"{entry['path']}  ({entry['size']:,} bytes)"
    return f"{entry['path']} -> {entry['target']}" if entry["target"] else f"{entry['path']}  (special)"
