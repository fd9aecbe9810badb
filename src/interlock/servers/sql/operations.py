"""One call from start to end. Everything here blocks and runs in a thread."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from interlock.model import InterlockError, UserError
from interlock.servers.shared.calls import CallNotes, Outcome
from interlock.servers.shared.journal import Journal
from interlock.servers.sql.arguments import check_arguments
from interlock.servers.sql.foresight import volatile
from interlock.servers.sql.limits import CONNECTIONS, GRACE_S, ROWS, TIMEOUT_S
from interlock.servers.sql.rehearsal import Measured, Rehearsal
from interlock.servers.sql.results import Page, table_text
from interlock.servers.sql.session import CommitUnknown, Session, Unstageable
from interlock.servers.sql.statements import Statement, one_statement, read_statements
from interlock.servers.sql.values import compact, sha256_of

CONFLICT = "What it would change is not what was shown: the data changed since. Nothing was kept; look at it again."
NOTHING: dict[str, Any] = {
    "effect": {"rows_changed": 0, "statements": [], "tables": [], "sample": [], "note": "It only reads."},
    "touched": [],
    "state_sha256": sha256_of([]),
    "state_sha256_after": sha256_of([]),
}


@dataclass
class Stop:
    """From another thread: end a call that nobody waits for any more."""

    asked: bool = False
    _session: Session | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, *, hard: bool = False) -> None:
        """Stop the statement that runs; `hard` cuts the connection."""
        with self._lock:
            self.asked, session = True, self._session
        if session is not None:
            session.abort() if hard else session.interrupt()

    @contextmanager
    def watching(self, session: Session) -> Iterator[None]:
        """While a session works for the call."""
        with self._lock:
            self._session = session
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._session = None

    def check(self) -> None:
        """Go on only if nobody asked to stop.

        Raises:
            UserError: somebody did.
        """
        if self.asked:
            raise UserError("The call was cancelled. Nothing was kept.")


@dataclass(frozen=True)
class Rules:
    """How a server is set up.

    Attributes:
        max_rows: of a result, unless the call asks for fewer.
        key_table: where idempotency keys are recorded; None for nowhere.
    """

    max_rows: int = ROWS
    read_only: bool = False
    key_table: str | None = None


class Sql:
    """The calls on one database, over a few connections."""

    def __init__(
        self,
        connect: Callable[[], Session],
        dialect: str,
        rules: Rules,
        journal: Journal,
        die: Callable[[str], NoReturn],
    ) -> None:
        self._connect = connect
        self._dialect = dialect
        self._rules = rules
        self._journal = journal
        self._die = die
        self._idle: list[Session] = []
        self._lock = threading.Lock()

    def call(self, tool: str, args: Mapping[str, Any], notes: CallNotes, stop: Stop) -> Outcome:
        """Do a call; everything that goes wrong becomes a failed outcome with a plain sentence.

        One thing does not: when the answer to a commit is lost the process ends here, because every answer might lie.
        """
        try:
            check_arguments(tool, args, read_only=self._rules.read_only)
            return self._dispatch(tool, args, notes, stop)
        except Unstageable as error:
            return Outcome(str(error), {"staged": False, "why": str(error)}, failed=True)
        except InterlockError as error:
            return Outcome(error.message, failed=True)
        except OSError as error:
            return Outcome(f"The call could not be done: {error.strerror}. Nothing was kept.", failed=True)
        except CommitUnknown as error:
            self._die(f"the answer to a commit was lost, so whether it took effect is unknown: {error}")

    def close(self) -> None:
        """End all connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def _dispatch(self, tool: str, args: Mapping[str, Any], notes: CallNotes, stop: Stop) -> Outcome:
        if tool == "query":
            return self._query(args, stop)
        if tool == "schema":
            return self._schema(args, stop)
        if tool == "explain":
            return self._explain(args, stop)
        if tool == "preview":
            return self._preview(args, stop)
        return self._execute(args, notes, stop)

    # ---- reading --------------------

    def _query(self, args: Mapping[str, Any], stop: Stop) -> Outcome:
        statement = one_statement(args["statement"], self._checked_dialect(args))
        if not statement.understood:
            raise UserError("The statement is not understood, so it is not run as a query; write one plain SELECT.")
        if not statement.reads:
            raise UserError("That is no query: only a SELECT without any change in it is run here; use 'execute'.")
        skip = args.get("offset_rows", 0)
        page = Page(self._max_rows(args))
        with self._working(args, stop, write=False) as session:
            _require_harmless(session, statement)
            total = session.read(statement.text, args.get("params", []), page, skip)
        more = skip + len(page.rows) if page.full else None
        structured = {**page.to_json(), "total_rows": total, "next_offset": more}
        text = table_text([column["name"] for column in page.columns], page.rows)
        if page.full:
            of = f" of {total:,}" if total is not None else ""
            text += f"\n({len(page.rows):,} rows{of}; there are more: offset_rows {more})"
        return Outcome(text, structured)

    def _schema(self, args: Mapping[str, Any], stop: Stop) -> Outcome:
        with self._working(args, stop, write=False) as session:
            found = {"dialect": self._dialect, **session.schema(args.get("table"))}
        return Outcome(compact(found), found)

    def _explain(self, args: Mapping[str, Any], stop: Stop) -> Outcome:
        statement = one_statement(args["statement"], self._checked_dialect(args))
        if statement.kind not in ("select", "insert", "update", "delete", "merge"):
            raise UserError("Only SELECT, INSERT, UPDATE, DELETE and MERGE have a plan.")
        with self._working(args, stop, write=False) as session:
            _require_harmless(session, statement)
            found = session.explain(statement.text, args.get("params", []), reads=statement.reads)
        return Outcome(compact(found), found)

    # ---- changing --------------------

    def _preview(self, args: Mapping[str, Any], stop: Stop) -> Outcome:
        tool, inner = args["tool"], args["args"]
        check_arguments(tool, inner, read_only=self._rules.read_only)
        if tool != "execute":
            return Outcome("It only reads.", NOTHING)
        statements = self._statements(inner)
        with self._working(inner, stop, write=True, steady=True) as session:
            measured = self._rehearsal(session, inner, watched=True).run(statements)
        structured = {
            "effect": measured.effect(),
            "touched": measured.touched,
            "state_sha256": measured.state_sha256,
            "state_sha256_after": measured.state_sha256_after,
        }
        return Outcome(measured.summary(), structured)

    def _execute(self, args: Mapping[str, Any], notes: CallNotes, stop: Stop) -> Outcome:
        statements = self._statements(args)
        key = notes.key if self._rules.key_table else None
        watched = notes.expect_state_sha256 is not None
        with self._working(args, stop, write=True, steady=watched, key=key) as session:
            request = sha256_of([args["statement"], args.get("params", [])])
            if self._rules.key_table and key is not None:
                recorded = session.recall(self._rules.key_table, key, request)
                if recorded is not None:
                    return Outcome(recorded["text"], {**recorded["structured"], "repeated": True})
            self._journal.begin("execute", notes.key, sorted({statement.kind for statement in statements}))
            measured = self._rehearsal(session, args, watched=watched).run(statements)
            if watched and measured.state_sha256 != notes.expect_state_sha256:
                return _conflict(notes.expect_state_sha256, measured)
            outcome = _done(measured)
            if self._rules.key_table and key is not None:
                session.record(self._rules.key_table, key, {"text": outcome.text, "structured": outcome.structured})
            stop.check()
            session.commit()
        numbers = {"rows_changed": measured.effect()["rows_changed"], "state_sha256": measured.state_sha256}
        self._journal.end("execute", notes.key, {"touched": measured.touched, **numbers})
        return outcome

    def _rehearsal(self, session: Session, args: Mapping[str, Any], *, watched: bool) -> Rehearsal:
        return Rehearsal(session, args.get("params", []), self._max_rows(args), watched)

    def _statements(self, args: Mapping[str, Any]) -> list[Statement]:
        statements = read_statements(args["statement"], self._checked_dialect(args))
        if args.get("params") and len(statements) > 1:
            raise UserError("Parameters go with one statement only; nothing was run.")
        return statements

    # ---- what all of them need --------------------

    def _checked_dialect(self, args: Mapping[str, Any]) -> str:
        if args.get("dialect", self._dialect) != self._dialect:
            raise UserError(f"This database speaks {self._dialect}, not {args['dialect']}; nothing was run.")
        return self._dialect

    def _max_rows(self, args: Mapping[str, Any]) -> int:
        return min(int(args.get("max_rows", self._rules.max_rows)), self._rules.max_rows)

    @contextmanager
    def _working(
        self, args: Mapping[str, Any], stop: Stop, *, write: bool, steady: bool = False, key: str | None = None
    ) -> Iterator[Session]:
        """A session in a transaction, which is rolled back unless it was committed."""
        timeout_s = timeout_of(args)
        session = self._begun(timeout_s, write=write, steady=steady, key=key)
        late = threading.Timer(timeout_s + GRACE_S, stop.ask, kwargs={"hard": True})
        late.daemon = True
        late.start()
        try:
            with stop.watching(session):
                yield session
        finally:
            late.cancel()
            session.rollback()
            self._put_back(session)

    def _begun(self, timeout_s: float, *, write: bool, steady: bool, key: str | None) -> Session:
        """A session with an open transaction; an idle connection that died meanwhile is replaced once."""
        with self._lock:
            session = self._idle.pop() if self._idle else None
        if session is not None:
            try:
                session.begin(timeout_s, write=write, steady=steady, key=key)
            except InterlockError:
                if session.usable:
                    session.rollback()
                    self._put_back(session)
                    raise
                session.close()
            else:
                return session
        session = self._connect()
        try:
            session.begin(timeout_s, write=write, steady=steady, key=key)
        except InterlockError:
            session.close()
            raise
        return session

    def _put_back(self, session: Session) -> None:
        if session.usable:
            session.renew()
        with self._lock:
            if session.usable and len(self._idle) < CONNECTIONS:
                self._idle.append(session)
                return
        session.close()


def timeout_of(args: Mapping[str, Any]) -> float:
    """How long the database may work on a call, in seconds."""
    return float(args.get("timeout_s", TIMEOUT_S))


def _require_harmless(session: Session, statement: Statement) -> None:
    for found in session.functions(statement.called):
        if volatile(found):
            raise UserError(f"{found.name}() may do more than read, so it is not called in a query.")


def _conflict(expected: str | None, measured: Measured) -> Outcome:
    structured = {
        "conflict": True,
        "expected_state_sha256": expected,
        "state_sha256": measured.state_sha256,
        "touched": measured.touched,
    }
    return Outcome(CONFLICT, structured, failed=True)


def _done(measured: Measured) -> Outcome:
    results = []
    texts = [measured.summary()]
    for step in measured.steps:
        result = step.to_json()
        if step.page is not None:
            result["result"] = step.page.to_json()
            texts.append(table_text([column["name"] for column in step.page.columns], step.page.rows))
        results.append(result)
    structured = {
        "statements": results,
        "effect": measured.effect(),
        "touched": measured.touched,
        "state_sha256": measured.state_sha256_after,
    }
    return Outcome("\n".join(texts), structured)
