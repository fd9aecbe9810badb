"""The sql server as a program: a real process, the real protocol, and a line to the database that is cut."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError
from psycopg import conninfo

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

START_S = 60
PROGRAM = ["-m", "interlock.servers.sql"]


@asynccontextmanager
async def served(database: str, *more: str, mode: Any = "auto", errlog: Path | None = None) -> AsyncIterator[Client]:
    env = {**os.environ, "INTERLOCK_SQL_DATABASE": database}
    server: Any = StdioServerParameters(command=sys.executable, args=[*PROGRAM, *more], env=env)
    if errlog is not None:
        # The client gives no way to keep the words of a server but through the file that it inherits.
        wrapped = ["-c", f'exec "$0" "$@" 2> {errlog}', sys.executable, *PROGRAM, *more]
        server = StdioServerParameters(command="/bin/sh", args=wrapped, env=env)
    async with asyncio.timeout(START_S * 2), Client(server, mode=mode, read_timeout_seconds=START_S) as client:
        yield client


async def call(client: Client, tool: str, args: dict[str, Any], meta: Any = None) -> types.CallToolResult:
    result = await client.session.call_tool(tool, args, meta=meta)
    assert isinstance(result, types.CallToolResult)
    return result


def text_of(result: types.CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, types.TextContent))


@pytest.fixture
def shop(tmp_path: Path) -> str:
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as conn:
        conn.executescript("create table t (id integer primary key, v text); insert into t values (1, 'a'), (2, 'b');")
    conn.close()
    return f"sqlite:{file}"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_tools_are_listed_in_both_eras_of_the_protocol(shop: str, mode: str) -> None:
    async with served(shop, mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    internal = {name for name, tool in tools.items() if (tool.meta or {}).get("interlock/internal") is True}
    assert internal == {"preview"}
    assert set(tools) - internal == {"query", "schema", "explain", "execute"}
    assert {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint} == {
        "query",
        "schema",
        "explain",
        "preview",
    }
    assert {"statement", "dialect"} <= set(tools["execute"].input_schema["properties"])


async def test_a_change_is_previewed_and_kept_as_shown(shop: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    args = {"statement": "update t set v = ? where id = ?", "params": ["x", 1]}
    async with served(shop, "--effect-log", str(log)) as client:
        preview = await call(client, "preview", {"tool": "execute", "args": args})
        shown = preview.structured_content
        meta = {"interlock/expect_state_sha256": shown["state_sha256"], "interlock/idempotency_key": "task:1:3"}
        done = await call(client, "execute", args, meta)
        assert not done.is_error
        assert done.structured_content["effect"] == shown["effect"]
        again = await call(client, "execute", args, meta)
        assert again.is_error
        assert again.structured_content["conflict"] is True
        queried = await call(client, "query", {"statement": "select v from t order by id"})
        assert text_of(queried) == '["v"]\n["x"]\n["b"]'
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["event"], line["key"]) for line in lines] == [
        ("begin", "task:1:3"),
        ("end", "task:1:3"),
        ("begin", "task:1:3"),
    ]


async def test_a_read_only_server_and_its_bounds(shop: str) -> None:
    async with served(shop, "--read-only", "--max-rows", "1") as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {"query", "schema", "explain"}
        assert (await call(client, "execute", {"statement": "delete from t"})).is_error
        found = await call(client, "query", {"statement": "select * from t", "max_rows": 100})
        assert (len(found.structured_content["rows"]), found.structured_content["truncated"]) == (1, True)


@pytest.mark.parametrize(
    ("database", "word"),
    [
        ("", "is not set"),
        ("mysql://root:s3cr3t@x/y", "is not set to a database"),
        ("sqlite:/nowhere/x.db", "no SQLite file"),
        ("postgresql://bob:s3cr3t@host/db?nonsense=1", "can't be read"),
    ],
)
def test_what_can_not_be_used_ends_with_a_sentence(database: str, word: str) -> None:
    env = {**os.environ, "INTERLOCK_SQL_DATABASE": database}
    ended = subprocess.run(
        [sys.executable, *PROGRAM], env=env, capture_output=True, text=True, timeout=START_S, check=False
    )
    assert ended.returncode == 2
    assert word in ended.stderr
    assert "hint: set INTERLOCK_SQL_DATABASE" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "s3cr3t" not in ended.stderr


async def test_a_cancelled_call_stops_its_statement(bench: Any) -> None:
    running = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
    async with served(bench.url()) as client:
        slow = asyncio.create_task(call(client, "query", {"statement": "select pg_sleep(50)"}))
        for wanted in (1, 0):
            async with asyncio.timeout(30):
                while await asyncio.to_thread(bench.do, running) != [(wanted,)]:
                    await asyncio.sleep(0.05)
            slow.cancel()
        with suppress(asyncio.CancelledError):
            await slow
        assert text_of(await call(client, "query", {"statement": "select 1 as one"})) == '["one"]\n[1]'


async def test_calls_beside_each_other(bench: Any) -> None:
    async with served(bench.url()) as client:
        statement = "update bill set cents = cents + 1"
        results = await asyncio.gather(*(call(client, "execute", {"statement": statement}) for _ in range(20)))
        assert not any(result.is_error for result in results)
    assert bench.do("select sum(cents) from bill") == [(425 + 60,)]
    assert bench.do("select count(*) from pg_stat_activity where application_name = 'interlock-sql'") == [(0,)]


class Cutter:
    """A line to Postgres that is cut when it sees a word: before it is passed on, or after the answer came."""

    def __init__(self, socket_path: str, word: bytes, *, after: bool) -> None:
        self._path, self._word, self._after = socket_path, word, after
        self.port = 0
        self.cuts = 0
        self._waiting = False
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Cutter"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        there_reader, there_writer = await asyncio.open_unix_connection(self._path)
        await asyncio.gather(
            self._pump(reader, there_writer, writer, outward=True),
            self._pump(there_reader, writer, there_writer, outward=False),
        )

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: asyncio.StreamWriter, *, outward: bool
    ) -> None:
        while data := await self._read(reader):
            seen = outward and self._word in data
            if seen:
                self._waiting = True
            if self._waiting and (not outward or not self._after):
                self.cuts += 1
                break  # the database has done it, and this was its answer; or it never hears of it
            with suppress(OSError):
                writer.write(data)
                await writer.drain()
        for line in (writer, other):
            line.close()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.read(65536)
        except OSError:
            return b""


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("watched", [True, False])
async def test_a_lost_answer_to_a_commit_is_no_answer(bench: Any, tmp_path: Path, after: bool, watched: bool) -> None:
    parts = conninfo.conninfo_to_dict(bench.dsn)
    errlog = tmp_path / "stderr"
    args = {"statement": "delete from bill where customer_id = 1"}
    meta = {"interlock/expect_state_sha256": bench.preview(args["statement"])["state_sha256"]} if watched else None
    cutter = Cutter(f"{parts['host']}/.s.PGSQL.{parts['port']}", b"commit\0", after=after)
    async with cutter.open():
        url = bench.url(host="127.0.0.1", port=str(cutter.port))
        async with served(url, errlog=errlog) as client:
            assert not (await call(client, "query", {"statement": "select 1"})).is_error
            with pytest.raises(MCPError, match="closed"):
                await call(client, "execute", args, meta)
    assert cutter.cuts >= 1
    assert "the answer to a commit was lost" in errlog.read_text()
    assert "Traceback" not in errlog.read_text()
    assert bench.do("select count(*) from bill") == [(1 if after else 3,)]


async def test_a_line_that_is_cut_before_the_commit_means_not_done(bench: Any) -> None:
    parts = conninfo.conninfo_to_dict(bench.dsn)
    cutter = Cutter(f"{parts['host']}/.s.PGSQL.{parts['port']}", b"delete from bill", after=True)
    async with cutter.open(), served(bench.url(host="127.0.0.1", port=str(cutter.port))) as client:
        result = await call(client, "execute", {"statement": "delete from bill"})
        assert result.is_error
        assert "connection to the database was lost" in text_of(result)
        assert "Nothing was kept" in text_of(result)
        cutter._waiting, cutter._word = False, b"(nothing)"
        assert not (await call(client, "execute", {"statement": "delete from note"})).is_error
    assert bench.do("select count(*) from bill") == [(3,)]


async def test_a_killed_server_leaves_all_or_nothing(bench: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    statement = "update bill set cents = 0; select pg_sleep(30)"
    async with served(bench.url(), "--effect-log", str(log)) as client:
        slow = asyncio.create_task(call(client, "execute", {"statement": statement, "timeout_s": 60}))
        async with asyncio.timeout(30):
            while not (log.exists() and log.read_text()):
                await asyncio.sleep(0.05)
        os.kill(int(json.loads(log.read_text().splitlines()[0])["pid"]), signal.SIGKILL)
        with pytest.raises(MCPError, match="closed"):
            await slow
    assert bench.do("select sum(cents) from bill") == [(425,)]
