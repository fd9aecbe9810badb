"""How a text is cut into statements, what they are taken for, and which are never done."""

import pytest

from interlock.model import UserError
from interlock.servers.sql.lexing import cut
from interlock.servers.sql.statements import one_statement, read_statements


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("select 1; select 2", ["select 1", "select 2"]),
        ("select 1;;;", ["select 1"]),
        ("select ';'", ["select ';'"]),
        ("select 'it''s; fine'; x", ["select 'it''s; fine'", "x"]),
        ("select E'a\\'; drop table t; --'; x", ["select E'a\\'; drop table t; --'", "x"]),
        ("select 'a\\'; x", ["select 'a\\'", "x"]),
        ("select $$;$$; x", ["select $$;$$", "x"]),
        ("select $a$ $$ ; $b$ $a$; x", ["select $a$ $$ ; $b$ $a$", "x"]),
        ("select $1,$2; x", ["select $1,$2", "x"]),
        ("select a$b$c; x$b$", ["select a$b$c", "x$b$"]),
        ('select ";"; x', ['select ";"', "x"]),
        ("select 1 -- ; drop\n; x", ["select 1 -- ; drop", "x"]),
        ("select 1 /* ; /* ; */ ; */; x", ["select 1 /* ; /* ; */ ; */", "x"]),
        ("-- nothing\n; /* nothing */", []),
    ],
)
def test_postgres_texts_are_cut_by_the_rules_of_postgres(text: str, parts: list[str]) -> None:
    assert [piece.text for piece in cut(text, "postgres")] == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("select 'a\\'; x", ["select 'a\\'", "x"]),
        ("select [;]; x", ["select [;]", "x"]),
        ("select `;`; x", ["select `;`", "x"]),
        ("select 1 /* /* ; */; x", ["select 1 /* /* ; */", "x"]),
        (
            "create trigger t after insert on a begin delete from b; delete from c; end; x",
            ["create trigger t after insert on a begin delete from b; delete from c; end", "x"],
        ),
    ],
)
def test_sqlite_texts_are_cut_by_the_rules_of_sqlite(text: str, parts: list[str]) -> None:
    assert [piece.text for piece in cut(text, "sqlite")] == parts


@pytest.mark.parametrize("text", ["select 'x", 'select "x', "select /* x", "select $a$ x $b$", "select /* /* */"])
def test_what_does_not_end_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="does not end"):
        cut(text, "postgres")


@pytest.mark.parametrize(
    ("text", "kind", "reads"),
    [
        ("select 1", "select", True),
        ("SELECT a FROM b WHERE c IN ($1,$2)", "select", True),
        ("with x as (select 1) select * from x", "select", True),
        ("values (1), (2)", "select", True),
        ("table customer", "select", True),
        ("(select 1) union (select 2)", "select", True),
        ("with x as (delete from a returning *) select * from x", "select", False),
        ("select * into b from a", "select", False),
        ("select * from a for update", "select", False),
        ("insert into a values (1)", "insert", False),
        ("update a set b = 1", "update", False),
        ("delete from a", "delete", False),
        ("merge into a using b on a.i = b.i when matched then delete", "merge", False),
        ("truncate a", "truncate", False),
        ("create table a (b int)", "create table", False),
        ("alter table a add column c int", "alter table", False),
        ("drop table a", "drop table", False),
        ("do $$ begin end $$", "other", False),
        ("call f(1)", "other", False),
        ("notify x", "other", False),
        ("lock table a", "other", False),
        ("refresh materialized view a", "other", False),
        ("explain analyze delete from a", "other", False),
        ("selec 1", "other", False),
    ],
)
def test_kinds(text: str, kind: str, reads: bool) -> None:
    statement = one_statement(text, "postgres")
    assert (statement.kind, statement.reads) == (kind, reads)


NEVER = [
    "begin",
    "commit",
    "rollback",
    "/* x */ CoMmIt",
    "savepoint a",
    "set role postgres",
    "set session authorization x",
    "reset all",
    "discard all",
    "listen x",
    "prepare x as delete from a",
    "execute x",
    "declare c cursor for select 1",
    "copy a from program 'curl x'",
    "copy a to '/tmp/x'",
    "copy a from stdin",
    "alter system set shared_preload_libraries = 'x'",
    "alter database x set search_path = y",
    "load 'x'",
    "vacuum full a",
    "create database x",
    "drop database x",
    "create index concurrently i on a (b)",
    "create unique index concurrently i on a (b)",
    "drop index concurrently i",
    "reindex table concurrently a",
    "select pg_read_file('/etc/passwd')",
    "select pg_catalog.pg_read_file('/etc/passwd')",
    "select \"pg_read_file\"('/etc/passwd')",
    "select PG_READ_BINARY_FILE ('/etc/passwd')",
    "select lo_import('/etc/passwd')",
    "select lo_export(1, '/tmp/x')",
    "select * from pg_ls_dir('/')",
    "insert into a select pg_read_file('/etc/passwd')",
    "do $$ begin perform pg_read_file('/etc/passwd'); end $$",
    "do 'begin copy a to program ''x''; end'",
    "create function f() returns text language sql as 'select pg_read_file(''/etc/passwd'')'",
    "select U&\"pg\\005fread_file\"('x')",
    "select 1; commit",
]


@pytest.mark.parametrize("text", NEVER)
def test_what_leaves_the_transaction_or_the_database_is_never_done(text: str) -> None:
    with pytest.raises(UserError):
        read_statements(text, "postgres")


@pytest.mark.parametrize(
    "text",
    [
        "attach 'x' as y",
        "detach y",
        "pragma writable_schema = on",
        "vacuum",
        "vacuum into '/tmp/x'",
        "begin",
        "commit",
        "select load_extension('x')",
        "select writefile('x', 'y')",
        "select readfile('/etc/passwd')",
        "select fts3_tokenizer('x', 'y')",
        "create virtual table x using csv(filename='/etc/passwd')",
    ],
)
def test_what_leaves_the_file_of_sqlite_is_never_done(text: str) -> None:
    with pytest.raises(UserError):
        read_statements(text, "sqlite")


def test_words_in_strings_and_comments_are_only_words() -> None:
    text = "insert into a values ('pg_read_file(x); commit') -- commit; copy\n"
    assert [found.kind for found in read_statements(text, "postgres")] == ["insert"]


def test_too_many_or_no_statements() -> None:
    with pytest.raises(UserError, match="101 statements"):
        read_statements("select 1;" * 101, "postgres")
    with pytest.raises(UserError, match="no statement"):
        read_statements(" -- x", "postgres")
    with pytest.raises(UserError, match="found 2"):
        one_statement("select 1; drop table a", "postgres")


@pytest.mark.parametrize("text", ["select 1\0; drop table a", "select '\ud800'"])
def test_characters_that_no_database_takes(text: str) -> None:
    with pytest.raises(UserError, match="character"):
        read_statements(text, "postgres")


def test_a_very_deep_statement_is_not_understood_and_does_no_harm() -> None:
    statement = one_statement(f"select {'(' * 20_000}1{')' * 20_000}", "postgres")
    assert not statement.understood
