"""Changes of Postgres: previewed, kept only as shown, all or nothing, once per key."""

import threading
import time
from typing import Any

import pytest

from interlock.model import canonical_sha256
from interlock.servers.shared.calls import CallNotes

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CHANGES = [
    "update customer set city = upper(city) where id < 3",
    "update customer c set city = b.cents::text from bill b where b.customer_id = c.id and b.cents > 200",
    "with rich as (select customer_id c from bill where cents > 90) update customer set city = 'x' from rich where id = c",
    "update public.customer as c set (name, city) = ('a', 'b') where c.id = 1",
    "update only customer set city = null",
    "delete from customer where id = 1",
    "delete from bill using customer c where c.id = customer_id and c.name = 'Ada'",
    "insert into customer values (7, 'Barbara', now()::text)",
    "insert into bill (customer_id, cents) values (1, 5), (2, 6)",
    "insert into bill (customer_id, cents) select id, 5 from customer",
    "insert into bill values (default, 1, 5, default)",
    "insert into note select name, clock_timestamp()::text from customer",
    "insert into note values ('a', 'b') on conflict (key) do update set body = excluded.body returning *",
    "with gone as (delete from bill returning *) insert into note select id::text, cents::text from gone",
    "merge into note n using customer c on n.key = c.name when not matched then insert values (c.name, c.city)",
    "update bill set made = now(); insert into note select id::text, made::text from bill",
    "insert into bill (customer_id, cents) values (3, 9); insert into note select max(id)::text, '' from bill",
    "delete from bill where cents > 90 returning id, cents * 2 as double",
    "insert into bill (customer_id, cents) values (1, 5) returning *",
    "update customer set city = 'x' returning customer.*, 1",
    "alter table customer drop column city",
    "alter table bill alter column cents type text using cents || ' c'",
    "truncate bill",
    "truncate customer cascade",
    "drop table bill",
    "drop table customer cascade",
    "create table x (y int primary key, z text default gen_random_uuid()); insert into x values (1); delete from x",
    "alter table customer add column more text; update customer set more = 'x'",
    "insert into customer values (8, 'Ken', random()::text); update customer set city = 'x' where id = 8",
    'create table "Odd T" ("A b" int primary key); insert into "Odd T" values (1); update "Odd T" set "A b" = 2',
]


@pytest.mark.parametrize("statement", CHANGES)
def test_a_preview_leaves_no_trace_and_says_what_then_happens(bench: Any, statement: str) -> None:
    before = bench.picture()
    shown = bench.preview(statement)
    assert bench.picture() == before
    assert bench.preview(statement) == shown
    canonical_sha256(shown["effect"])  # an approval is bound to it
    assert shown["effect"]["rows_changed"] > 0
    done = bench.good("execute", CallNotes(shown["state_sha256"]), statement=statement)
    assert done["effect"] == shown["effect"]
    assert done["touched"] == shown["touched"]
    assert bench.picture() != before


def test_rows_are_counted_with_their_cascades(bench: Any) -> None:
    effect = bench.preview("delete from customer where id = 1")["effect"]
    assert effect["rows_changed"] == 3
    assert effect["statements"] == [{"kind": "delete", "table": "public.customer", "rows": 1}]
    assert effect["tables"] == [{"table": "public.bill", "rows": 2}, {"table": "public.customer", "rows": 1}]
    assert "public.bill" in effect["note"]


def test_the_sample_shows_rows_before_and_after(bench: Any) -> None:
    effect = bench.preview("update customer set city = $1 where name = $2", params=["Paris", "Ada"])["effect"]
    before = {"id": 1, "name": "Ada", "city": "London"}
    assert effect["sample"] == [{"table": "public.customer", "before": before, "after": {**before, "city": "Paris"}}]
    effect = bench.preview("insert into bill (customer_id, cents) values (1, 5)")["effect"]
    later = "(decided when it runs)"
    assert effect["sample"][0]["after"] == {"id": later, "customer_id": 1, "cents": 5, "made": later}
    assert "sequences" in effect["note"]


