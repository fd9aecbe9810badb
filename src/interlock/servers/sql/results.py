"""Rows for a model: bounded in number and bytes, with a mark when there are more."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from interlock.servers.sql.limits import RESULT_BYTES, VALUE_CHARACTERS
from interlock.servers.sql.values import Row, plain, shortened


@dataclass
class Page:
    """Rows that are kept until there are enough of them.

    Attributes:
        max_rows: keep no more than these.
        columns: `{name, type}` each.
        full: no row fits any more.
        cut_values: how many values were shortened.
        size: of the rows as JSON, in bytes.
    """

    max_rows: int
    columns: list[dict[str, Any]] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    full: bool = False
    cut_values: int = 0
    size: int = 0

    def take(self, row: Row) -> bool:
        """Keep a row; False when there is no more room and it was left out."""
        if self.full:
            return False
        pairs = [shortened(plain(value), VALUE_CHARACTERS) for value in row]
        values = [value for value, _ in pairs]
        size = len(json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass")) + 1
        if len(self.rows) >= self.max_rows or (self.rows and self.size + size > RESULT_BYTES):
            self.full = True
            return False
        self.rows.append(values)
        self.size += size
        self.cut_values += sum(cut for _, cut in pairs)
        return True

    def to_json(self) -> dict[str, Any]:
        """Shape `{columns: [{name, type}], rows: [[value]], truncated, cut_values}`."""
        return {
            "columns": self.columns,
            "rows": self.rows,
            "truncated": self.full,
            "cut_values": self.cut_values,
        }


def table_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as lines of JSON below a line of column names: short, and exact."""
    lines = [json.dumps(list(columns), ensure_ascii=False)]
    lines += [json.dumps(row, ensure_ascii=False) for row in rows]
    return "\n".join(lines)
