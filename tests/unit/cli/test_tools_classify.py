"""`interlock tools classify`: line in, line out."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from interlock.cli import main

LIST = {
    "server": "crm",
    "tool": "list_contacts",
    "title": None,
    "description": "List contacts.",
    "input_schema": {"type": "object", "properties": {"limit": {"type": "integer"}}},
    "annotations": {"readOnlyHint": True},
}
DELETE = {**LIST, "tool": "delete_contact", "description": "Delete a contact."}
CONTACTS = {
    "server": "@acme/crm",
    "tool": "contacts",
    "description": "Manage contacts.",
    "input_schema": {"properties": {"action": {"enum": ["list", "create"]}}},
}


class Input(io.TextIOWrapper):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")


@pytest.fixture(autouse=True)
def _nothing_to_lean_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERLOCK_HOME", str(tmp_path / "no" / "home"))
    monkeypatch.setenv("INTERLOCK_URL", "http://127.0.0.1:9")


def run(monkeypatch: pytest.MonkeyPatch, data: bytes | list[dict[str, Any]], *words: str) -> int:
    if isinstance(data, list):
        data = b"".join(json.dumps(one).encode() + b"\n" for one in data)
    monkeypatch.setattr("sys.stdin", Input(data))
    return main(["tools", "classify", *words])


def test_a_line_out_for_each_line_in_in_the_same_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, [DELETE, LIST, CONTACTS], "--jsonl") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(one) for one in found] == [["server", "tool", "class", "egress", "arg_dependent", "reasons"]] * 3
    assert [(one["server"], one["tool"], one["class"], one["arg_dependent"]) for one in found] == [
        ("crm", "delete_contact", "destructive", False),
        ("crm", "list_contacts", "read", False),
        ("@acme/crm", "contacts", "write", True),
    ]
    assert all(one["reasons"] and isinstance(one["egress"], bool) for one in found)
    assert not (tmp_path / "no").exists()


def test_hints_are_believed_only_when_told_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, [DELETE], "--jsonl") == 0
    assert run(monkeypatch, [DELETE], "--jsonl", "--trusted-hints") == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["class"], second["class"]) == ("destructive", "read")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{nonsense", "line 3: no JSON"),
        (b"[1]", "line 3: a JSON value that is no object"),
        (b"\xff\xfe{}", "line 3: no UTF-8"),
        (b'{"server": "a"}', "line 3: 'tool' is missing; expected text"),
        (b'{"server": "", "tool": "x"}', "line 3: 'server' is empty; expected text"),
        (b'{"server": "a", "tool": "\\ud800"}', "line 3: 'tool' holds half a character"),
        (b'{"server": "a", "tool": 7}', "line 3: 'tool' is a number; expected text"),
        (b'{"server": "a", "tool": "b", "input_schema": []}', "line 3: 'input_schema' is a list; expected an object"),
        (b'{"server": "a", "tool": "b", "annotations": "x"}', "line 3: 'annotations' is a text; expected an object"),
        (b"[" * 100_000, "line 3: no JSON"),
    ],
)
def test_a_bad_line_ends_it_after_those_before(
    line: bytes, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = json.dumps(LIST).encode()
    assert run(monkeypatch, good + b"\n\n" + line + b"\n" + good + b"\n", "--jsonl") == 2
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 1
    assert said in shown.err


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("interlock.cli.tools_classify.MAX_LINE_BYTES", 1000)
    assert run(monkeypatch, b'{"server": "' + b"a" * 2000, "--jsonl") == 2
    assert "line 1: longer than 1000 bytes" in capsys.readouterr().err


def test_without_input_it_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, b"", "--jsonl") == 0
    assert capsys.readouterr().out == ""


def test_for_people_and_as_one_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, [LIST, DELETE]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("read")
    assert "crm.list_contacts: read: description: list contact" in first
    assert second.startswith("destructive")
    assert run(monkeypatch, [LIST, DELETE], "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["class"] for one in document["items"]] == ["read", "destructive"]
