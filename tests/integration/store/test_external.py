"""A Postgres of the user's own: Debian's, reached by TCP and password, by roles that are no superusers."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy
from psycopg import errors

from interlock.app import control_of, foundation
from interlock.config import Settings, load_project
from interlock.model import DatabaseUnavailable, DatabaseUnfit, InterlockError, UserError
from interlock.store import check_login, migrate

from .conftest import PASSWORD, Cluster

pytestmark = pytest.mark.integration

CONFIG = """
server: {port: 0, workers: 1}
tools:
  workspace: {builtin: workspace, root: ./files}
agents:
  clerk:
    model: playbook:note
    tools: ["workspace.write"]
    plan:
      - {tool: workspace.write, args: {path: note.txt}}
"""
PLAYBOOK = """
version: 1
steps:
  - call: workspace.write
    args: {path: note.txt, content: "from an external database"}
  - result: written
"""
# What docs/postgres.md tells a database administrator to run for two roles.
TWO_ROLES = (
    "create role interlock_app nologin",
    "create role deploy login password {password} in role interlock_app",
    "create role agents login password {password} in role interlock_app",
    "create database two owner deploy",
)
WRITES = (
    "update interlock.audit_record set event = 'x'",
    "delete from interlock.audit_record",
    "truncate interlock.audit_record cascade",
    "update interlock.audit_link set seq = seq + 1",
    "alter table interlock.audit_record add column x int",
    "drop table interlock.audit_waiting",
    "update interlock.schema_migration set sha256 = ''",
    "create table interlock.mine (x int)",
)


@dataclass(frozen=True)
class Place:
    """A project and a state folder, and the commands run for them."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def env(self, dsn: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("INTERLOCK_", "PG"))}
        return {**kept, "INTERLOCK_HOME": str(self.home), "INTERLOCK_DATABASE_URL": dsn}

    def start(self, dsn: str, *words: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "interlock", *words, "--project", str(self.folder)]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, env=self.env(dsn), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
        )

    def run(self, dsn: str, *words: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(dsn, *words)
        out, err = process.communicate(timeout=60)
        assert_no_secret(out + err)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def settings(self, dsn: str) -> Settings:
        return Settings(home=self.home, database_url=dsn)


def assert_no_secret(text: str) -> None:
    for form in (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), "canary"):
        assert form not in text, text


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "interlock.yaml").write_text(CONFIG)
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "note.yaml").write_text(PLAYBOOK)
    (tmp_path / "files").mkdir()
    return Place(tmp_path)


@pytest.fixture(scope="module")
def one(cluster: Cluster) -> str:
    """A database whose owner, `ops`, makes the application's role itself: the simple set-up."""
    cluster.as_superuser("create role ops login createrole password {password}", "create database agents owner ops")
    return "agents"


@pytest.fixture(scope="module")
def two(one: str, cluster: Cluster) -> str:
    """A database of two roles: `deploy` owns and migrates it, `agents` is what servers and workers log in as."""
    del one
    statements = [s for s in TWO_ROLES if not s.startswith("create role interlock_app")]
    cluster.as_superuser(
        "do $$ begin create role interlock_app nologin; exception when duplicate_object then null; end $$"
    )
    cluster.as_superuser(*statements)
    return "two"


async def rights_of(place: Place, dsn: str) -> tuple[str, str]:
    """Who works, in the pool and in the dispatcher; neither may write what is only added to."""
    async with foundation(place.settings(dsn), load_project(place.folder, {}), {}) as ground:
        for statement in WRITES:
            with pytest.raises(errors.InsufficientPrivilege):
                async with ground.database.transaction() as tx:
                    await tx.run(statement)
        async with ground.database.transaction() as tx:
            row = await tx.row("select current_user as name")
        assert row is not None
        engine = sqlalchemy.create_engine(ground.dispatcher_url)
        with engine.connect() as connection:
            other = connection.execute(sqlalchemy.text("select current_user")).scalar()
        engine.dispose()
        return str(row["name"]), str(other)


@pytest.mark.parametrize("url", [True, False], ids=["url", "keywords"])
async def test_one_dsn_serves_both_and_sessions_work_as_the_application(
    place: Place, cluster: Cluster, one: str, url: bool
) -> None:
    dsn = cluster.dsn("ops", one, url=url)
    assert await rights_of(place, dsn) == ("interlock_app", "interlock_app")
    assert migrate(dsn) == ()
    assert not (place.home / "postgres").exists(), "no embedded server was made"


