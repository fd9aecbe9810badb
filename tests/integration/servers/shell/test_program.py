"""The shell server as a program: a real process, the real protocol, a client that knows nothing else."""

import asyncio
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

from interlock.sandbox import Means, Prospect
from interlock.servers.shell import __main__ as program

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(120),
]

START_S = 60


@asynccontextmanager
async def served(folder: Path, *more: str, mode: Any = "auto") -> AsyncIterator[Client]:
    folder.mkdir(exist_ok=True)
    scratch = folder.parent / "scratch"
    command = ["-m", "interlock.servers.shell", "--root", str(folder), "--scratch", str(scratch), *more]
    server = StdioServerParameters(command=sys.executable, args=command)
    async with asyncio.timeout(START_S), Client(server, mode=mode, read_timeout_seconds=START_S) as client:
        yield client


async def call(client: Client, tool: str, args: dict[str, Any], meta: Any = None) -> types.CallToolResult:
    result = await client.session.call_tool(tool, args, meta=meta)
    assert isinstance(result, types.CallToolResult)
    return result


def text_of(result: types.CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, types.TextContent))


def pids_of(mark: str) -> list[int]:
    """Processes of all kinds whose command line holds a text."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and mark in (process / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(process.name))
        except OSError:
            continue
    return found


async def until(condition: Any, timeout_s: float = 20) -> float:
    began_s = time.monotonic()
    while not condition():
        assert time.monotonic() - began_s < timeout_s
        await asyncio.sleep(0.02)
    return time.monotonic() - began_s


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_tools_are_listed_in_both_eras_of_the_protocol(tmp_path: Path, mode: str) -> None:
    async with served(tmp_path / "work", mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    internal = {name for name, tool in tools.items() if (tool.meta or {}).get("interlock/internal") is True}
    assert internal == {"preview", "capture", "content", "restore"}
    assert set(tools) - internal == {"run"}
    assert tools["run"].annotations is not None
    assert tools["run"].annotations.destructive_hint is True
    assert all(tool.input_schema["additionalProperties"] is False for tool in tools.values())


async def test_a_command_is_previewed_run_and_undone(tmp_path: Path) -> None:
    folder, log = tmp_path / "work", tmp_path / "log"
    folder.mkdir()
    (folder / "a.txt").write_text("alpha\n")
    args = {"command": "sed -i s/alpha/beta/ a.txt; mkdir d; date > d/now"}
    async with served(folder, "--effect-log", str(log)) as client:
        preview = (await call(client, "preview", {"tool": "run", "args": args})).structured_content
        saved = (await call(client, "capture", {"paths": preview["touched"], "content": True})).structured_content
        meta = {"interlock/expect_state_sha256": preview["state_sha256"], "interlock/idempotency_key": "task/1/3"}
        done = await call(client, "run", args, meta)
        assert not done.is_error
        assert done.structured_content["state_sha256"] == preview["state_sha256_after"]
        assert (folder / "a.txt").read_text() == "beta\n"
        restore = {
            "paths": preview["touched"],
            "entries": saved["entries"],
            "expect_state_sha256": done.structured_content["state_sha256"],
        }
        assert not (await call(client, "restore", restore)).is_error
    assert [path.name for path in folder.iterdir()] == ["a.txt"]
    assert (folder / "a.txt").read_text() == "alpha\n"
    assert '"key": "task/1/3"' in log.read_text()
    assert list((tmp_path / "scratch").glob("*/server-*")) == []


async def test_a_cancelled_command_is_ended_and_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    async with served(folder) as client:
        running = asyncio.create_task(
            call(client, "run", {"command": "touch x; setsid sleep 2718.1 & exec sleep 2718.1", "timeout_s": 600})
        )
        await until(lambda: len(pids_of("2718.1")) > 1)
        running.cancel()
        assert await until(lambda: not pids_of("2718.1")) < 2.5
        assert (await call(client, "run", {"command": "ls -A"})).structured_content["stdout"] == ""


async def test_calls_on_files_do_not_wait_for_a_command(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    async with served(folder) as client:
        (folder / "a").write_text("x")
        running = asyncio.create_task(call(client, "run", {"command": "sleep 1.5; echo over"}))
        await asyncio.sleep(0.5)
        assert not (await call(client, "capture", {"paths": ["a"]})).is_error
        assert not running.done()
        assert (await running).structured_content["stdout"] == "over\n"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_no_command_outlives_the_server(tmp_path: Path, how: signal.Signals) -> None:
    folder = tmp_path / "work"
    with pytest.raises((MCPError, ExceptionGroup)):
        async with served(folder) as client:
            running = asyncio.create_task(
                call(client, "run", {"command": "touch x; setsid sleep 2718.2 & exec sleep 2718.2"})
            )
            await until(lambda: len(pids_of("2718.2")) > 1)
            server = next(pid for pid in pids_of(str(folder)) if "interlock.servers.shell" in _line(pid))
            os.kill(server, how)
            assert await until(lambda: not pids_of("2718.2")) < 2.5
            await running
    assert list(folder.iterdir()) == []
    async with served(folder) as client:
        assert (await call(client, "run", {"command": "echo again"})).structured_content["stdout"] == "again\n"


def _line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


async def test_errors_are_results_with_a_plain_sentence(tmp_path: Path) -> None:
    async with served(tmp_path / "work") as client:
        wrong: list[tuple[str, dict[str, Any]]] = [
            ("run", {}),
            ("run", {"command": "pwd", "cwd": "../.."}),
            ("preview", {"tool": "list", "args": {}}),
            ("preview", {"tool": "run", "args": {"command": 1}}),
            ("capture", {"paths": ["../x"]}),
            ("nothing", {}),
        ]
        for tool, args in wrong:
            result = await call(client, tool, args)
            assert result.is_error
            assert text_of(result).endswith(".")
            assert "Traceback" not in text_of(result)
        assert not (await call(client, "run", {"command": "true"})).is_error


def test_a_missing_folder_ends_with_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "interlock.servers.shell", "--root", str(tmp_path / "nope")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
    assert ended.returncode == 2
    assert "no such folder" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_a_sandbox_it_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("interlock.sandbox.prospect", lambda: Prospect(Means.NONE, "bubblewrap is not installed"))
    monkeypatch.setattr(sys, "argv", ["shell", "--root", str(tmp_path), "--scratch", str(tmp_path / "s")])
    assert program.main() == 2
    said = capsys.readouterr().err
    assert "apt-get install bubblewrap" in said
    assert "--sandbox preferred" in said
