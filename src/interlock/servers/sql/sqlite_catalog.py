"""What a SQLite file says of its tables; and the table of idempotency keys."""

import json
import re
from typing import TYPE_CHECKING, Any

from interlock.model import UserError
from interlock.servers.sql.limits import SCHEMA_TABLES
from interlock.servers.sql.postgres_catalog import bounded
from interlock.servers.sql.session import TableFacts, with_name
from interlock.servers.sql.values import compact

if TYPE_CHECKING:
    from interlock.servers.sql.sqlite import SqliteSession

CLOCKS = frozenset(
    {
        "random",
        "randomblob",
        "last_insert_rowid",
        "changes",
        "total_changes",
        "date",
        "time",
        "datetime",
        "julianday",
        "strftime",
        "unixepoch",
        "timediff",
        "current_date",
        "current_time",
        "current_timestamp",
    }
)
RELATIONS = """
select name, type, sql from sqlite_master
where type in ('table', 'view') and name not like 'sqlite\\_%' escape '\\' and (?1 is null or name = ?1 collate nocase)
order by name limit ?2
"""
COUNT = "select count(*) from {table}"
CONTENT = "select * from {table}"
MAKE_KEYS = """
create table if not exists {table} (
    key text primary key, request_sha256 text not null, result text, at text default current_timestamp)
"""
FIND_KEY = "select request_sha256, result from {table} where key = ?"
TAKE_KEY = "insert into {table} (key, request_sha256) values (?, ?)"
KEEP_RESULT = "update {table} set result = ? where key = ?"
DECIDED_LATER = re.compile(r"\(|current_", flags=re.IGNORECASE)


def quoted_name(name: str) -> str:
    """A name as it goes into a statement."""
    return '"' + name.replace('"', '""') + '"'


def table_facts(session: "SqliteSession", name: str) -> TableFacts | None:
    """Facts of a table or view; None when there is none of that name."""
    found = session.rows(RELATIONS, name, 1)
    if not found:
        return None
    shown, kind, text = found[0]
    columns = session.rows("select name, type, dflt_value, pk, hidden from pragma_table_xinfo(?)", shown)
    key = [row for row in sorted(columns, key=lambda row: row[3]) if row[3]]
    later = {row[0] for row in columns if row[2] and DECIDED_LATER.search(row[2])}
    if len(key) == 1 and key[0][1].upper() == "INTEGER":
        later.add(key[0][0])  # the number of the row, given by the database
    triggers = session.rows(
        "select name from sqlite_master where type = 'trigger' and tbl_name = ? order by name", shown
    )
    virtual = (text or "").lstrip()[:14].upper() == "CREATE VIRTUAL"
    return TableFacts(
        name=shown,
        columns=tuple(row[0] for row in columns if row[4] != 1),
        key=tuple(row[0] for row in key),
        later=frozenset(later),
        computed=frozenset(row[0] for row in columns if row[4] in (2, 3)),
        rewritten=kind == "view" or virtual,
        triggers=tuple(row[0] for row in triggers),
    )


def schema(session: "SqliteSession", table: str | None) -> dict[str, Any]:
    """Tables and views with all that is known of them, bounded.

    Raises:
        UserError: there is no such table.
    """
    bare = table.removeprefix("main.") if table is not None else None
    found = session.rows(RELATIONS, bare, SCHEMA_TABLES + 1)
    if table is not None and not found:
        raise UserError(f"There is no table {table!r} here.")
    estimates: dict[str, int] = {}
    if session.rows("select 1 from sqlite_master where name = 'sqlite_stat1'"):
        for name, stat in session.rows("select tbl, stat from sqlite_stat1 where stat is not null"):
            first = str(stat).split(" ")[0]
            estimates[name] = int(first) if first.isdigit() else 0
    tables = [_relation(session, name, kind, estimates.get(name)) for name, kind, _ in found[:SCHEMA_TABLES]]
    return bounded(tables, truncated=len(found) > SCHEMA_TABLES)


def _relation(session: "SqliteSession", name: str, kind: str, estimate: int | None) -> dict[str, Any]:
    columns = session.rows('select name, type, "notnull", dflt_value, pk from pragma_table_xinfo(?)', name)
    keys = session.rows(
        'select id, "table", "from", coalesce("to", \'\'), on_delete from pragma_foreign_key_list(?) order by id, seq',
        name,
    )
    triggers = session.rows(
        "select name from sqlite_master where type = 'trigger' and tbl_name = ? order by name", name
    )
    indexes = session.rows(
        "select coalesce(m.sql, 'unique (automatic) ' || l.name) from pragma_index_list(?) l"
        " left join sqlite_master m on m.name = l.name where l.origin <> 'pk' order by l.name",
        name,
    )
    return {
        "table": name,
        "kind": kind,
        "rows_estimate": estimate,
        "columns": [
            {
                "name": column,
                "type": shape,
                "nullable": not required,
                **({} if default is None else {"default": default}),
            }
            for column, shape, required, default, _ in columns
        ],
        "primary_key": [row[0] for row in sorted(columns, key=lambda row: row[4]) if row[4]],
        "constraints": [f"FOREIGN KEY ({here}) REFERENCES {there}({to}) {then}" for _, there, here, to, then in keys],
        "indexes": [row[0] for row in indexes],
        "triggers": [row[0] for row in triggers],
    }


def recall(session: "SqliteSession", table: str, key: str, request_sha256: str) -> dict[str, Any] | None:
    """Take a key, or give back what was recorded under it.

    Raises:
        UserError: the key was used for another request, or the table can't be made.
    """
    name = quoted_name(table)
    session.run(with_name(MAKE_KEYS, name), ())
    found = session.rows(with_name(FIND_KEY, name), key)
    if not found:
        session.run(with_name(TAKE_KEY, name), (key, request_sha256))
        return None
    if found[0][0] != request_sha256:
        raise UserError("This idempotency key was used for another statement; nothing was done.")
    return dict(json.loads(found[0][1]))


def record(session: "SqliteSession", table: str, key: str, result: dict[str, Any]) -> None:
    """Keep the result of a request under its key."""
    session.run(with_name(KEEP_RESULT, quoted_name(table)), (compact(result), key))
