"""What Postgres says of its tables, columns, triggers and functions; and the table of idempotency keys."""

import json
import re
from typing import TYPE_CHECKING, Any

from interlock.model import UserError
from interlock.servers.sql.limits import SCHEMA_BYTES, SCHEMA_TABLES
from interlock.servers.sql.session import FunctionFacts, TableFacts, with_name
from interlock.servers.sql.values import compact

if TYPE_CHECKING:
    from interlock.servers.sql.postgres import PostgresSession

STRONG = """
select rolsuper or exists (
    select from pg_roles g where g.rolname in
        ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
    and pg_has_role(r.oid, g.oid, 'member'))
from pg_roles r where rolname = current_user
"""
COUNTS = """
select format('%I.%I', schemaname, relname), n_tup_ins + n_tup_upd + n_tup_del from pg_stat_xact_all_tables
where n_tup_ins + n_tup_upd + n_tup_del > 0 and schemaname not in ('pg_catalog', 'information_schema')
    and schemaname !~ '^pg_(toast|temp)'
"""
TABLE = """
select c.oid::int8, format('%I.%I', n.nspname, c.relname), c.relkind::text
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass($1)
"""
ITSELF = """
select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = to_regclass($1)
"""
IN_SCHEMA = """
select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition and format('%I', n.nspname) = $1 order by 1
"""
REFERRING = """
with recursive hit(id) as (
    select to_regclass($1)::oid where to_regclass($1) is not null
    union select k.conrelid from hit join pg_constraint k on k.confrelid = hit.id and k.contype = 'f')
select format('%I.%I', n.nspname, c.relname) from hit
    join pg_class c on c.oid = hit.id join pg_namespace n on n.oid = c.relnamespace order by 1
"""
COLUMNS = """
select a.attname, a.attidentity::text, a.attgenerated::text, pg_get_expr(d.adbin, d.adrelid),
    coalesce(a.attnum = any(i.indkey), false)
from pg_attribute a
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
where a.attrelid = $1::int8::oid and a.attnum > 0 and not a.attisdropped order by a.attnum
"""
TRIGGERS = """
select t.tgname, (t.tgtype & 2) <> 0 and (t.tgtype & 1) <> 0, l.lanname, p.prosrc
from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_language l on l.oid = p.prolang
where t.tgrelid = $1::int8::oid and not t.tgisinternal and t.tgenabled in ('O', 'A') order by t.tgname
"""
FUNCTIONS = """
select p.proname, bool_or(p.provolatile = 'v'), bool_and(p.provolatile = 'i' or p.pronamespace = 11
    and p.provolatile = 's'), bool_and(p.pronamespace = 11)
from pg_proc p where p.proname = any($1::text[]) group by p.proname order by p.proname
"""
RELATIONS = """
select c.oid::int8, n.nspname, c.relname, c.relkind::text, c.reltuples::int8, obj_description(c.oid, 'pg_class')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not in ('pg_catalog', 'information_schema')
    and n.nspname !~ '^pg_' and has_schema_privilege(n.oid, 'usage') and not c.relispartition
    and ($1::text is null or c.oid = to_regclass($1))
order by n.nspname, c.relname limit $2
"""
DETAILS = """
select a.attrelid::int8, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    case when a.attidentity <> '' then 'identity' else pg_get_expr(d.adbin, d.adrelid) end
from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = any($1::int8[]::oid[]) and a.attnum > 0 and not a.attisdropped order by a.attrelid, a.attnum
"""
KEYS = """
select conrelid::int8, pg_get_constraintdef(oid) from pg_constraint
where conrelid = any($1::int8[]::oid[]) and contype in ('u', 'f', 'c', 'x') order by conrelid, contype, conname
"""
PRIMARY = """
select i.indrelid::int8, a.attname from pg_index i cross join unnest(i.indkey) with ordinality k(number, place)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
where i.indrelid = any($1::int8[]::oid[]) and i.indisprimary order by i.indrelid, k.place
"""
INDEXES = """
select indrelid::int8, pg_get_indexdef(indexrelid) from pg_index
where indrelid = any($1::int8[]::oid[]) and not indisprimary order by indrelid, indexrelid::regclass::text
"""
FIRING = """
select tgrelid::int8, tgname from pg_trigger where tgrelid = any($1::int8[]::oid[]) and not tgisinternal
order by tgrelid, tgname
"""
COUNT = "select count(*) from {table}"
DIGEST = "select coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text from {table} t"
MAKE_KEYS = """
create table {table} (key text primary key, request_sha256 text not null, result text, at timestamptz default now())
"""
FIND_KEY = "select request_sha256, result from {table} where key = $1"
TAKE_KEY = "insert into {table} (key, request_sha256) values ($1, $2)"
KEEP_RESULT = "update {table} set result = $2 where key = $1"
KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table"}
DECIDED_LATER = re.compile(r"\(|current_|local", flags=re.IGNORECASE)
TRUSTED = {"plpgsql", "sql", "internal"}
REACHES_OUT = re.compile(
    r"dblink|http_|net\.http|lo_|pg_read|pg_ls|pg_file|program|pg_terminate|pg_cancel|setval|set_config|advisory"
    r"|logical_emit",
    flags=re.IGNORECASE,
)


