"""Do statements in an open transaction and measure what they do: the same way when it is shown and when it is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlglot.errors import SqlglotError

from interlock.model import UserError
from interlock.servers.sql.foresight import Foresight, bare_name, foresee, require_stageable
from interlock.servers.sql.limits import SAMPLE_ROWS
from interlock.servers.sql.results import Page
from interlock.servers.sql.session import Changed, Ran, Session, Unstageable, about_form
from interlock.servers.sql.statements import Statement
from interlock.servers.sql.values import Row, RowSet, sha256_of

ROW_KINDS = {"select", "insert", "update", "delete", "merge", "truncate", "analyze"}
SEQUENCES = "Numbers drawn from sequences stay used."


@dataclass(frozen=True)
class Step:
    """One statement that was done.

    Attributes:
        table: what it changes, where that is one table.
        before: rows as they were, where that can be told.
        after: rows as they are now, where that can be told.
        page: rows that it returns, for the answer.
        emptied: rows and digest of each table that it emptied or dropped.
    """

    statement: Statement
    ran: Ran
    seen: Foresight
    before: RowSet | None = None
    after: RowSet | None = None
    page: Page | None = None
    emptied: tuple[tuple[str, int, str | None], ...] = ()

    @property
    def rows(self) -> int:
        """Rows that it changed; none for a query."""
        if self.emptied:
            return sum(rows for _, rows, _ in self.emptied)
        return 0 if self.statement.kind == "select" else max(0, self.ran.rows)

    @property
    def tables(self) -> tuple[str, ...]:
        """Tables that it changes directly."""
        if self.emptied:
            return tuple(name for name, _, _ in self.emptied)
        return (self.seen.table.name,) if self.seen.table is not None else ()

    @property
    def draws(self) -> bool:
        """Whether it may draw numbers from sequences, which no rollback gives back."""
        fires = self.seen.table is not None and self.seen.table.triggers
        return self.statement.dialect == "postgres" and bool(self.statement.kind in ("insert", "merge") or fires)

    def to_json(self) -> dict[str, Any]:
        """Shape `{kind, table, rows}`."""
        return {"kind": self.statement.kind, "table": ", ".join(self.tables) or None, "rows": self.rows}


@dataclass(frozen=True)
class Measured:
    """What statements did, as it is shown and as it is compared."""

    steps: tuple[Step, ...]
    changed: Changed

    @property
    def touched(self) -> list[str]:
        """Tables that changed, by triggers and cascades too."""
        return sorted({*self.changed.tables, *(name for step in self.steps for name in step.tables)})

    @property
    def state_sha256(self) -> str:
        """Hash over what was done: to which rows, and what became of them where that is known beforehand."""
        return sha256_of([[self._facts(step, both=True) for step in self.steps], self._counted()])

    @property
    def state_sha256_after(self) -> str:
        """The same without the rows as they were."""
        return sha256_of([[self._facts(step, both=False) for step in self.steps], self._counted()])

    def _counted(self) -> list[Any]:
        return [sorted(self.changed.tables.items()), self.changed.rows]

    def _facts(self, step: Step, *, both: bool) -> list[Any]:
        before = step.before.digest if both and step.before is not None else None
        after = step.after.digest if step.after is not None else None
        return [step.statement.kind, step.tables, step.ran.rows, before, after, step.emptied]

    def effect(self) -> dict[str, Any]:
        """Shape `{rows_changed, statements: [{kind, table, rows}], tables: [{table, rows}], sample, schema_changed, note}`.

        Rows that are lost with a table or a column count as changed. A sample is `{table, before, after}`.
        """
        emptied = sum(step.rows for step in self.steps if step.emptied)
        direct = sum(step.rows for step in self.steps if not step.emptied)
        return {
            "rows_changed": max(self.changed.rows, direct) + emptied,
            "statements": [step.to_json() for step in self.steps],
            "tables": [{"table": name, "rows": self.changed.tables.get(name)} for name in self.touched],
            "sample": [sample for step in self.steps for sample in _sample(step)][: 4 * SAMPLE_ROWS],
            "schema_changed": self._reshaped,
            "note": " ".join(self._notes()),
        }

    @property
    def _reshaped(self) -> bool:
        return any(step.statement.kind not in ROW_KINDS for step in self.steps)

    def _notes(self) -> list[str]:
        triggers = sorted({name for step in self.steps if step.seen.table for name in step.seen.table.triggers})
        unknown = sorted({name for step in self.steps for name in step.seen.unknown})
        direct = {name for step in self.steps for name in step.tables}
        indirect = [name for name in self.touched if name not in direct]
        notes = [SEQUENCES] if any(step.draws for step in self.steps) else []
        if triggers:
            notes.append(f"Triggers run: {', '.join(triggers)}.")
        if indirect:
            notes.append(f"Rows of other tables change with them: {', '.join(indirect)}.")
        if unknown:
            notes.append(f"Decided only when it runs: {', '.join(unknown)}.")
        if self._reshaped:
            notes.append("Tables, other objects or rights change, which is not counted in rows.")
        if any(step.seen.blind and step.tables and not step.emptied for step in self.steps):
            notes.append("Of some statements only the number of rows can be known, not their values.")
        return notes

    def summary(self) -> str:
        """A few lines for a model."""
        lines = [f"{step.statement.kind}{_of(step)}: {step.rows:,} rows" for step in self.steps]
        return "\n".join(lines)


@dataclass
class Rehearsal:
    """The statements of one call in one transaction.

    Attributes:
        max_rows: of the rows that each statement returns.
        watched: measure what they do; else they are only done.
    """

    session: Session
    params: Sequence[Any]
    max_rows: int
    watched: bool
    _uncertain: set[str] = field(default_factory=set)

    def run(self, statements: Sequence[Statement]) -> Measured:
        """Do all of them.

        Raises:
            Unstageable: one of them can't be watched; those before it were done.
            UserError: the database refuses one, and why.
        """
        steps = [self._watch(statement) if self.watched else self._do(statement) for statement in statements]
        if self.watched:
            self.session.settle()
        return Measured(tuple(steps), self.session.changed())

    def _do(self, statement: Statement) -> Step:
        page = Page(self.max_rows)
        ran = self.session.run(statement.text, self.params, _into(page))
        page.columns = list(ran.columns)
        return Step(statement, _checked(statement, ran), self._named(statement), page=page if ran.columns else None)

    def _named(self, statement: Statement) -> Foresight:
        target = statement.target
        found = None if target is None else self.session.table(bare_name(target, statement.dialect))
        return Foresight(found, blind=True)

    def _watch(self, statement: Statement) -> Step:
        require_stageable(self.session, statement)
        try:
            seen = foresee(self.session, statement, self.params, frozenset(self._uncertain))
        except (RecursionError, SqlglotError) as error:
            raise Unstageable("The statement can't be staged: it is too deeply nested to be understood.") from error
        emptied = tuple(self._emptied(statement))
        before = self._look(seen)
        ran, after, page = self._run(statement, seen)
        if seen.unknown or seen.blind:
            self._uncertain |= {name.split(".")[-1].strip('"').lower() for name in self.session.changed().tables}
        if statement.kind == "delete":
            before, after = after, None
        if before is not None and before.rows != ran.rows:
            before = None
        return Step(statement, ran, seen, before, after, page, emptied)

    def _run(self, statement: Statement, seen: Foresight) -> tuple[Ran, RowSet | None, Page | None]:
        """Do a statement so that it returns the rows that it changed; if it can't, as it is written."""
        rows = self._rows(seen)
        if rows is not None and seen.table is not None:
            split = _Split(len(seen.table.columns), rows, Page(self.max_rows))
            try:
                with self.session.trial():
                    ran = self.session.run(f"{statement.text}{seen.returning}", self.params, split.keep)
                    if ran.rows != rows.rows:
                        raise UserError("It did not return all rows that it changed.")
            except UserError as error:  # a view, perhaps, whose rules return nothing
                if not about_form(error):
                    raise
            else:
                split.page.columns = list(ran.columns)[: -split.width]
                return _checked(statement, ran), rows, split.page if statement.returns else None
        page = Page(self.max_rows)
        ran = self.session.run(statement.text, self.params, _into(page))
        page.columns = list(ran.columns)
        return _checked(statement, ran), None, page if ran.columns else None

    def _rows(self, seen: Foresight) -> RowSet | None:
        if seen.table is None or seen.blind or not seen.returning:
            return None
        return RowSet(key=seen.table.key, unknown=seen.unknown)

    def _look(self, seen: Foresight) -> RowSet | None:
        if seen.before is None or seen.table is None:
            return None
        found = RowSet(key=seen.table.key)
        text, params = seen.before
        try:
            with self.session.trial():
                self.session.run(text, params, found.take)
        except UserError as error:
            if not about_form(error):
                raise
            return None
        return found

    def _emptied(self, statement: Statement) -> Iterator[tuple[str, int, str | None]]:
        names = [bare_name(node, statement.dialect) for node in statement.emptied]
        lost = [self.session.lost(statement.kind, name, cascade=statement.cascades) for name in names]
        for name in sorted({name for found in lost for name in found}):
            yield (name, *self.session.content(name))


