"""`.mcp.json` as other programs write it."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.config import McpServers, read_mcp_json, server_name
from interlock.model import ConfigError, InterlockError


def read(folder: Path, content: Any) -> McpServers:
    path = folder / ".mcp.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
    return read_mcp_json(path)


def refused(folder: Path, content: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, content)
    return caught.value.message.replace(f"{folder}/", "")


def test_as_it_is(tmp_path: Path) -> None:
    block = {
        "time": {"command": "uvx", "args": ["mcp-server-time", "--tz=${TZ:-UTC}"]},
        "My_Git Server": {
            "type": "stdio",
            "command": "${BIN}/git",
            "args": None,
            "env": {"T": "${TOKEN}"},
            "cwd": "sub",
        },
    }
    found = read(tmp_path, {"mcpServers": block, "inputs": []})
    assert list(found.servers) == ["time", "my-git-server"]
    assert found.servers["time"].args == ["mcp-server-time", "--tz=${TZ:-UTC}"]
    git = found.servers["my-git-server"]
    assert (git.command, git.env, git.cwd) == ("${BIN}/git", {"T": "${TOKEN}"}, "sub")
    assert found.notes == (".mcp.json:10: mcpServers.'My_Git Server': called my-git-server here",)


def test_disabled_and_unknown_servers_are_skipped_with_a_reason(tmp_path: Path) -> None:
    block: dict[str, Any] = {
        "a": {"type": "websocket", "url": "wss://x/?key=hunter2", "headers": {"Authorization": "hunter2"}},
        "e": {"command": "x", "disabled": True},
        "f": {"type": ["hunter2"]},
    }
    found = read(tmp_path, {"mcpServers": block})
    assert found.servers == {}
    assert list(found.skipped) == list("aef")
    assert found.skipped["a"] == "servers of type 'websocket' are not supported here"
    assert found.skipped["e"] == "it is disabled"
    assert len(found.notes) == 3
    assert "hunter2" not in "".join(found.notes)


@pytest.mark.parametrize(
    ("entry", "url", "transport"),
    [
        ({"type": "http", "url": "https://x/mcp"}, "https://x/mcp", "http"),
        ({"type": "streamable-http", "url": "https://x"}, "https://x", "http"),
        ({"type": "streamableHttp", "url": "https://x/sse"}, "https://x/sse", "http"),
        ({"type": "sse", "url": "https://x"}, "https://x", "sse"),
        ({"url": "https://x/sse?a=b"}, "https://x/sse?a=b", "sse"),
        ({"url": "https://[x/sse"}, "https://[x/sse", "http"),
        ({"serverUrl": "https://${HOST}/mcp"}, "https://${HOST}/mcp", "http"),
        ({"httpUrl": "https://x", "url": "https://old/sse"}, "https://x", "http"),
        ({"type": "http", "url": "secret://where", "command": "x"}, "secret://where", "http"),
    ],
)
def test_remote_servers(tmp_path: Path, entry: dict[str, Any], url: str, transport: str) -> None:
    found = read(tmp_path, {"mcpServers": {"a": {**entry, "headers": {"Authorization": "Bearer ${T}"}}}})
    server = found.servers["a"]
    assert (server.url, server.transport, server.headers) == (url, transport, {"Authorization": "Bearer ${T}"})
    assert server.command is None
    extra = sorted({"command", "url"} & set(entry)) if len({"command", "url", "httpUrl"} & set(entry)) > 1 else []
    ignored = [key for key in extra if entry[key] != url]
    assert len(found.notes) == bool(ignored)


def test_a_command_wins_over_a_url_where_no_type_is_given(tmp_path: Path) -> None:
    found = read(tmp_path, {"mcpServers": {"a": {"command": "x", "url": "https://x", "headers": {"A": "b"}}}})
    assert (found.servers["a"].command, found.servers["a"].url) == ("x", None)
    assert found.notes == (".mcp.json:3: mcpServers.a: has no effect here: 'headers', 'url'",)


def test_keys_of_other_programs_are_noted(tmp_path: Path) -> None:
    found = read(
        tmp_path, {"mcpServers": {"a": {"command": "x", "autoApprove": ["y"], "timeout": 9, "disabled": False}}}
    )
    assert found.servers["a"].command == "x"
    assert found.notes == (".mcp.json:3: mcpServers.a: has no effect here: 'autoApprove', 'timeout'",)
    assert "no mcpServers block" in read(tmp_path, {"servers": {}}).notes[0]
    assert read(tmp_path, "").notes == ()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"mcpServers": {\n"a": }}', ".mcp.json:2: no valid JSON: expecting value"),
        ("{'a': 1}", ".mcp.json:1: no valid JSON: expecting property name enclosed in double quotes"),
        ("[]", ".mcp.json:1: the file holds no object; expected { … }"),
        ('{"mcpServers": []}', ".mcp.json:1: mcpServers: found a list; expected a mapping of servers"),
        ('{"mcpServers": {\n"a": {"command": "x"},\n"a": {"command": "y"}}}', ".mcp.json:3: the key 'a' is repeated"),
        ('{"mcpServers": {"a":\n\t"x"}}', ".mcp.json:1: mcpServers.a: found a text; expected a mapping with a command"),
        (
            '{"mcpServers": {\n"a": {}}}',
            ".mcp.json:2: mcpServers.a.command: missing; expected the program to start, or the url",
        ),
        ('{"mcpServers": {\n"a": {"type": "http"}}}', ".mcp.json:2: mcpServers.a.url: missing; expected the address"),
        (
            '{"mcpServers": {"a": {\n"url": "ftp://hunter2"}}}',
            ".mcp.json:2: mcpServers.a.url: found a text; expected a text that matches",
        ),
        ('{"mcpServers": {"a": {\n"url": "https://x", "headers": [1]}}}', "mcpServers.a.headers: found a list"),
        (
            '{"mcpServers": {"a": {\n"command": ["x"]}}}',
            ".mcp.json:2: mcpServers.a.command: found a list; expected a text",
        ),
        ('{"mcpServers": {"a": {"command": "x",\n\t"args": [1]}}}', ".mcp.json:2: mcpServers.a.args[0]: found a value"),
        ('{"mcpServers": {"a": {"command": " "}}}', "mcpServers.a: found an empty `command`"),
        ('{"mcpServers": {"a b": {"command": "x"},\n"A_B": {"command": "x"}}}', "is called 'a-b' here, like 'a b'"),
        ('{"mcpServers": {"日本": {"command": "x"}}}', "the name can't be used"),
        ('{"a": NaN}', "found NaN"),
        ('{"a": 1e999}', "expected a finite number"),
        ('{"a": 99999999999999999999}', "beyond 2**53"),
        ('{"a": "\\ud800"}', "surrogate"),
        ("[" * 100_000, "levels"),
        ('{"a": ' + "[" * 70 + "]" * 70 + "}", "levels"),
    ],
)
def test_faults(tmp_path: Path, content: str, fault: str) -> None:
    message = refused(tmp_path, content)
    assert fault in message
    assert "\n" not in message


def test_json_that_is_no_yaml_keeps_its_meaning(tmp_path: Path) -> None:
    text = '{\n\t"mcpServers": {\n\t\t"a": {"command": "\\ud83d\\ude00 \\/ x", "args": ["\x7f"]}\n\t}\n}'
    server = read(tmp_path, text).servers["a"]
    assert (server.command, server.args) == ("\U0001f600 / x", ["\x7f"])


@pytest.mark.parametrize(
    ("text", "name"), [("a", "a"), ("My_Server 2", "my-server-2"), ("@scope/x.y", "scope-x-y"), ("__", ""), ("ÄB", "b")]
)
def test_server_name(text: str, name: str) -> None:
    assert server_name(text) == name


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(["command", "url"]), inner),
    max_leaves=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    json_values | st.dictionaries(st.sampled_from(["mcpServers"]), st.dictionaries(st.text(), json_values, max_size=3))
)
def test_any_json_is_read_or_refused(tmp_path: Path, value: Any) -> None:
    with contextlib.suppress(InterlockError):
        read(tmp_path, value)
