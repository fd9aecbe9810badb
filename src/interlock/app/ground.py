"""The ground that every process stands on: the database, embedded or the user's own, migrated, with keys and pools."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from interlock.config import Project, Settings, SystemClock, ensure_home, ensure_key
from interlock.model import UserError
from interlock.orchestrator import prepare_dispatcher
from interlock.store import APP_ROLE, Database, EmbeddedPostgres, PostgresBinaries, Sealer, check_login, migrate

_HINT = "check INTERLOCK_DATABASE_URL (or database.url in interlock.yaml)"


@dataclass(frozen=True)
class Foundation:
    """What a process needs of the database.

    Attributes:
        database: the pool, open.
        conninfo: DSN of the application's role, for a session of one's own.
        dispatcher_url: the same for the dispatcher.
        kind: `embedded` or `external`.
    """

    database: Database
    conninfo: str
    dispatcher_url: str
    kind: str


@dataclass(frozen=True)
class Dsn:
    """How to reach one database: as the owner, and as the application."""

    owner: str
    owner_url: str
    app: str
    app_url: str
    kind: str


@asynccontextmanager
async def foundation(
    settings: Settings, project: Project, env: Mapping[str, str], *, pool: int = 10
) -> AsyncIterator[Foundation]:
    """Start or reach the database, bring it up to date, and open a pool on it.

    Raises:
        DatabaseUnavailable: it does not answer.
        DatabaseUnfit: it is too old, or a role is not what it must be.
    """
    ensure_home(settings)
    sealer = Sealer([ensure_key(settings)])
    async with AsyncExitStack() as stack:
        dsn = _external(settings, project) or await _embedded(settings, env, stack)
        if dsn.kind == "external":
            await check_login(dsn.app, migrated=False)  # before anything of a database that can't be used is changed
        await asyncio.to_thread(prepare, dsn.owner, dsn.owner_url)
        database = Database(dsn.app, sealer, SystemClock(), size=pool)
        await database.open()
        stack.push_async_callback(database.close)
        yield Foundation(database, dsn.app, dsn.app_url, dsn.kind)


def prepare(owner_conninfo: str, owner_url: str) -> tuple[str, ...]:
    """Bring both schemas of a database up to date, as its owner; the names of our migrations that were applied."""
    applied = migrate(owner_conninfo)
    prepare_dispatcher(owner_conninfo, owner_url, APP_ROLE)
    return applied


async def _embedded(settings: Settings, env: Mapping[str, str], stack: AsyncExitStack) -> Dsn:
    server = EmbeddedPostgres(settings.home / "postgres", PostgresBinaries.find(env), clock=SystemClock())
    attached = await server.attach_async()
    stack.push_async_callback(server.detach_async)
    return Dsn(
        attached.owner_conninfo,
        attached.sqlalchemy_url("interlock_owner"),
        attached.app_conninfo,
        attached.sqlalchemy_url(APP_ROLE),
        "embedded",
    )


def _external(settings: Settings, project: Project) -> Dsn | None:
    """The user's own Postgres. With one DSN for both, sessions of workers switch to the application's role."""
    url = settings.database_url or project.config.database.url
    if url is None:
        return None
    owner = project.config.database.owner_url or url
    return Dsn(owner, dispatcher_url(owner), url, dispatcher_url(url, role=APP_ROLE), "external")


def dispatcher_url(dsn: str, role: str | None = None) -> str:
    """A libpq DSN, in either form, as the URL that SQLAlchemy takes, with the driver of ours.

    Raises:
        UserError: the DSN can't be read.
    """
    from interlock.store import parse_dsn

    parts = parse_dsn(dsn)
    if "dbname" not in parts:
        raise UserError("the database URL names no database", hint=_HINT)
    user = quote(parts.pop("user", ""), safe="")
    password = parts.pop("password", None)
    login = f"{user}:{quote(password, safe='')}@" if password is not None else f"{user}@" if user else ""
    host, port, dbname = parts.pop("host", ""), parts.pop("port", ""), parts.pop("dbname")
    if role is not None:
        parts["options"] = f"{parts.get('options', '')} -c role={role}".strip()
    query = {"host": host, **({"port": port} if port else {}), **parts} if host else parts
    return f"postgresql+psycopg://{login}/{quote(dbname, safe='')}?{urlencode(query)}"


def erase_embedded(home: Path, env: Mapping[str, str]) -> None:
    """Stop the embedded database of a state folder and delete its data for ever; for trials that are thrown away.

    Raises:
        DatabaseUnavailable: a process still uses it; nothing is deleted.
    """
    EmbeddedPostgres(home / "postgres", PostgresBinaries.find(env), clock=SystemClock()).destroy()
