"""What can be known of a statement before it runs: how to see its rows, and which values are decided only then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from interlock.servers.sql.lexing import called_in
from interlock.servers.sql.session import FunctionFacts, Session, TableFacts, Unstageable
from interlock.servers.sql.statements import Statement

Params = Sequence[Any] | Mapping[str, Any]

# Volatile functions that leave nothing behind.
HARMLESS = frozenset(
    {
        "random",
        "random_normal",
        "setseed",
        "gen_random_uuid",
        "uuidv4",
        "uuidv7",
        "uuid_generate_v1",
        "uuid_generate_v4",
        "gen_random_bytes",
        "gen_salt",
        "clock_timestamp",
        "timeofday",
        "currval",
        "lastval",
        "pg_sleep",
        "pg_sleep_for",
        "pg_sleep_until",
        "current_query",
        "pg_relation_size",
        "pg_total_relation_size",
        "pg_table_size",
        "pg_indexes_size",
        "pg_database_size",
        "pg_tablespace_size",
        "pg_column_size",
    }
)
SEQUENCE = "nextval"
CLOCKS = frozenset(
    {
        "now",
        "transaction_timestamp",
        "statement_timestamp",
        "current_timestamp",
        "current_date",
        "current_time",
        "localtime",
        "localtimestamp",
        "age",
        "txid_current",
        "pg_current_xact_id",
    }
)


@dataclass(frozen=True)
class Foresight:
    """How a statement is to be watched.

    Attributes:
        table: facts of the one table that it changes.
        returning: what to add to its text so that it returns the rows that it changed; empty when it can't be told.
        before: a query for the rows as they are now, with its parameters; None for a statement that has none.
        unknown: columns that are decided only when it runs.
        blind: nothing can be said of the values of its rows.
    """

    table: TableFacts | None = None
    returning: str = ""
    before: tuple[str, Params] | None = None
    unknown: frozenset[str] = frozenset()
    blind: bool = False


def require_stageable(session: Session, statement: Statement) -> None:
    """Check that a statement can be tried and taken back.

    Raises:
        Unstageable: it can't, and why.
    """
    if not statement.understood:
        raise Unstageable(f"{statement.first} can't be staged: what it does is not known before it is done.")
    for found in session.functions(statement.called):
        if not found.volatile or found.name in HARMLESS:
            continue
        if found.name == SEQUENCE and statement.kind in ("insert", "update", "merge"):
            continue
        raise Unstageable(f"A statement that calls {found.name}() can't be staged: not all it does can be taken back.")


def foresee(session: Session, statement: Statement, params: Sequence[Any], uncertain: frozenset[str]) -> Foresight:
    """Work out how to watch a statement.

    Args:
        session: in whose transaction it runs.
        statement: what runs.
        params: its parameters.
        uncertain: tables in which earlier statements left values that are decided only when they run.

    Raises:
        Unstageable: its table can't be changed and taken back.
    """
    target = statement.target
    table = session.table(bare_name(target, statement.dialect)) if target is not None else None
    if target is None or table is None:
        return Foresight(blind=True)
    if table.unsafe is not None:
        raise Unstageable(f"A change of it can't be staged: {table.unsafe}.")
    read = {node.name.lower() for node in statement.named if node is not target}
    read |= {target.name.lower()} if statement.kind != "insert" else set()
    blind = table.rewritten or statement.changes_inside or bool(read & uncertain) or statement.kind == "merge"
    unknown = frozenset() if blind else _unknown(session, statement, table)
    before = None if blind or statement.kind != "update" else _before(statement, target, params)
    return Foresight(table, _returning(statement, target), before, unknown, blind)


def bare_name(node: exp.Table, dialect: str) -> str:
    """A table's name as the database takes it."""
    if dialect == "sqlite":
        return str(node.name)
    return ".".join(part.sql(dialect=dialect) for part in node.parts)


def _returning(statement: Statement, target: exp.Table) -> str:
    more = "\n, " if statement.returns else "\nreturning "  # it is always the last part of a statement
    if statement.dialect == "sqlite":
        return f"{more}*"
    name = target.args.get("alias")
    return f"{more}{(target if name is None else name).this.sql(dialect='postgres')}.*"


