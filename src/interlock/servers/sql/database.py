"""The database that a server is for, from the text of `INTERLOCK_SQL_DATABASE`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.model import ConfigError, UserError

if TYPE_CHECKING:
    from interlock.servers.sql.session import Session

VARIABLE = "INTERLOCK_SQL_DATABASE"
SQLITE = "sqlite:"
POSTGRES = ("postgresql://", "postgres://")
EXPECTED = f"set {VARIABLE} to sqlite:PATH or postgresql://USER@HOST/DATABASE"


@dataclass
class Database:
    """A kind of database and where it is; the text is never shown, it may hold a password."""

    dialect: str
    _where: str
    _warned: bool = False

    @classmethod
    def parse(cls, text: str) -> "Database":
        """Read the text of the variable.

        Raises:
            ConfigError: it names no database that can be used; the text itself is not repeated.
        """
        if text.startswith(SQLITE) and text != SQLITE:
            path = Path(text.removeprefix(SQLITE))
            if not path.is_file():
                raise ConfigError(f"there is no SQLite file {path}", hint=EXPECTED)
            return cls("sqlite", str(path.absolute()))
        if text.startswith(POSTGRES):
            from interlock.servers.sql.postgres import check_conninfo

            try:
                check_conninfo(text)
            except UserError as error:
                raise ConfigError(error.message, hint=EXPECTED) from error
            return cls("postgres", text)
        raise ConfigError(f"{VARIABLE} is not set to a database", hint=EXPECTED)

    def connect(self) -> "Session":
        """A new connection.

        Raises:
            Unavailable: the database does not answer, or does not let us in.
        """
        session = self._session()
        if session.warning is not None and not self._warned:
            self._warned = True
            sys.stderr.write(f"sql: {session.warning}\n")
        return session

    def _session(self) -> "Session":
        if self.dialect == "sqlite":
            from interlock.servers.sql.sqlite import SqliteSession

            return SqliteSession(Path(self._where))
        from interlock.servers.sql.postgres import PostgresSession

        return PostgresSession(self._where)

    def __repr__(self) -> str:
        return f"Database({self.dialect})"
