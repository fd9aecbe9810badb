"""What was resolved and installed: the record for a whole state folder, and the mark that an installation is whole.

The record says which version an unpinned package became, until someone asks for another. The mark is written into an
installation as the last part of it, so that half of one never counts.
"""

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from interlock.model import InstallFailed
from interlock.tools.packages.locks import held
from interlock.tools.packages.spec import PackageSpec

RECORD_FILE, MARK_FILE = "packages.lock.json", "installed.json"
MAX_PACKAGES = 4096
_MAX_BYTES = 16 * 1024 * 1024
_LOCK_S = 30.0


@dataclass(frozen=True)
class Record:
    """One package, as it was resolved.

    Attributes:
        requested: the version that was asked for; None for the newest.
        version: what it became.
        integrity: a hash of what the registry delivered, with the kind of hash before it.
        built_with: what it depends on of this machine, such as `python 3.11`.
        parts: versions of the packages that came with it, by name, or by place for npm.
        installed_at: UTC, as ISO 8601.
    """

    registry: str
    name: str
    requested: str | None
    overrides: tuple[str, ...]
    version: str
    integrity: str
    built_with: str
    parts: Mapping[str, str]
    installed_at: str

    @property
    def spec(self) -> PackageSpec:
        """The package as it was asked for, without what is said of its start."""
        return PackageSpec("npm" if self.registry == "npm" else "pypi", self.name, self.requested, self.overrides)


@dataclass(frozen=True)
class Mark:
    """What is known of an installation that is whole.

    Attributes:
        programs: the words that start each program of it; `{folder}` in them is where it is.
    """

    version: str
    integrity: str
    built_with: str
    parts: Mapping[str, str]
    programs: Mapping[str, tuple[str, ...]]

    def write(self, folder: Path) -> None:
        """Declare the installation whole.

        Raises:
            OSError: it can't be written.
        """
        _write(folder / MARK_FILE, {"v": 1, **asdict(self)})

    @classmethod
    def read(cls, folder: Path) -> "Mark | None":
        """The mark of an installation; None if it has none, and so is not whole."""
        try:
            found = _parsed(cls, _read(folder / MARK_FILE))
        except (OSError, ValueError):
            return None
        programs = {name: tuple(words) for name, words in found.programs.items()}
        return cls(found.version, found.integrity, found.built_with, found.parts, programs)


class Records:
    """The record file of a state folder, shared by processes."""

    def __init__(self, home: Path) -> None:
        self.path = home / RECORD_FILE
        self._lock = home / "tools" / "packages" / ".locks" / "record"

    def find(self, key: str) -> Record | None:
        """What a package became, by `PackageSpec.key`.

        Raises:
            InstallFailed: the file can't be read as a record.
        """
        return self.all().get(key)

    def all(self) -> dict[str, Record]:
        """All of them by key, in the order of the file.

        Raises:
            InstallFailed: the file can't be read as a record.
        """
        try:
            content = _read(self.path)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise self._unfit(str(error)) from error
        try:
            records = [_parsed(Record, entry) for entry in content["packages"]]
        except (KeyError, TypeError, ValueError) as error:
            raise self._unfit("it is damaged") from error
        whole = [Record(**{**vars(record), "overrides": tuple(record.overrides)}) for record in records]
        return {record.spec.key: record for record in whole}

    def keep(self, record: Record) -> None:
        """Add a record, or put it in the place of the one of the same key.

        Raises:
            InstallFailed: the file can't be read as a record, or is full.
            OSError: it can't be written.
        """
        self._change(lambda records: {**records, record.spec.key: record})

    def drop(self, key: str) -> None:
        """Forget a package.

        Raises:
            InstallFailed: the file can't be read as a record.
            OSError: it can't be written.
        """
        self._change(lambda records: {other: record for other, record in records.items() if other != key})

    def _change(self, change: Callable[[dict[str, Record]], dict[str, Record]]) -> None:
        with held(self._lock, time.monotonic() + _LOCK_S, Event()):
            records = change(self.all())
            if len(records) > MAX_PACKAGES:
                raise InstallFailed(f"{MAX_PACKAGES} packages are installed already")
            _write(self.path, {"v": 1, "packages": [asdict(records[key]) for key in sorted(records)]})

    def _unfit(self, why: str) -> InstallFailed:
        hint = f"mv '{self.path}' '{self.path}.old', then: interlock tools install"
        return InstallFailed(f"{self.path} can't be read as the record of packages: {why}", hint=hint)


ShapeT = TypeVar("ShapeT", Record, Mark)


def _parsed(shape: type[ShapeT], content: Any) -> ShapeT:
    """A dataclass from JSON, with each field of the right kind.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(content, dict):
        raise ValueError("found no object")
    values: dict[str, Any] = {name.name: content.get(name.name) for name in fields(shape)}
    for name, value in values.items():
        if not isinstance(value, _KINDS.get(name, str)):
            raise ValueError(f"found no usable {name}")
    for words in (values.get("programs") or {}).values():
        if not (isinstance(words, list) and words and all(isinstance(word, str) for word in words)):
            raise ValueError("found no usable programs")
    return shape(**values)


_KINDS: dict[str, type | tuple[type, ...]] = {
    "requested": (str, type(None)),
    "overrides": list,
    "parts": dict,
    "programs": dict,
}


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        body = file.read(_MAX_BYTES + 1)
    if len(body) > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
    try:
        return json.loads(body)
    except (RecursionError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError("it is no JSON") from None


def _write(path: Path, content: Any) -> None:
    """Whole or not at all, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, sort_keys=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
