"""`python -m interlock.servers.sql [--read-only] [--max-rows N] ...`: serve one database over MCP on stdio.

The database is in the environment variable `INTERLOCK_SQL_DATABASE`, because it may hold a password and command lines
are seen by everyone.
"""

import argparse
import os
import sys
from pathlib import Path

from interlock.servers.sql.limits import ROWS, ROWS_CAP


def main() -> int:
    """Read the command line and serve; the exit status: 0 ended by the client, 2 the database or a file can't be used.

    It is 70 when the answer to a commit was lost: see `interlock.servers.sql.server.end_without_answer`.
    """
    options = _options()
    from interlock.model import ConfigError
    from interlock.servers.sql.database import VARIABLE, Database

    try:
        database = Database.parse(os.environ.pop(VARIABLE, ""))
    except ConfigError as error:
        sys.stderr.write(f"sql: {error.message}\nhint: {error.next_step}\n")
        return 2
    import asyncio

    from interlock.servers.sql.operations import Rules
    from interlock.servers.sql.server import serve

    try:
        rules = Rules(options.max_rows, options.read_only, options.idempotency_table)
        asyncio.run(serve(database, rules, options.effect_log))
    except OSError as error:
        sys.stderr.write(f"sql: {error.filename or 'standard input'}: {error.strerror}\n")
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m interlock.servers.sql",
        description="MCP server for one database (INTERLOCK_SQL_DATABASE), over standard input and output.",
    )
    parser.add_argument("--read-only", action="store_true", help="offer no tool that changes anything")
    parser.add_argument("--max-rows", type=int, default=ROWS, help=f"rows of a result, 1 to {ROWS_CAP} ({ROWS})")
    parser.add_argument("--effect-log", type=Path, help="append a line of JSON before and after each change")
    parser.add_argument(
        "--idempotency-table", metavar="NAME", help="record keys of calls in this table, which is made if need be"
    )
    options = parser.parse_args()
    if not 1 <= options.max_rows <= ROWS_CAP:
        parser.error(f"--max-rows {options.max_rows}: expected 1 to {ROWS_CAP}")
    return options


if __name__ == "__main__":
    sys.exit(main())