async def test_the_role_that_migrates_and_the_one_that_works_can_be_two(
    place: Place, cluster: Cluster, two: str
) -> None:
    agents = cluster.dsn("agents", two)
    early = place.run(agents, "db", "migrate")
    if early.returncode != 0:  # unless another test was here first
        assert "error: this role may not bring the database up to date" in early.stderr
        assert "hint: as the role that owns the database: INTERLOCK_DATABASE_URL=… interlock db migrate" in early.stderr
    for _ in range(2):
        done = place.run(cluster.dsn("deploy", two), "db", "migrate")
        assert done.returncode == 0, done.stderr
    assert await rights_of(place, agents) == ("interlock_app", "interlock_app")
    with pytest.raises(errors.InsufficientPrivilege):  # even as itself, it can't
        cluster.ask(agents, "reset role; update interlock.audit_record set event = 'x' returning 1")

    owner_url = json.dumps(cluster.dsn("deploy", two, url=False))
    (place.folder / "interlock.yaml").write_text(f"{CONFIG}\ndatabase: {{owner_url: {owner_url}}}\n")
    assert await rights_of(place, agents) == ("interlock_app", "interlock_app")


def test_up_does_a_task_on_it(place: Place, cluster: Cluster, one: str) -> None:
    dsn = cluster.dsn("ops", one)
    started = place.run(dsn, "up", "--detach", "--json")
    assert started.returncode == 0, started.stderr
    try:
        summary = json.loads(started.stdout)
        assert summary["database"] == f"your own PostgreSQL {cluster.ask(dsn, 'show server_version')}"
        assert any("pgvector" in note for note in summary["notes"])
        command = [
            sys.executable,
            "-m",
            "interlock",
            "submit",
            "Write the note.",
            "--agent",
            "clerk",
            "--wait",
            "--json",
        ]
        done = subprocess.run(command, check=False, env=place.env(dsn), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["state"] == "completed"
        assert (place.folder / "files" / "note.txt").read_text() == "from an external database"
    finally:
        down = [sys.executable, "-m", "interlock", "down"]
        subprocess.run(down, env=place.env(dsn), capture_output=True, timeout=90, check=True)
    assert_no_secret((place.home / "logs" / "up.log").read_text())


async def test_a_worker_elsewhere_does_a_task_with_the_login_of_the_application(
    place: Place, cluster: Cluster, two: str
) -> None:
    assert place.run(cluster.dsn("deploy", two), "db", "migrate").returncode == 0
    dsn = cluster.dsn("agents", two)
    worker = place.start(dsn, "worker")
    try:
        async with control_of(place.settings(dsn), load_project(place.folder, {}), place.env(dsn)) as control:
            assert await control.fleet.accept_first_seen("test") == []
            task, _ = await control.submit({"agent": "clerk", "text": "Write the note."}, "person:test")
            async with asyncio.timeout(60):
                while (story := await control.task(task["id"]))["state"] != "completed":
                    assert story["state"] in ("queued", "running", "verifying"), story["state_reason"]
                    await asyncio.sleep(0.1)
    finally:
        worker.send_signal(signal.SIGTERM)
        out, err = worker.communicate(timeout=60)
    assert worker.returncode == 0, err
    assert_no_secret(out + err)


def test_two_first_starts_at_once_are_one(place: Place, cluster: Cluster, one: str) -> None:
    del one
    cluster.as_superuser("create database race owner ops")
    dsn = cluster.dsn("ops", "race")
    both = [place.start(dsn, "db", "migrate") for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert cluster.ask(dsn, "select count(*) from interlock.prepared_part") == 1
    cluster.as_superuser("drop database race with (force)")


# ---- what can't be used --------------------


def broken(cluster: Cluster, kind: str) -> str:
    """A DSN that can't work."""
    good = cluster.dsn("ops", "agents")
    kinds = {
        "wrong password": cluster.dsn("ops", "agents", password="canary-wrong"),
        "no password": f"postgresql://ops@127.0.0.1:{cluster.port}/agents",
        "no such database": cluster.dsn("ops", "nowhere"),
        "tls": f"{good}?sslmode=require",
        "tls mode": f"{good}?sslmode=bogus",
        "nobody there": f"postgresql://ops:{quote(PASSWORD, safe='')}@127.0.0.1:1/agents",
        "no such host": f"postgresql://ops:{quote(PASSWORD, safe='')}@nowhere.invalid/agents",
        "superuser": cluster.dsn("postgres", "postgres"),
    }
    return kinds[kind]


@pytest.mark.parametrize(
    ("kind", "error", "said", "hint"),
    [
        ("wrong password", DatabaseUnfit, 'password authentication failed for user "ops"', "percent-encoded"),
        ("no password", DatabaseUnfit, "no password supplied", "check user and password in INTERLOCK_DATABASE_URL"),
        ("no such database", DatabaseUnfit, 'database "nowhere" does not exist', "create database NAME owner ROLE"),
        ("tls", DatabaseUnfit, "server does not support SSL", "sslmode"),
        ("tls mode", DatabaseUnfit, 'invalid sslmode value: "bogus"', "sslmode"),
        ("nobody there", DatabaseUnavailable, "Connection refused", "start that Postgres, or correct INTERLOCK_"),
        ("no such host", DatabaseUnavailable, "nowhere.invalid", "start that Postgres, or correct INTERLOCK_"),
        ("superuser", DatabaseUnfit, "'postgres' is a superuser", "create role agents login createrole"),
    ],
)
async def test_what_is_wrong_is_said_with_the_way_out(
    cluster: Cluster, one: str, kind: str, error: type[InterlockError], said: str, hint: str
) -> None:
    del one
    with pytest.raises(error) as found:
        await check_login(broken(cluster, kind), migrated=False)
    assert said in found.value.message
    assert hint in found.value.next_step
    assert_no_secret(found.value.message + found.value.next_step)


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://ops:{PASSWORD}@127.0.0.1:5432/agents",
        "postgresql://ops:can@canary@127.0.0.1:5432/agents",
        "postgre://ops:canary@127.0.0.1/agents",
        "host=127.0.0.1 password=a canary dbname=agents",
        "canary",
    ],
)
def test_a_dsn_that_can_not_be_read_is_not_repeated(place: Place, dsn: str) -> None:
    found = place.run(dsn, "up")
    assert found.returncode != 0
    assert found.stderr.splitlines()[-3].startswith("error: ")
    assert "hint: check INTERLOCK_DATABASE_URL" in found.stderr


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("wrong password", ("up",)),
        ("wrong password", ("worker",)),
        ("wrong password", ("doctor",)),
        ("nobody there", ("up", "--detach")),
        ("superuser", ("worker",)),
        ("superuser", ("db", "migrate")),
    ],
)
def test_every_command_says_so_and_changes_nothing(
    place: Place, cluster: Cluster, one: str, kind: str, words: tuple[str, ...]
) -> None:
    del one
    found = place.run(broken(cluster, kind), *words)
    expected = {"wrong password": 1, "nobody there": 5, "superuser": 1}[kind]
    assert found.returncode == (1 if words == ("doctor",) else expected), found.stderr
    if words != ("doctor",):
        assert "error: " in found.stderr
        assert "hint: " in found.stderr
    else:
        assert "INTERLOCK_DATABASE_URL" in found.stdout
    assert "Traceback" not in found.stderr
    assert not (place.home / "server.json").exists()
    if kind == "superuser":
        assert cluster.ask(cluster.dsn("postgres", "postgres"), "select to_regnamespace('interlock')") is None