def table_facts(session: "PostgresSession", name: str) -> TableFacts | None:
    """Facts of a table, a view, or a foreign table; None when the name is none of these."""
    found = session.rows(TABLE, name)
    if not found:
        return None
    oid, shown, kind = found[0]
    columns = session.rows(COLUMNS, oid)
    triggers = session.rows(TRIGGERS, oid)
    return TableFacts(
        name=shown,
        columns=tuple(row[0] for row in columns),
        key=tuple(row[0] for row in columns if row[4]),
        later=frozenset(
            row[0] for row in columns if row[1] or (row[3] and not row[2] and DECIDED_LATER.search(row[3]))
        ),
        computed=frozenset(row[0] for row in columns if row[2]),
        rewritten=any(row[1] for row in triggers) or kind == "v",
        triggers=tuple(row[0] for row in triggers),
        unsafe=_unsafe(shown, kind, triggers),
    )


def _unsafe(table: str, kind: str, triggers: list[tuple[Any, ...]]) -> str | None:
    if kind == "f":
        return f"{table} is a foreign table: another server keeps its rows"
    for name, _, language, body in triggers:
        if language not in TRUSTED or REACHES_OUT.search(body):
            return f"the trigger {name} of {table} may reach beyond the database"
    return None


def function_facts(session: "PostgresSession", names: frozenset[str]) -> tuple[FunctionFacts, ...]:
    """Facts of functions by their bare names, the worst of all that share one."""
    if not names:
        return ()
    return tuple(FunctionFacts(*row) for row in session.rows(FUNCTIONS, sorted(names)))


def schema(session: "PostgresSession", table: str | None) -> dict[str, Any]:
    """Tables and views with all that is known of them, bounded.

    Raises:
        UserError: there is no such table.
    """
    found = session.rows(RELATIONS, table, SCHEMA_TABLES + 1)
    if table is not None and not found:
        raise UserError(f"There is no table {table!r} here, or this role may not see it.")
    tables = {row[0]: _relation(row) for row in found[:SCHEMA_TABLES]}
    oids = list(tables)
    for oid, name, kind, required, default in session.rows(DETAILS, oids):
        column = {"name": name, "type": kind, "nullable": not required}
        tables[oid]["columns"].append(column if default is None else {**column, "default": default})
    parts = {"primary_key": PRIMARY, "constraints": KEYS, "indexes": INDEXES, "triggers": FIRING}
    for part, text in parts.items():
        for oid, found_part in session.rows(text, oids):
            tables[oid][part].append(found_part)
    return bounded(list(tables.values()), truncated=len(found) > SCHEMA_TABLES)


def _relation(row: tuple[Any, ...]) -> dict[str, Any]:
    _, namespace, name, kind, estimate, comment = row
    shape: dict[str, Any] = {
        "table": f"{namespace}.{name}",
        "kind": KINDS[kind],
        "rows_estimate": estimate if estimate >= 0 else None,
        "columns": [],
        "primary_key": [],
        "constraints": [],
        "indexes": [],
        "triggers": [],
    }
    return {**shape, "comment": comment[:500]} if comment else shape


def bounded(tables: list[dict[str, Any]], *, truncated: bool) -> dict[str, Any]:
    """As many tables as fit; shape `{tables, truncated}`."""
    kept: list[dict[str, Any]] = []
    size = 0
    for table in tables:
        size += len(compact(table))
        if kept and size > SCHEMA_BYTES:
            return {"tables": kept, "truncated": True}
        kept.append(table)
    return {"tables": kept, "truncated": truncated}


def quoted_name(name: str) -> str:
    """A name with an optional schema as it goes into a statement."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def recall(session: "PostgresSession", table: str, key: str, request_sha256: str) -> tuple[str, dict[str, Any] | None]:
    """Take a key; the table's full name, and what was recorded under the key if it was used before.

    Raises:
        UserError: the key was used for another request, or the table can't be made.
    """
    name = quoted_name(table)
    if not session.rows(TABLE, name):
        session.run(with_name(MAKE_KEYS, name), ())
    shown = str(session.rows(TABLE, name)[0][1])
    found = session.rows(with_name(FIND_KEY, name), key)
    if not found:
        session.run(with_name(TAKE_KEY, name), (key, request_sha256))
        return shown, None
    if found[0][0] != request_sha256:
        raise UserError("This idempotency key was used for another statement; nothing was done.")
    return shown, dict(json.loads(found[0][1]))


def record(session: "PostgresSession", table: str, key: str, result: dict[str, Any]) -> None:
    """Keep the result of a request under its key."""
    session.run(with_name(KEEP_RESULT, quoted_name(table)), (key, compact(result)))