@dataclass(frozen=True)
class _Split:
    """Takes rows apart: what the statement returns by itself, and the whole changed row behind it.

    Attributes:
        width: columns of the changed row.
    """

    width: int
    rows: RowSet
    page: Page

    def keep(self, columns: Sequence[str], row: Row) -> None:
        """Take one row apart."""
        self.rows.take(columns[-self.width :], row[-self.width :])
        if len(row) > self.width:
            self.page.take(row[: -self.width])


def _into(page: Page) -> Any:
    def keep(_: Sequence[str], row: Row) -> None:
        page.take(row)

    return keep


def _checked(statement: Statement, ran: Ran) -> Ran:
    """Check that the database did the kind of thing that was read out of the text.

    Raises:
        UserError: it did something else.
    """
    expected = statement.kind.split(" ")[0]
    names = {"create": ("create", "select"), "comment": ("comment",), "truncate": ("truncate",)}
    if statement.understood and ran.word and not ran.word.startswith(names.get(expected, (expected,))):
        raise UserError(f"The statement was read as '{expected}', the database took it as '{ran.word}'.")
    return ran


def _of(step: Step) -> str:
    return f" {', '.join(step.tables)}" if step.tables else ""


def _sample(step: Step) -> list[dict[str, Any]]:
    before = step.before.sample() if step.before is not None else {}
    after = step.after.sample() if step.after is not None else {}
    names = sorted({*before, *after})[:SAMPLE_ROWS]
    table = step.tables[0] if step.tables else None
    return [{"table": table, "before": before.get(name), "after": after.get(name)} for name in names]
