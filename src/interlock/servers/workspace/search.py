"""The reading tool `search`: text in files, bounded in files, bytes, results and time."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeAlias

from interlock.model import Exhausted, UserError
from interlock.servers.workspace.limits import (
    SEARCH_DEADLINE_S,
    SEARCH_FILE_BYTES,
    SEARCH_LINE_CHARACTERS,
    SEARCH_RESULTS,
    SEARCH_TOTAL_BYTES,
)
from interlock.servers.workspace.paths import Parts, named, parse_path
from interlock.servers.workspace.root import Root
from interlock.servers.workspace.walk import fits, printable, walk

DEFAULT_RESULTS = 100
MATCHER = Path(__file__).with_name("matcher.py")
CONTEXT_CHARACTERS = 80

Finder: TypeAlias = Callable[[str], list[tuple[int, int]]]


@dataclass
class _Search:
    limit: int
    results: list[dict[str, Any]] = field(default_factory=list)
    files: int = 0
    skipped: int = 0
    read_bytes: int = 0
    stopped: str | None = None


def search(root: Root, args: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """`{pattern, path?, glob?, regex?, ignore_case?, max_results?}`: the text, and the matches.

    Shape of the second: `{matches: [{path, line, text}], files_searched, files_skipped, truncated}`.

    Raises:
        UserError: the path is refused or missing, or the regular expression is wrong.
        Exhausted: the regular expression took too long.
        OSError: the folder may not be read.
    """
    asked = parse_path(args.get("path", "."))
    start = root.resolve(asked)
    if root.lstat(start) is None:
        raise UserError(f"{named(asked)} does not exist; use 'list' to look for it.")
    found = _Search(args.get("max_results", DEFAULT_RESULTS))
    deadline_s = time.monotonic() + SEARCH_DEADLINE_S
    with _finder(args) as find:
        for parts, shown in _files(root, start, asked, args.get("glob")):
            if time.monotonic() > deadline_s:
                found.stopped = f"stopped after {SEARCH_DEADLINE_S:.0f} seconds"
            if found.stopped:
                break
            _search_file(root, parts, shown, find, found)
    return _told(found)


def _told(found: _Search) -> tuple[str, dict[str, Any]]:
    lines = [f"{match['path']}:{match['line']}: {match['text']}" for match in found.results]
    lines = lines or [f"Nothing was found in {found.files} files."]
    if found.skipped:
        lines.append(f"[{found.skipped} files were skipped: binary, too large or unreadable.]")
    if found.stopped:
        lines.append(f"[{found.stopped}; name a smaller folder, or give a glob or a narrower pattern.]")
    structured = {
        "matches": found.results,
        "files_searched": found.files,
        "files_skipped": found.skipped,
        "truncated": found.stopped is not None,
    }
    return "\n".join(lines), structured


def _files(root: Root, start: Parts, asked: Parts, glob: str | None) -> Iterator[tuple[Parts, Parts]]:
    """The files to look into: where each really is, and how the caller would name it."""
    info = root.lstat(start)
    if info is not None and not _is_folder(info):
        yield start, asked
        return
    for entry in walk(root, start, recursive=True):
        below = entry.parts[len(start) :]
        if entry.kind == "file" and fits(below, glob):
            yield entry.parts, (*asked, *below)


def _is_folder(info: os.stat_result) -> bool:
    return info.st_mode & 0o170000 == 0o040000


def _search_file(root: Root, parts: Parts, shown: Parts, find: Finder, found: _Search) -> None:
    text = _text(root, parts)
    if text is None:
        found.skipped += 1
        return
    found.files += 1
    found.read_bytes += len(text)
    if found.read_bytes > SEARCH_TOTAL_BYTES:
        found.stopped = f"stopped after {SEARCH_TOTAL_BYTES:,} bytes"
        return
    places = find(text)
    lines = text.split("\n") if places else []
    for number, offset in places:
        if len(found.results) >= found.limit:
            found.stopped = f"stopped after {found.limit} matches"
            return
        shown_line = _excerpt(lines[number - 1], offset)
        found.results.append({"path": printable(shown), "line": number, "text": shown_line})


def _text(root: Root, parts: Parts) -> str | None:
    try:
        with root.file(parts) as fd:
            if os.fstat(fd).st_size > SEARCH_FILE_BYTES:
                return None
            with os.fdopen(fd, "rb", closefd=False) as stream:
                content = stream.read(SEARCH_FILE_BYTES)
        return None if b"\x00" in content else content.decode()
    except (OSError, UserError, UnicodeDecodeError):
        return None


def _excerpt(line: str, offset: int) -> str:
    start = max(0, offset - CONTEXT_CHARACTERS) if len(line) > SEARCH_LINE_CHARACTERS else 0
    return line[start : start + SEARCH_LINE_CHARACTERS].rstrip("\r")


@contextmanager
def _finder(args: Mapping[str, Any]) -> Iterator[Finder]:
    pattern, ignore_case = args["pattern"], args.get("ignore_case", False)
    if args.get("regex", False):
        with _regex_finder(pattern, ignore_case) as find:
            yield find
    else:
        yield _literal_finder(pattern, ignore_case)


def _literal_finder(pattern: str, ignore_case: bool) -> Finder:
    wanted = pattern.casefold() if ignore_case else pattern

    def find(text: str) -> list[tuple[int, int]]:
        if not ignore_case and wanted not in text:
            return []
        found: list[tuple[int, int]] = []
        for number, line in enumerate(text.split("\n"), start=1):
            offset = (line.casefold() if ignore_case else line).find(wanted)
            if offset >= 0:
                found.append((number, offset))
                if len(found) > SEARCH_RESULTS:
                    break
        return found

    return find


@contextmanager
def _regex_finder(pattern: str, ignore_case: bool) -> Iterator[Finder]:
    """A matcher process that is killed at the deadline: a pattern can't hold up this server."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(MATCHER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"},
    )
    killer = threading.Timer(SEARCH_DEADLINE_S, process.kill)
    killer.daemon = True
    killer.start()
    try:
        stdin, stdout = _pipes(process)
        request = {"pattern": pattern, "ignore_case": ignore_case, "limit": SEARCH_RESULTS + 1}
        error = _ask(stdin, stdout, request)["error"]
        if error:
            raise UserError(f"The regular expression is wrong: {error}. Correct it, or leave out 'regex'.")
        yield lambda text: [(number, offset) for number, offset in _ask(stdin, stdout, text)]
    finally:
        killer.cancel()
        process.kill()
        with suppress(BrokenPipeError):
            process.communicate(timeout=SEARCH_DEADLINE_S)


def _pipes(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise Exhausted("The search process has no pipes; try again.")
    return process.stdin, process.stdout


def _ask(stdin: IO[bytes], stdout: IO[bytes], value: object) -> Any:
    answer = b""
    with suppress(BrokenPipeError):
        stdin.write(json.dumps(value).encode() + b"\n")
        stdin.flush()
        answer = stdout.readline()
    if not answer:
        raise Exhausted("The regular expression took too long or too much memory; use a simpler one, or no 'regex'.")
    return json.loads(answer)