async def test_a_database_that_was_never_migrated_is_told_from_the_owners(
    place: Place, cluster: Cluster, two: str
) -> None:
    assert place.run(cluster.dsn("deploy", two), "db", "migrate").returncode == 0
    cluster.as_superuser("create database empty owner deploy")
    owner_url = json.dumps(cluster.dsn("deploy", two))
    (place.folder / "interlock.yaml").write_text(f"{CONFIG}\ndatabase: {{owner_url: {owner_url}}}\n")
    found = place.run(cluster.dsn("agents", "empty"), "db", "migrate")
    assert found.returncode == 1
    assert "error: the database empty has no interlock schema: database.owner_url names another one" in found.stderr
    cluster.as_superuser("drop database empty with (force)")


async def test_a_login_that_is_no_member_is_told_what_to_grant(place: Place, cluster: Cluster, two: str) -> None:
    assert place.run(cluster.dsn("deploy", two), "db", "migrate").returncode == 0
    cluster.as_superuser("create role stranger login password {password}")
    dsn = cluster.dsn("stranger", two)
    with pytest.raises(DatabaseUnfit, match="may not act as interlock_app") as found:
        await check_login(dsn, migrated=True)
    assert found.value.next_step == 'grant interlock_app to "stranger"'
    cluster.as_superuser(found.value.next_step)
    await check_login(dsn, migrated=True)
    assert place.run(dsn, "db", "migrate").returncode == 0
    cluster.as_superuser("drop role stranger")


def test_a_missing_database_name_is_said(place: Place, cluster: Cluster) -> None:
    with pytest.raises(UserError):
        asyncio.run(_open(place, f"postgresql://ops@127.0.0.1:{cluster.port}"))


async def _open(place: Place, dsn: str) -> None:
    async with foundation(place.settings(dsn), load_project(place.folder, {}), {}):
        pass