def _before(statement: Statement, target: exp.Table, params: Sequence[Any]) -> tuple[str, Params] | None:
    """The rows that an update will change, as a query of its own: made from the parser's understanding, only to look."""
    tree = statement.tree
    if tree is None:
        return None
    name = target.alias_or_name
    quoted = bool((target.args["alias"].this if target.args.get("alias") else target.this).args.get("quoted"))
    star = exp.Column(this=exp.Star(), table=exp.to_identifier(name, quoted=quoted))
    query = exp.Select(expressions=[star]).from_(target.copy())
    source = tree.args.get("from_") or tree.args.get("from")
    if source is not None:
        query = query.join(source.this.copy(), join_type="cross")
    for part in ("where", "with_", "with"):
        if tree.args.get(part) is not None:
            query.set(part, tree.args[part].copy())
    return _placed(query, statement.dialect, params)


def _placed(query: exp.Select, dialect: str, params: Sequence[Any]) -> tuple[str, Params] | None:
    """The query's text, with only those parameters that it uses."""
    if dialect == "sqlite":
        names = {str(node.this) for node in query.find_all(exp.Placeholder)}
        try:
            return query.sql(dialect=dialect), {name: params[int(name[1:]) - 1] for name in names}
        except (ValueError, IndexError):
            return None
    used = sorted({int(node.this.name) for node in query.find_all(exp.Parameter) if node.this.name.isdigit()})
    if any(number > len(params) for number in used):
        return None
    for node in list(query.find_all(exp.Parameter)):
        if node.this.name.isdigit():
            node.this.replace(exp.Literal.number(used.index(int(node.this.name)) + 1))
    return query.sql(dialect=dialect), [params[number - 1] for number in used]


def _unknown(session: Session, statement: Statement, table: TableFacts) -> frozenset[str]:
    """Columns of the changed table whose new values are decided only when the statement runs."""
    tree = statement.tree
    if tree is None or statement.kind == "delete":
        return frozenset()
    if statement.kind == "update":
        later = {
            node.this.name
            for node in tree.expressions
            if isinstance(node, exp.EQ) and _decided_later(session, node.expression, statement.dialect)
        }
        tuples = [node for node in tree.expressions if not isinstance(node, exp.EQ) or isinstance(node.this, exp.Tuple)]
        if tuples and _decided_later(session, tree, statement.dialect):
            later |= set(table.columns)
    else:
        later = _unknown_in_insert(session, statement, table)
    later = {name for name in table.columns if name.lower() in {one.lower() for one in later}}
    return frozenset(later | table.computed) if later else frozenset()


def _unknown_in_insert(session: Session, statement: Statement, table: TableFacts) -> set[str]:
    tree = statement.tree
    assert tree is not None  # an insert is understood
    source = tree.args.get("expression")
    named = [node.name for node in tree.this.expressions] if isinstance(tree.this, exp.Schema) else list(table.columns)
    lines = _lines(source)
    if lines is None:
        uncertain = source is not None and _decided_later(session, source, statement.dialect)
        given = [] if uncertain or not isinstance(tree.this, exp.Schema) else named
        return set(table.columns if uncertain else table.later) - {name for name in given if name in table.columns}
    width = max((len(line) for line in lines), default=0)
    missing = {name.lower() for name in table.columns} - {name.lower() for name in named[:width]}
    later = {name for name in table.later if name.lower() in missing}
    for line in lines:
        for name, value in zip(named, line, strict=False):
            default = isinstance(value, exp.Var) and value.name.upper() == "DEFAULT"
            if (default and name in table.later) or _decided_later(session, value, statement.dialect):
                later.add(name)
    conflict = tree.args.get("conflict")
    if conflict is not None and _decided_later(session, conflict, statement.dialect):
        later |= set(table.columns)
    return later


def _lines(source: exp.Expression | None) -> list[list[exp.Expression]] | None:
    """The expressions for each row; None when they do not line up with columns."""
    if isinstance(source, exp.Values):
        return [list(line.expressions) if isinstance(line, exp.Tuple) else [line] for line in source.expressions]
    if isinstance(source, exp.Select) and not any(node.find(exp.Star) for node in source.expressions):
        return [list(source.expressions)]
    return None


def _decided_later(session: Session, node: exp.Expression, dialect: str) -> bool:
    """Whether a value depends on the time, on chance, on a sequence, or on code whose outcome nobody declares."""
    called = called_in(node.sql(dialect=dialect), dialect)
    lowered = {name.lower() for name in called}
    if lowered & CLOCKS or (isinstance(node, exp.Var) and node.name.upper() == "DEFAULT"):
        return True
    return any(not found.stable for found in session.functions(called | frozenset(lowered)))


def volatile(found: FunctionFacts) -> bool:
    """Whether a function may do more than read."""
    return found.volatile and found.name not in HARMLESS
