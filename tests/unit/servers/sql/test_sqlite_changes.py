"""Changes of a SQLite file: previewed, kept only as shown, all or nothing, once per key."""

import json
import sqlite3
from typing import Any

import pytest

from interlock.model import canonical_sha256
from interlock.servers.shared.calls import CallNotes

CHANGES = [
    "update customer set city = upper(city) where id < 3",
    "delete from customer where id = 1",
    "insert into customer (name) values ('Barbara'), ('Katherine')",
    "insert into note select name, city from customer",
    "insert or replace into note values ('a', 'b')",
    "replace into note values ('a', 'b')",
    "update customer set city = (select max(cents) from bill where customer_id = customer.id)",
    "update bill set cents = c.id from customer c where c.id = bill.customer_id",
    "delete from bill",
    "delete from bill where cents > 90 returning cents * 2",
    "update bill set cents = 1 returning *",
    "drop table bill",
    "alter table customer drop column city",
    "create table x (y); insert into x values (1); insert into x select y + 1 from x",
    "alter table note add column more text",
    "update bill set made = current_timestamp; insert into note select id, made from bill",
]


@pytest.mark.parametrize("statement", CHANGES)
def test_a_preview_leaves_no_trace_and_says_what_then_happens(bench: Any, statement: str) -> None:
    before = bench.dump()
    shown = bench.preview(statement)
    assert bench.dump() == before
    assert bench.preview(statement) == shown
    canonical_sha256(shown["effect"])  # an approval is bound to it
    done = bench.good("execute", CallNotes(shown["state_sha256"]), statement=statement)
    assert done["effect"] == shown["effect"]
    assert done["touched"] == shown["touched"]
    assert bench.dump() != before


def test_rows_are_counted_with_their_cascades(bench: Any) -> None:
    effect = bench.preview("delete from customer where id = 1")["effect"]
    assert effect["rows_changed"] == 3
    assert effect["statements"] == [{"kind": "delete", "table": "customer", "rows": 1}]
    assert [table["table"] for table in effect["tables"]] == ["bill", "customer"]
    assert effect["sample"] == [
        {"table": "customer", "before": {"id": 1, "name": "Ada", "city": "London"}, "after": None}
    ]


def test_the_sample_shows_rows_before_and_after(bench: Any) -> None:
    effect = bench.preview("update customer set city = ? where name = ?", params=["Paris", "Ada"])["effect"]
    before = {"id": 1, "name": "Ada", "city": "London"}
    assert effect["sample"] == [{"table": "customer", "before": before, "after": {**before, "city": "Paris"}}]


def test_what_is_decided_only_when_it_runs_is_not_promised(bench: Any) -> None:
    effect = bench.preview("insert into bill (customer_id, cents) values (1, 5)")["effect"]
    assert effect["sample"][0]["after"] == {
        "id": "(decided when it runs)",
        "customer_id": 1,
        "cents": 5,
        "made": "(decided when it runs)",
    }
    assert "Decided only when it runs: id, made." in effect["note"]


def test_triggers_are_named_and_counted(bench: Any) -> None:
    with sqlite3.connect(bench.file) as other:
        other.execute("create trigger gone after delete on bill begin insert into note values (old.id, 'gone'); end")
    other.close()
    shown = bench.preview("delete from bill where cents > 90")
    assert shown["effect"]["rows_changed"] == 4
    assert shown["touched"] == ["bill", "note"]
    assert "Triggers run: gone." in shown["effect"]["note"]
    bench.good("execute", CallNotes(shown["state_sha256"]), statement="delete from bill where cents > 90")
    assert len(bench.rows("select * from note")) == 2


@pytest.mark.parametrize(
    "meanwhile",
    [
        "update customer set city = 'Oxford' where id = 1",
        "insert into customer values (9, 'New', 'London')",
        "delete from customer where id = 2",
        "update customer set name = 'A' where id = 2",
    ],
)
def test_what_changed_meanwhile_is_noticed(bench: Any, meanwhile: str) -> None:
    statement = "update customer set city = upper(city)"
    shown = bench.preview(statement)
    with sqlite3.connect(bench.file) as other:
        other.execute(meanwhile)
    other.close()
    before = bench.dump()
    outcome = bench.call("execute", CallNotes(shown["state_sha256"]), statement=statement)
    assert outcome.failed
    assert outcome.structured["conflict"] is True
    assert "not what was shown" in outcome.text
    assert bench.dump() == before


def test_what_has_nothing_to_do_with_it_is_no_conflict(bench: Any) -> None:
    shown = bench.preview("update customer set city = 'x' where id = 1")
    with sqlite3.connect(bench.file) as other:
        other.execute("update customer set city = 'y' where id = 2")
    other.close()
    done = bench.good(
        "execute", CallNotes(shown["state_sha256"]), statement="update customer set city = 'x' where id = 1"
    )
    assert done["effect"]["rows_changed"] == 1


