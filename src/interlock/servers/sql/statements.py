"""A text as statements: what kind each is, what it names and calls, and what is refused before the database sees it.

The parser is an adviser, not the guard: the database gets the text as it was written, one statement at a time, in a
transaction that may only read where only reading was asked for, and says itself what each statement did.
"""

import logging
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from interlock.model import UserError
from interlock.servers.sql.lexing import Piece, cut
from interlock.servers.sql.limits import STATEMENTS
from interlock.servers.sql.refusals import refusal

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

CHANGING = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
KINDS: tuple[tuple[type[exp.Expression], str], ...] = (
    (exp.Insert, "insert"),
    (exp.Update, "update"),
    (exp.Delete, "delete"),
    (exp.Merge, "merge"),
    (exp.TruncateTable, "truncate"),
    (exp.Comment, "comment"),
    (exp.Grant, "grant"),
    (exp.Revoke, "revoke"),
    (exp.Analyze, "analyze"),
)
SHAPES = {"TABLE", "VIEW", "INDEX", "SCHEMA", "SEQUENCE", "TYPE", "COLUMN", "CONSTRAINT", "TRIGGER"}


@dataclass(frozen=True)
class Statement:
    """One statement of a text.

    Attributes:
        text: exactly as it was written.
        dialect: `postgres` or `sqlite`.
        words: its words outside of strings, in capitals.
        called: functions that it calls, by their bare names.
        tree: the parser's understanding of it; None when it has none.
        kind: `select`, `insert`, `create table`, ...; `other` when it is not understood.
    """

    text: str
    dialect: str
    words: tuple[str, ...] = field(repr=False)
    called: frozenset[str] = field(repr=False)
    tree: exp.Expression | None = field(repr=False)
    kind: str

    @property
    def first(self) -> str:
        """Its first word in capitals."""
        return self.words[0] if self.words else "It"

    @property
    def understood(self) -> bool:
        """Whether the parser knows all of it."""
        return self.tree is not None

    @property
    def reads(self) -> bool:
        """Whether it is a query without any change in it."""
        tree = self.tree
        if tree is None or self.kind != "select":
            return False
        return tree.find(*CHANGING, exp.Into, exp.Create, exp.Drop, exp.Command, exp.Lock) is None

    @property
    def changes_inside(self) -> bool:
        """Whether a change is hidden within it, as in `with x as (delete ...)`."""
        tree = self.tree
        return tree is not None and any(node is not tree for node in tree.find_all(*CHANGING))

    @property
    def returns(self) -> bool:
        """Whether it says itself which rows it returns."""
        return self.tree is not None and (self.kind == "select" or self.tree.args.get("returning") is not None)

    @property
    def target(self) -> exp.Table | None:
        """The table that it changes, where that is exactly one."""
        tree = self.tree
        if not isinstance(tree, CHANGING):
            return None
        node = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        return node if isinstance(node, exp.Table) else None

    @property
    def emptied(self) -> tuple[exp.Table, ...]:
        """Tables, or schemas with all their tables, of which every row loses something, or is lost."""
        tree = self.tree
        if tree is None or self.kind not in ("truncate", "drop table", "drop schema", "alter table"):
            return ()
        if self.kind == "alter table":
            found = [tree.this] if any(_loses(action) for action in tree.args.get("actions") or ()) else []
        else:
            found = tree.expressions or tree.args.get("tables") or [tree.this]
        return tuple(node for node in found if isinstance(node, exp.Table))

    @property
    def cascades(self) -> bool:
        """Whether it says `cascade`."""
        return "CASCADE" in self.words

    @property
    def named(self) -> tuple[exp.Table, ...]:
        """All tables that it names."""
        return () if self.tree is None else tuple(self.tree.find_all(exp.Table))


def _loses(action: exp.Expression) -> bool:
    """Whether a part of `alter table` takes something from each row: a column, or its type."""
    dropped = isinstance(action, exp.Drop) and action.args.get("kind") == "COLUMN"
    return dropped or (isinstance(action, exp.AlterColumn) and action.args.get("dtype") is not None)


def read_statements(text: str, dialect: str) -> list[Statement]:
    """Split a text; empty statements are left out.

    Raises:
        UserError: it can't be read at all, has too many statements, or holds one that is never done.
    """
    if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text):
        raise UserError("There is a character in the statement that no database takes.")
    found = [_statement(piece, dialect) for piece in cut(text, dialect)]
    if not found:
        raise UserError("There is no statement in the text.")
    if len(found) > STATEMENTS:
        raise UserError(f"There are {len(found):,} statements; at most {STATEMENTS} can be done in one call.")
    return found


def one_statement(text: str, dialect: str) -> Statement:
    """The only statement of a text.

    Raises:
        UserError: there are several, or it can't be read.
    """
    found = read_statements(text, dialect)
    if len(found) > 1:
        raise UserError(f"Expected one statement, found {len(found)}; nothing was run.")
    return found[0]


def _statement(piece: Piece, dialect: str) -> Statement:
    if piece.disguised:
        raise UserError('Names written as U&"..." are not taken here; write the name itself.')
    reason = refusal(piece.words, piece.called, piece.strings, dialect)
    if reason is not None:
        raise UserError(reason)
    replaces = dialect == "sqlite" and piece.words[:1] == ["REPLACE"]
    tree = _parsed(f"INSERT OR {piece.plain}" if replaces else piece.plain, dialect)
    kind = _kind(tree, piece)
    called = frozenset(piece.called)
    return Statement(piece.text, dialect, tuple(piece.words), called, tree if kind != "other" else None, kind)


def _parsed(text: str, dialect: str) -> exp.Expression | None:
    try:
        trees = sqlglot.parse(text, dialect=dialect)
    except (SqlglotError, RecursionError):
        return None
    tree = trees[0] if len(trees) == 1 else None
    if not isinstance(tree, exp.Expression) or tree.find(exp.Command) is not None:
        return None
    return tree


def _kind(tree: exp.Expression | None, piece: Piece) -> str:
    if isinstance(tree, exp.Query | exp.Values):
        return "select" if piece.words[:1] and piece.words[0] in ("SELECT", "WITH", "VALUES", "TABLE") else "other"
    for node, kind in KINDS:
        if isinstance(tree, node):
            return kind
    if isinstance(tree, exp.Create | exp.Drop | exp.Alter):
        shape = str(tree.args.get("kind") or "").upper()
        known = shape in SHAPES or (shape in ("FUNCTION", "PROCEDURE") and not isinstance(tree, exp.Alter))
        return f"{tree.key} {shape.lower()}" if known else "other"
    return "other"
