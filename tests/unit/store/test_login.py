"""Which logins servers and workers may use, and that no secret of a DSN is ever repeated."""

from dataclasses import replace
from typing import Any

import pytest

from interlock.model import DatabaseUnavailable, DatabaseUnfit, UserError
from interlock.store.dsn import connection_error, parse_dsn
from interlock.store.login import Login, judge

GOOD = Login(
    version=150_018,
    database="agents",
    encoding="UTF8",
    name="clerk",
    read_only=False,
    mighty=False,
    app_mighty=False,
    member=True,
    prepared=True,
)


def test_an_ordinary_member_on_a_migrated_database_is_good() -> None:
    judge(GOOD, migrated=True)


def test_before_the_first_migration_there_is_no_role_and_no_schema() -> None:
    fresh = replace(GOOD, app_mighty=None, member=False, prepared=False)
    judge(fresh, migrated=False)
    with pytest.raises(DatabaseUnfit, match="no interlock schema"):
        judge(fresh, migrated=True)


@pytest.mark.parametrize(
    ("change", "said", "hint"),
    [
        ({"version": 140_022}, "this is Postgres 14; 15 or newer is needed", "upgrade Postgres"),
        ({"version": 90_624}, "this is Postgres 9", "upgrade Postgres"),
        ({"encoding": "SQL_ASCII"}, "the encoding SQL_ASCII; UTF8 is needed", "create database"),
        ({"read_only": True}, "can only be read here", "target_session_attrs=read-write"),
        ({"mighty": True}, "'clerk' is a superuser", "create role agents login"),
        ({"app_mighty": True}, "interlock_app is a superuser", "alter role interlock_app nosuperuser"),
        ({"member": False}, "'clerk' may not act as interlock_app", 'grant interlock_app to "clerk"'),
    ],
)
def test_what_is_wrong_is_said_with_the_sql_that_helps(change: dict[str, Any], said: str, hint: str) -> None:
    with pytest.raises(DatabaseUnfit) as found:
        judge(replace(GOOD, **change), migrated=True)
    assert said in found.value.message
    assert hint in found.value.next_step


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://ops:p@ss:w/rd %canary@127.0.0.1:5432/agents",
        "postgresql://ops:a@canary@127.0.0.1/agents",
        "postgresql://ops:a/canary@127.0.0.1/agents",
        "postgresql://ops:12/canary@127.0.0.1/agents",
        "postgre://ops:canary@h/d",
        "host=h password=a canary",
        "host=h port=canary",
        "canary",
        "postgresql://ops@h/d?canary=1",
    ],
)
def test_a_dsn_that_can_not_be_read_is_not_repeated(dsn: str) -> None:
    with pytest.raises(UserError) as found:
        parse_dsn(dsn)
    assert "canary" not in found.value.message + found.value.next_step
    assert found.value.__cause__ is None
    assert found.value.__suppress_context__ or found.value.__context__ is None


def test_both_forms_are_the_same() -> None:
    url = parse_dsn("postgresql://ops:p%40ss%3Aw%2Frd%20%25@h:5433/agents?sslmode=require")
    words = parse_dsn("user=ops password='p@ss:w/rd %' host=h port=5433 dbname=agents sslmode=require")
    assert url == words
    assert parse_dsn("host=a,b port=1,2 dbname=x")["port"] == "1,2"


@pytest.mark.parametrize(
    ("said", "kind", "hint"),
    [
        ('FATAL:  password authentication failed for user "x"', DatabaseUnfit, "percent-encoded"),
        ('FATAL:  no pg_hba.conf entry for host "1.2.3.4"', DatabaseUnfit, "check user and password"),
        ('FATAL:  database "x" does not exist', DatabaseUnfit, "create database"),
        ("server does not support SSL, but SSL was required", DatabaseUnfit, "sslmode"),
        ("FATAL:  sorry, too many clients already", DatabaseUnavailable, "max_connections"),
        ("FATAL:  remaining connection slots are reserved", DatabaseUnavailable, "max_connections"),
        ("FATAL:  the database system is starting up", DatabaseUnavailable, "start that Postgres"),
        ("Connection refused\n\tIs the server running?", DatabaseUnavailable, "start that Postgres"),
    ],
)
def test_a_failed_connection_says_what_to_do(said: str, kind: type[Exception], hint: str) -> None:
    error = connection_error(RuntimeError(f"connection failed: {said}"), "host=db.example.org dbname=x")
    assert type(error) is kind
    assert error.message.endswith(said.splitlines()[0])
    assert hint in error.next_step


def test_the_embedded_one_is_a_matter_for_the_doctor() -> None:
    error = connection_error(RuntimeError("connection is bad: No such file"), "host=/home/x/run dbname=interlock")
    assert error.next_step == "interlock doctor"