def test_all_or_nothing(bench: Any) -> None:
    before = bench.dump()
    text = bench.bad("execute", statement="delete from bill; insert into customer values (1, 'again', null)")
    assert "UNIQUE" in text
    assert bench.dump() == before


def test_returned_rows_are_bounded(bench: Any) -> None:
    found = bench.good("execute", statement="update customer set city = null returning id", max_rows=2)
    assert found["statements"][0]["rows"] == 3
    result = found["statements"][0]["result"]
    assert (result["rows"], result["truncated"]) == ([[1], [2]], True)


@pytest.mark.parametrize("statement", ["attach 'x' as y", "pragma user_version = 7", "vacuum", "commit", "selec 1"])
def test_what_is_refused_or_wrong(bench: Any, statement: str) -> None:
    before = bench.dump()
    bench.bad("execute", statement=statement)
    bench.bad("preview", tool="execute", args={"statement": statement})
    assert bench.dump() == before


def test_what_is_not_understood_is_not_staged(bench: Any) -> None:
    outcome = bench.call("preview", tool="execute", args={"statement": "reindex bill_customer"})
    assert outcome.failed
    assert outcome.structured["staged"] is False
    assert "can't be staged" in outcome.text
    bench.good("execute", statement="reindex bill_customer")


def test_what_is_nested_too_deeply_is_not_staged(bench: Any) -> None:
    many = " or ".join(f"id = {number}" for number in range(900))
    bench.preview("delete from bill where {many}".replace("{many}", many))
    statement = "update bill set cents = 1 where {many}".replace("{many}", " + ".join("1" for _ in range(3000)))
    outcome = bench.call("preview", tool="execute", args={"statement": statement})
    assert outcome.failed
    assert len(bench.rows("select * from bill where cents > 1")) == 3


def test_parameters_go_with_one_statement(bench: Any) -> None:
    bench.good("execute", statement="insert into note values (?, ?)", params=["k", "v'); drop table note; --"])
    assert bench.rows("select * from note") == [("k", "v'); drop table note; --")]
    assert "one statement" in bench.bad("execute", statement="delete from note; delete from bill", params=[1])


def test_a_key_is_used_once(new_bench: Any, folder: Any) -> None:
    bench = new_bench(folder, key_table="interlock_keys")
    first = bench.good("execute", CallNotes(key="t:1:1"), statement="update bill set cents = cents + 1")
    again = bench.good("execute", CallNotes(key="t:1:1"), statement="update bill set cents = cents + 1")
    assert again == {**first, "repeated": True}
    assert first["effect"]["rows_changed"] == 3
    assert first["touched"] == ["bill"]
    assert bench.rows("select sum(cents) from bill") == [(428,)]
    assert "another statement" in bench.bad("execute", CallNotes(key="t:1:1"), statement="delete from bill")
    bench.bad("execute", CallNotes(key="t:1:2"), statement="insert into customer values (1, 'x', null)")
    bench.good("execute", CallNotes(key="t:1:2"), statement="insert into customer values (4, 'x', null)")


def test_a_key_is_used_once_with_an_expected_state(new_bench: Any, folder: Any) -> None:
    bench = new_bench(folder, key_table="interlock_keys")
    statement = "update bill set cents = cents + 1"
    notes = CallNotes(bench.preview(statement)["state_sha256"], "t:1:1")
    first = bench.good("execute", notes, statement=statement)
    assert bench.good("execute", notes, statement=statement) == {**first, "repeated": True}


def test_without_a_table_for_keys_none_is_made(bench: Any) -> None:
    bench.good("execute", CallNotes(key="t:1:1"), statement="delete from bill")
    assert [row[0] for row in bench.rows("select name from sqlite_master where type = 'table'")] == [
        "customer",
        "bill",
        "note",
    ]


def test_a_locked_file_is_said(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.servers.sql.sqlite.LOCK_WAIT_S", 0.1)
    other = sqlite3.connect(bench.file, isolation_level=None)
    try:
        other.execute("begin immediate")
        assert "locked" in bench.bad("execute", statement="delete from bill")
    finally:
        other.close()
    bench.good("execute", statement="delete from bill")


def test_the_log_has_a_line_before_and_after(bench: Any) -> None:
    bench.good("execute", CallNotes(key="t:1:3"), statement="delete from bill")
    lines = [json.loads(line) for line in bench.log.read_text().splitlines()]
    assert [(line["event"], line["key"]) for line in lines] == [("begin", "t:1:3"), ("end", "t:1:3")]
    assert lines[1]["touched"] == ["bill"]
    assert lines[1]["rows_changed"] == 3


def test_a_preview_of_a_reading_tool_is_empty(bench: Any) -> None:
    assert bench.good("preview", tool="query", args={"statement": "select 1"})["touched"] == []
