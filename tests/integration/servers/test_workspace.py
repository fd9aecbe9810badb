"""The workspace server as a program: a real process, the real protocol, a client that knows nothing else."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

START_S = 60


@asynccontextmanager
async def served(folder: Path, *more: str, mode: Any = "auto") -> AsyncIterator[Client]:
    command = ["-m", "interlock.servers.workspace", "--root", str(folder), *more]
    server = StdioServerParameters(command=sys.executable, args=command)
    async with asyncio.timeout(START_S), Client(server, mode=mode, read_timeout_seconds=START_S) as client:
        yield client


async def call(client: Client, tool: str, args: dict[str, Any], meta: Any = None) -> types.CallToolResult:
    result = await client.session.call_tool(tool, args, meta=meta)
    assert isinstance(result, types.CallToolResult)
    return result


def text_of(result: types.CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, types.TextContent))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_tools_are_listed_in_both_eras_of_the_protocol(tmp_path: Path, mode: str) -> None:
    async with served(tmp_path, mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    internal = {name for name, tool in tools.items() if (tool.meta or {}).get("interlock/internal") is True}
    assert internal == {"preview", "capture", "content", "restore"}
    assert set(tools) - internal == {"list", "read", "search", "write", "edit", "move", "delete"}
    assert all(tool.annotations is not None and tool.annotations.open_world_hint is False for tool in tools.values())
    assert all(tool.input_schema["additionalProperties"] is False for tool in tools.values())


async def test_a_change_is_previewed_done_and_undone(tmp_path: Path) -> None:
    folder, log = tmp_path / "work", tmp_path / "log"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "a.txt").write_text("alpha\n")
    (folder / "notes" / "b.bin").write_bytes(bytes(range(256)))
    (folder / "notes" / "b.bin").chmod(0o640)
    args = {"paths": ["notes"], "recursive": True}
    async with served(folder, "--effect-log", str(log)) as client:
        preview = await call(client, "preview", {"tool": "delete", "args": args})
        assert preview.structured_content["effect"]["files_changed"] == 2
        touched = preview.structured_content["touched"]
        saved = await call(client, "capture", {"paths": touched, "content": True})
        expected = {"interlock/expect_state_sha256": preview.structured_content["state_sha256"]}
        done = await call(client, "delete", args, {**expected, "interlock/idempotency_key": "task/1/3"})
        assert not done.is_error
        assert done.structured_content["effect"] == preview.structured_content["effect"]
        assert not (folder / "notes").exists()
        restore = {
            "paths": touched,
            "entries": saved.structured_content["entries"],
            "expect_state_sha256": done.structured_content["state_sha256"],
        }
        assert not (await call(client, "restore", restore)).is_error
        again = await call(client, "capture", {"paths": touched, "content": True})
        assert again.structured_content == saved.structured_content
        conflict = await call(client, "restore", restore)
        assert conflict.is_error
        assert conflict.structured_content["conflict"] is True
    assert (folder / "notes" / "b.bin").read_bytes() == bytes(range(256))
    assert (folder / "notes" / "b.bin").stat().st_mode & 0o777 == 0o640
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["event"], line["tool"], line["key"]) for line in lines[:2]] == [
        ("begin", "delete", "task/1/3"),
        ("end", "delete", "task/1/3"),
    ]


async def test_errors_are_results_with_a_plain_sentence(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        wrong: list[tuple[str, dict[str, Any]]] = [
            ("read", {"path": "../../etc/passwd"}),
            ("read", {"path": "nope"}),
            ("write", {"path": "a"}),
            ("delete", {"paths": ["."], "recursive": True}),
            ("no_such_tool", {}),
        ]
        for tool, args in wrong:
            result = await call(client, tool, args)
            assert result.is_error
            text = text_of(result)
            assert text.endswith(".")
            assert str(tmp_path) not in text
            assert "Error" not in text
        (tmp_path / "ok.txt").write_text("still here\n")
        assert text_of(await call(client, "read", {"path": "ok.txt"})) == "still here\n"


async def test_many_calls_at_once_are_all_done(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        calls = [call(client, "write", {"path": f"d/{number}.txt", "content": str(number)}) for number in range(40)]
        results = await asyncio.gather(*calls)
        assert not any(result.is_error for result in results)
        listed = await call(client, "list", {"path": "d"})
    assert len(listed.structured_content["entries"]) == 40


async def test_a_bad_expression_does_not_hold_up_other_calls(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a" * 60 + "!\n")
    async with served(tmp_path) as client:
        search = asyncio.create_task(call(client, "search", {"pattern": "(a+)+$", "regex": True}))
        for _ in range(5):
            assert not (await call(client, "read", {"path": "a.txt"})).is_error
        assert not search.done()
        search.cancel()


def test_a_missing_folder_ends_with_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "interlock.servers.workspace", "--root", str(tmp_path / "nope")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
    assert ended.returncode == 2
    assert "no such folder" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    folder, log = tmp_path / "work", tmp_path / "log"
    folder.mkdir()
    (folder / "f.txt").write_text("old")
    new = "n" * 4_000_000
    async with served(folder, "--effect-log", str(log)) as client:
        write = asyncio.create_task(call(client, "write", {"path": "f.txt", "content": new, "mode": "overwrite"}))
        os.kill(await asyncio.to_thread(writer_pid, log), signal.SIGKILL)
        with pytest.raises(MCPError):
            await write
    assert (folder / "f.txt").read_text() in ("old", new)
    async with served(folder) as client:
        listed = await call(client, "list", {})
        assert [entry["path"] for entry in listed.structured_content["entries"]] == ["f.txt"]
        assert not (await call(client, "write", {"path": "f.txt", "content": "last", "mode": "overwrite"})).is_error
    assert [path.name for path in folder.iterdir()] == ["f.txt"]


def writer_pid(log: Path) -> int:
    """The server's process id, as soon as it says that it begins to write."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if log.exists() and (lines := log.read_text().splitlines()):
            return int(json.loads(lines[0])["pid"])
        time.sleep(0.001)
    raise TimeoutError("the server wrote nothing")
