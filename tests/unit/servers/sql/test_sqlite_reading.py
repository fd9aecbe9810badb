"""Queries, plans and the schema of a SQLite file; whatever is tried, reading changes nothing."""

import sqlite3
from typing import Any

import pytest

ATTACKS = [
    "select 1; drop table customer",
    "select 1; -- x\n delete from customer",
    "delete from customer",
    "delete from customer returning *",
    "with x as (select 1) delete from customer",
    "insert into note values ('a', 'b')",
    "update customer set name = 'x'",
    "replace into note values ('a', 'b')",
    "create table x (y)",
    "create temp table x (y)",
    "drop table customer",
    "alter table customer rename to x",
    "attach database '/tmp/interlock-attack.db' as x",
    "pragma writable_schema = on",
    "pragma journal_mode = wal",
    "vacuum into '/tmp/interlock-attack.db'",
    "select load_extension('/tmp/x')",
    "select writefile('/tmp/interlock-attack.db', 'x')",
    "select * from pragma_table_info('customer')",
    "begin; delete from customer; commit",
    "explain delete from customer",
    "analyze",
    "reindex",
    "select 'x",
    "select /* ; delete from customer",
]


@pytest.mark.parametrize("statement", ATTACKS)
def test_a_query_changes_nothing(bench: Any, statement: str) -> None:
    before = bench.dump()
    bench.bad("query", statement=statement)
    assert bench.dump() == before


def test_parameters_are_values_and_never_text(bench: Any) -> None:
    evil = "x'; drop table customer; --"
    assert bench.good("query", statement="select ? as v", params=[evil])["rows"] == [[evil]]
    assert bench.good("query", statement="select name from customer where id in (?,?)", params=[1, 3])["rows"] == [
        ["Ada"],
        ["Edsger"],
    ]
    assert len(bench.rows("select * from customer")) == 3


def test_values_of_every_kind(bench: Any) -> None:
    found = bench.good(
        "query",
        statement="select 9007199254740993, -1, 1.5, 9e999, null, x'00ff', 'a\"b', cast(x'ff' as text), ?",
        params=[{"a": [1]}],
    )
    values = ["9007199254740993", -1, 1.5, "inf", None, {"base64": "AP8=", "bytes": 2}, 'a"b', "\ufffd", '{"a": [1]}']
    assert found["rows"] == [values]
    assert [column["type"] for column in found["columns"]][:6] == ["integer", "integer", "real", "real", "null", "blob"]


def test_long_results_are_cut_and_continue(bench: Any) -> None:
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) select i from n"
    first = bench.good("query", statement=numbers, max_rows=10)
    assert (len(first["rows"]), first["truncated"], first["total_rows"], first["next_offset"]) == (10, True, 5000, 10)
    last = bench.good("query", statement=numbers, max_rows=10, offset_rows=4995)
    assert [row[0] for row in last["rows"]] == [4996, 4997, 4998, 4999, 5000]
    assert (last["truncated"], last["total_rows"], last["next_offset"]) == (False, 5000, None)


def test_wide_results_are_cut_too(bench: Any) -> None:
    wide = "select a.id, hex(zeroblob(3000)) from customer a, customer b, customer c, customer d, customer e"
    found = bench.good("query", statement=wide)
    assert 10 < len(found["rows"]) < 100
    assert found["truncated"]
    one = bench.good("query", statement="select hex(zeroblob(1000000)) as v")
    assert one["cut_values"] == 1
    assert len(one["rows"][0][0]) < 10_000


def test_a_query_without_end_is_stopped(bench: Any) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    assert "too long" in bench.bad("query", statement=endless, timeout_s=0.2)


def test_a_value_without_end_is_refused(bench: Any) -> None:
    assert "too big" in bench.bad("query", statement="select zeroblob(900000000)")


def test_the_schema(bench: Any) -> None:
    found = bench.good("schema")
    tables = {table["table"]: table for table in found["tables"]}
    assert set(tables) == {"bill", "customer", "note"}
    assert found["dialect"] == "sqlite"
    assert tables["bill"]["primary_key"] == ["id"]
    assert tables["bill"]["constraints"] == ["FOREIGN KEY (customer_id) REFERENCES customer() CASCADE"]
    assert "bill_customer" in tables["bill"]["indexes"][0]
    assert tables["customer"]["columns"][1] == {"name": "name", "type": "TEXT", "nullable": False}
    assert [table["table"] for table in bench.good("schema", table="NOTE")["tables"]] == ["note"]
    assert "no table" in bench.bad("schema", table="nope")


def test_a_plan_is_made_and_nothing_is_run(bench: Any) -> None:
    before = bench.dump()
    found = bench.good("explain", statement="delete from customer where id = ?", params=[1])
    assert "SEARCH customer" in found["plan"][0]["detail"]
    assert bench.dump() == before
    assert "have a plan" in bench.bad("explain", statement="drop table customer")


def test_wrong_arguments(bench: Any) -> None:
    assert "missing" in bench.bad("query")
    assert "no field" in bench.bad("query", statement="select 1", other=1)
    assert "speaks sqlite" in bench.bad("query", statement="select 1", dialect="postgres")
    assert "no tool" in bench.bad("nope")
    assert "tools are: query, schema, explain, execute." in bench.bad("nope")


def test_a_read_only_server_has_nothing_that_changes(new_bench: Any, folder: Any) -> None:
    bench = new_bench(folder, read_only=True)
    assert "reading only" in bench.bad("execute", statement="delete from customer")
    assert "reading only" in bench.bad("preview", tool="execute", args={"statement": "delete from customer"})
    assert bench.good("query", statement="select count(*) from customer")["rows"] == [[3]]


def test_a_file_that_is_no_database(new_bench: Any, folder: Any) -> None:
    (folder / "shop.db").write_text("this is no database at all, only text that goes on for a while")
    assert "can't be used" in new_bench(folder).bad("query", statement="select 1")


def test_a_file_that_someone_else_writes_to_can_be_read(bench: Any) -> None:
    other = sqlite3.connect(bench.file, isolation_level=None)
    try:
        other.execute("begin immediate")
        other.execute("delete from customer")
        assert bench.good("query", statement="select count(*) from customer")["rows"] == [[3]]
    finally:
        other.close()