def test_only_a_sequence_keeps_a_trace(bench: Any) -> None:
    before = bench.do("select last_value from bill_id_seq")
    assert "sequences" in bench.preview("insert into bill (customer_id, cents) values (1, 5)")["effect"]["note"]
    assert bench.do("select last_value from bill_id_seq") > before


@pytest.mark.parametrize(
    "meanwhile",
    [
        "update customer set city = 'Oxford' where id = 1",
        "insert into customer values (9, 'New', 'London')",
        "delete from customer where id = 3",
        "update customer set name = 'A' where id = 2",
    ],
)
def test_what_changed_meanwhile_is_noticed(bench: Any, meanwhile: str) -> None:
    statement = "update customer set city = upper(city)"
    shown = bench.preview(statement)
    bench.do(meanwhile)
    before = bench.picture()
    outcome = bench.call("execute", CallNotes(shown["state_sha256"]), statement=statement)
    assert outcome.failed
    assert outcome.structured["conflict"] is True
    assert "not what was shown" in outcome.text
    assert bench.picture() == before


@pytest.mark.parametrize(
    ("statement", "meanwhile"),
    [
        ("alter table bill drop column cents", "update bill set cents = 1 where id = 1"),
        ("delete from bill where id = 1 returning id", "update bill set cents = 1 where id = 1"),
        ("update customer set name = 'x' where id = 1 returning id", "update customer set city = 'x' where id = 1"),
        ("truncate bill", "update bill set cents = 1 where id = 1"),
        ("drop table bill", "insert into bill (customer_id, cents) values (1, 1)"),
        ("truncate customer cascade", "update bill set cents = 1 where id = 1"),
        ("delete from customer where id = 1", "insert into bill (customer_id, cents) values (1, 1)"),
        ("insert into note select name, city from customer", "update customer set city = 'x' where id = 1"),
        ("update customer set city = (select sum(cents)::text from bill)", "update bill set cents = 1 where id = 1"),
    ],
)
def test_what_it_takes_from_elsewhere_is_noticed_too(bench: Any, statement: str, meanwhile: str) -> None:
    shown = bench.preview(statement)
    bench.do(meanwhile)
    assert bench.call("execute", CallNotes(shown["state_sha256"]), statement=statement).structured["conflict"]


def test_what_is_lost_with_a_column_is_counted(bench: Any) -> None:
    effect = bench.preview("alter table customer drop column city")["effect"]
    assert (effect["rows_changed"], effect["schema_changed"]) == (3, True)
    effect = bench.preview("drop schema public cascade")["effect"]
    assert (effect["rows_changed"], effect["schema_changed"]) == (6, True)
    assert bench.preview("delete from bill")["effect"]["schema_changed"] is False


def test_returned_rows_are_those_that_were_asked_for(bench: Any) -> None:
    statement = "delete from bill where cents > 90 returning cents * 2 as double -- all of it"
    shown = bench.preview(statement)
    assert len(shown["effect"]["sample"]) == 2
    done = bench.good("execute", CallNotes(shown["state_sha256"]), statement=statement)
    result = done["statements"][0]["result"]
    assert [column["name"] for column in result["columns"]] == ["double"]
    assert sorted(result["rows"]) == [[200], [500]]


def test_another_statement_is_not_what_was_shown(bench: Any) -> None:
    shown = bench.preview("delete from customer where id = 1")
    assert "not what was shown" in bench.bad(
        "execute", CallNotes(shown["state_sha256"]), statement="delete from customer where id = 2"
    )
    assert bench.bad("execute", CallNotes("0" * 64), statement="delete from customer where id = 1")


