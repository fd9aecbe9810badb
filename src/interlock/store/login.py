"""Whether a login is one that servers and workers may use: asked on a connection of its own, before anything changes.

Sessions switch to the application's role. A login that is a superuser could switch back, and then alter the audit;
so it is refused, although its sessions would look harmless.
"""

from dataclasses import dataclass

from interlock.model import DatabaseUnfit
from interlock.store.dsn import WHERE, connection_error

OLDEST = 150_000
_FACTS = """
select current_setting('server_version_num')::int as version, current_database() as database,
  current_setting('server_encoding') as encoding, session_user::text as name,
  current_setting('transaction_read_only')::bool as read_only,
  (select rolsuper or rolbypassrls from pg_roles where rolname = session_user) as mighty,
  (select rolsuper or rolbypassrls from pg_roles where rolname = 'interlock_app') as app_mighty,
  coalesce((select pg_has_role(session_user, oid, 'MEMBER') from pg_roles where rolname = 'interlock_app'), false)
    as member,
  exists (select from pg_namespace where nspname = 'interlock') as prepared
"""


@dataclass(frozen=True)
class Login:
    """What the server says of the role that logged in, and of the database it came to.

    Attributes:
        version: of the server, such as 150018.
        database: its name.
        encoding: of the database.
        name: the role that logged in.
        read_only: it may only be read, as a standby.
        mighty: that role is a superuser, or row security does not hold for it.
        app_mighty: the same of the application's role; None while there is no such role.
        member: the role that logged in may act as the application's role.
        prepared: our schema is there.
    """

    version: int
    database: str
    encoding: str
    name: str
    read_only: bool
    mighty: bool
    app_mighty: bool | None
    member: bool
    prepared: bool


async def check_login(conninfo: str, *, migrated: bool) -> None:
    """Connect once and look; with `migrated`, also for what only a migrated database has.

    Raises:
        DatabaseUnavailable: nothing answers within ten seconds.
        DatabaseUnfit: the server refuses the login, or the login or the database can't be used.
    """
    import psycopg
    from psycopg.rows import class_row

    try:
        connection = await psycopg.AsyncConnection.connect(
            conninfo, connect_timeout=10, autocommit=True, row_factory=class_row(Login)
        )
        async with connection:
            found = await (await connection.execute(_FACTS)).fetchone()
    except psycopg.OperationalError as error:
        raise connection_error(error, conninfo) from error
    if found is not None:
        judge(found, migrated=migrated)


def judge(login: Login, *, migrated: bool) -> None:
    """Refuse a login that servers and workers must not use.

    Raises:
        DatabaseUnfit: the first thing that is wrong, with the SQL that puts it right.
    """
    if login.version < OLDEST:
        raise DatabaseUnfit(
            f"this is Postgres {login.version // 10_000}; 15 or newer is needed",
            hint="upgrade Postgres, or leave database.url out: interlock then brings its own",
        )
    if login.encoding != "UTF8":
        raise DatabaseUnfit(
            f"the database {login.database} has the encoding {login.encoding}; UTF8 is needed",
            hint=f"create database {login.database}2 encoding 'UTF8' template template0",
        )
    if login.read_only:
        raise DatabaseUnfit(
            f"the database {login.database} can only be read here, as on a standby",
            hint=f"name the primary in {WHERE}, or add target_session_attrs=read-write",
        )
    if login.mighty:
        raise DatabaseUnfit(
            f"the role '{login.name}' is a superuser or bypasses row security; servers and workers must not be able "
            "to alter the audit",
            hint=f"make an ordinary role and name it in {WHERE}: create role agents login createrole password '…'; "
            f"alter database {login.database} owner to agents",
        )
    if login.app_mighty:
        raise DatabaseUnfit(
            "the role interlock_app is a superuser or bypasses row security; it must be an ordinary one",
            hint="alter role interlock_app nosuperuser nobypassrls",
        )
    if migrated and not login.prepared:
        raise DatabaseUnfit(
            f"the database {login.database} has no interlock schema: database.owner_url names another one",
            hint="let database.url and database.owner_url name the same database",
        )
    if migrated and not login.member:
        raise DatabaseUnfit(
            f"the role '{login.name}' may not act as interlock_app", hint=f'grant interlock_app to "{login.name}"'
        )
