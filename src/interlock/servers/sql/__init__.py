"""The built-in MCP server `sql`: one Postgres or SQLite database, every change of it measured before it is kept.

A program of its own (`python -m interlock.servers.sql`, the database in `INTERLOCK_SQL_DATABASE`) that speaks MCP over
stdio. Models see `query`, `schema`, `explain` and `execute`; the gate also uses the internal tool `preview`, which does
what `execute` would do, measures it, and takes it back.

`execute` is one transaction. When the caller says what was shown (`interlock/expect_state_sha256`), the statements are
done, measured again, and kept only if they did exactly that. When the answer to the commit is lost the process ends
itself without an answer, because whatever it said might be wrong.

Where to look: `statements` (a text as statements, what is refused), `foresight` (what a statement's rows will look
like and which values can't be known beforehand), `rehearsal` (do, measure, digest), `session` (what both databases can
do), `postgres`, `postgres_catalog`, `sqlite` and `sqlite_catalog` (how), `values` and `results` (rows as JSON, bounded),
`operations` (one call from start to end), `tools` (definitions), `server` (MCP).
"""
