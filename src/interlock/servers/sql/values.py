"""Values of a database as JSON that every reader takes the same way, and digests over rows in any order."""

import base64
import bisect
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from interlock.servers.sql.limits import SAMPLE_ROWS, SAMPLE_VALUE_CHARACTERS

SAFE_INTEGER = 2**53 - 1
MODULUS = 2**256
LATER = "(decided when it runs)"

Row = tuple[Any, ...]
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def plain(value: Any) -> Any:
    """A value as JSON: what JSON can't hold exactly is text, bytes are `{base64, bytes}`."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return {"base64": base64.b64encode(bytes(value)).decode(), "bytes": len(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return str(value)


def shortened(value: Any, characters: int) -> tuple[Any, bool]:
    """A plain value of at most so many characters, and whether something was left out."""
    if isinstance(value, str):
        if len(value) <= characters:
            return value, False
        return f"{value[:characters]}... ({len(value):,} characters)", True
    if isinstance(value, dict) and set(value) == {"base64", "bytes"}:
        if len(value["base64"]) <= characters:
            return value, False
        return {**value, "base64": f"{value['base64'][: characters // 4 * 4]}..."}, True
    if isinstance(value, dict | list) and len(text := compact(value)) > characters:
        return f"{text[:characters]}... ({len(text):,} characters of JSON)", True
    return value, False


def compact(value: Any) -> str:
    """JSON without spaces, keys sorted: the same text for the same value."""
    return _ENCODER.encode(value)


def sha256_of(value: Any) -> str:
    """Hash of a plain value."""
    return hashlib.sha256(compact(value).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass
class RowSet:
    """Rows that pass by: their number, a digest that no order changes, and a few of them to show.

    Attributes:
        key: columns that name a row; the rows with the smallest keys are shown.
        unknown: columns whose values are decided only when the statement runs; not in the digest, not shown.
    """

    columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    unknown: frozenset[str] = frozenset()
    rows: int = 0
    total: int = 0
    _shown: list[tuple[str, str, list[Any]]] = field(default_factory=list)
    _places: tuple[int, ...] = ()
    _later: tuple[int, ...] = ()

    def take(self, columns: Sequence[str], row: Row) -> None:
        """Count and digest one row."""
        if not self.columns:
            self._settle(columns)
        known = [plain(value) for value in row]
        for place in self._later:
            known[place] = LATER
        text = compact(known)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        self.total = (self.total + int.from_bytes(digest, "big")) % MODULUS
        self.rows += 1
        name = "\x1f".join([str(known[place]) for place in self._places]) if self._places else text
        if len(self._shown) < SAMPLE_ROWS or (name, text) < self._shown[-1][:2]:
            bisect.insort(self._shown, (name, text, known), key=lambda item: item[:2])
            del self._shown[SAMPLE_ROWS:]

    def _settle(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self._later = tuple(place for place, name in enumerate(columns) if name in self.unknown)
        if set(self.key) <= set(columns) and not self.unknown & set(self.key):
            self._places = tuple(self.columns.index(name) for name in self.key)

    @property
    def digest(self) -> str:
        """Over all rows."""
        return f"{self.rows}:{self.total:064x}"

    def sample(self) -> dict[str, dict[str, Any]]:
        """A few rows by their name, each as `{column: value}`; the same ones for the same rows."""
        found: dict[str, dict[str, Any]] = {}
        for name, _, known in self._shown:
            unique = f"{name}#{len(found)}" if name in found else name
            pairs = zip(self.columns, known, strict=True)
            found[unique] = {column: shortened(value, SAMPLE_VALUE_CHARACTERS)[0] for column, value in pairs}
        return found