def test_a_change_that_commits_between_the_look_and_the_change_is_noticed(bench: Any) -> None:
    """Another transaction holds the row, the call waits for it, and what it then finds is no longer what was shown."""
    import psycopg

    statement = "update customer set city = upper(city) where city = 'London'"
    shown = bench.preview(statement)
    outcomes: list[Any] = []
    with psycopg.connect(bench.dsn) as other:
        other.execute("update customer set name = 'Lovelace' where id = 1")
        notes = CallNotes(shown["state_sha256"])
        thread = threading.Thread(target=lambda: outcomes.append(bench.call("execute", notes, statement=statement)))
        thread.start()
        waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        for _ in range(200):
            if bench.do(waiting) != [(0,)]:
                break
            thread.join(0.02)
        other.commit()
    thread.join(20)
    assert outcomes[0].failed
    assert bench.do("select name, city from customer where id = 1") == [("Lovelace", "London")]


def test_a_lock_is_waited_for_only_so_long(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    monkeypatch.setattr("interlock.servers.sql.postgres.LOCK_WAIT_S", 0.2)
    with psycopg.connect(bench.dsn) as other:
        other.execute("lock table customer")
        assert "lock timeout" in bench.bad("execute", statement="delete from customer")


UNSTAGEABLE = [
    "do $$ begin delete from note; end $$",
    "call spend()",
    "notify x",
    "select nextval('bill_id_seq')",
    "select setval('bill_id_seq', 99)",
    "insert into note values (setval('bill_id_seq', 99)::text, '')",
    "select pg_notify('a', 'b')",
    "insert into note values ('a', pg_notify('a', 'b')::text)",
    "select set_config('a.b', 'c', true)",
    "select pg_terminate_backend(1)",
    "select pg_advisory_lock(1)",
    "select dangerous()",
    "delete from customer where dangerous() = 1",
    "insert into outside values (1)",
    "insert into watched values (1)",
    "lock table note",
    "refresh materialized view x",
    "create extension dblink",
]


def test_what_can_not_be_taken_back_is_not_staged(bench: Any) -> None:
    bench.do(
        "create function dangerous() returns int language plpgsql as"
        " $$ begin perform set_config('a.b', 'c', false); return 1; end $$",
        "create procedure spend() language sql as 'delete from customer'",
        "create table watched (a int)",
        "create function tells() returns trigger language plpgsql as"
        " $$ begin perform dblink_exec('dbname=x', 'insert into y'); return new; end $$",
        "create trigger tells before insert on watched for each row execute function tells()",
        "create foreign data wrapper far",
        "create server far foreign data wrapper far",
        "create foreign table outside (a int) server far",
        "grant all on watched, outside to public",
    )
    before, sequence = bench.picture(), bench.do("select last_value, is_called from bill_id_seq")
    for statement in UNSTAGEABLE:
        outcome = bench.call("preview", tool="execute", args={"statement": statement})
        assert outcome.failed, statement
        assert outcome.structured is not None, (statement, outcome.text)
        assert outcome.structured["staged"] is False
        assert "can't be " in outcome.text
    assert bench.picture() == before
    assert bench.do("select last_value, is_called from bill_id_seq") == sequence


def test_what_would_fail_is_said_beforehand(bench: Any) -> None:
    assert "duplicate key" in bench.bad(
        "preview", tool="execute", args={"statement": "insert into customer values (1, 'x', 'y')"}
    )
    bench.do("alter table bill alter constraint bill_customer_id_fkey deferrable initially deferred")
    text = bench.bad(
        "preview", tool="execute", args={"statement": "insert into bill (customer_id, cents) values (99, 1)"}
    )
    assert "foreign key" in text


def test_triggers_that_rewrite_rows_promise_only_numbers(bench: Any) -> None:
    bench.do(
        "create function stamps() returns trigger language plpgsql as"
        " $$ begin new.city := clock_timestamp()::text; return new; end $$",
        "create trigger stamps before update on customer for each row execute function stamps()",
    )
    statement = "update customer set name = 'x'"
    shown = bench.preview(statement)
    assert "Triggers run: stamps." in shown["effect"]["note"]
    assert shown["effect"]["sample"] == []
    bench.good("execute", CallNotes(shown["state_sha256"]), statement=statement)


def test_views_are_changed_through(bench: Any) -> None:
    bench.do("create view londoner as select * from customer where city = 'London'", "grant all on londoner to public")
    statement = "update londoner set name = 'x'"
    shown = bench.preview(statement)
    assert shown["touched"] == ["public.customer", "public.londoner"]
    assert shown["effect"]["rows_changed"] == 1
    bench.good("execute", CallNotes(shown["state_sha256"]), statement=statement)


def test_a_statement_that_takes_too_long_is_not_tried_again(bench: Any) -> None:
    statement = "update customer set city = pg_sleep(60)::text where id = 1"
    started = time.monotonic()
    assert "timeout" in bench.bad("preview", tool="execute", args={"statement": statement, "timeout_s": 3})
    assert time.monotonic() - started < 5.8


def test_all_or_nothing(bench: Any) -> None:
    before = bench.picture()
    assert "duplicate key" in bench.bad(
        "execute", statement="delete from bill; insert into customer values (1, 'again', null)"
    )
    assert bench.picture() == before
    for statement in ("delete from bill; commit", "delete from bill; vacuum", "delete from bill; create database x"):
        bench.bad("execute", statement=statement)
    bench.do("create procedure ends() language plpgsql as $$ begin delete from bill; commit; end $$")
    assert "invalid transaction termination" in bench.bad("execute", statement="call ends()")
    assert bench.picture() == before


def test_results_of_several_statements(bench: Any) -> None:
    found = bench.good(
        "execute", statement="insert into note values ('a', 'b') returning key; select count(*) from note"
    )
    assert [(part["kind"], part["rows"]) for part in found["statements"]] == [("insert", 1), ("select", 0)]
    assert [part["result"]["rows"] for part in found["statements"]] == [[["a"]], [[1]]]


def test_a_key_is_used_once(bench: Any) -> None:
    sql = bench.server(key_table="interlock_keys")
    statement = "update bill set cents = cents + 1"
    notes = CallNotes(bench.preview(statement)["state_sha256"], "t:1:1")
    first = bench.good("execute", notes, sql=sql, statement=statement)
    again = bench.good("execute", notes, sql=sql, statement=statement)
    assert again == {**first, "repeated": True}
    assert first["touched"] == ["public.bill"]
    assert bench.do("select sum(cents) from bill") == [(428,)]
    assert "another statement" in bench.bad("execute", CallNotes(key="t:1:1"), sql=sql, statement="delete from bill")
    bench.bad("execute", CallNotes(key="t:1:2"), sql=sql, statement="insert into customer values (1, 'x', null)")
    bench.good("execute", CallNotes(key="t:1:2"), sql=sql, statement="insert into customer values (4, 'x', null)")


def test_one_key_by_many_at_once_is_one_change(bench: Any) -> None:
    sql = bench.server(key_table="interlock_keys")
    bench.good("execute", CallNotes(key="first"), sql=sql, statement="update note set body = ''")
    statement = "update bill set cents = cents + 1"
    outcomes: list[Any] = []

    def work() -> None:
        outcomes.append(bench.call("execute", CallNotes(key="t:1:1"), sql=sql, statement=statement))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [outcome.failed for outcome in outcomes] == [False] * 4
    assert sum("repeated" in outcome.structured for outcome in outcomes) == 3
    assert bench.do("select sum(cents) from bill") == [(428,)]


def test_without_a_table_for_keys_none_is_made(bench: Any) -> None:
    bench.good("execute", CallNotes(key="t:1:1"), statement="delete from bill")
    assert bench.do("select count(*) from pg_tables where schemaname = 'public'") == [(3,)]
