"""The internal tools of the built-in workspace server, through the toolbox."""

from typing import Any

import pytest

from interlock.config import ToolServerConfig
from interlock.model import ToolRef, UserError
from interlock.tools import Delivery, Expectation, Snapshots, granted

pytestmark = pytest.mark.integration


@pytest.fixture
def box(tooling: Any) -> Any:
    (tooling.folder / "files").mkdir()
    (tooling.folder / "files" / "a.txt").write_text("before")
    return tooling.box(files=ToolServerConfig(builtin="workspace", root="files"), other=tooling.faulty())


async def test_a_change_is_seen_beforehand_and_taken_back(tooling: Any, box: Any) -> None:
    snapshots = Snapshots(box)
    path = tooling.folder / "files" / "a.txt"
    ref = ToolRef("files", "write")
    args = {"path": "a.txt", "content": "after", "mode": "overwrite"}

    seen = await snapshots.preview(ref, args)
    assert seen["touched"] == ["a.txt"]
    assert path.read_text() == "before"

    taken = await snapshots.capture("files", ["a.txt"])
    assert taken["state_sha256"] == seen["state_sha256"]
    expect = Expectation(state_sha256=seen["state_sha256"])
    done = await box.call(ref, args, Delivery(20, expect=expect))
    assert done.ok
    assert done.structured["state_sha256"] == seen["state_sha256_after"]
    refused = await box.call(ref, {**args, "content": "again"}, Delivery(20, expect=expect))
    assert refused.structured["conflict"]
    assert path.read_text() == "after"

    conflict = await snapshots.restore("files", taken["entries"], taken["state_sha256"], ["a.txt"])
    assert conflict["conflict"]
    after = (await snapshots.capture("files", ["a.txt"], content=False))["state_sha256"]
    assert (await snapshots.restore("files", taken["entries"], after, ["a.txt"]))["restored"]
    assert path.read_text() == "before"


async def test_what_would_fail_says_so_and_no_one_else_is_asked(tooling: Any, box: Any) -> None:
    snapshots = Snapshots(box)
    with pytest.raises(UserError, match="missing"):
        await snapshots.preview(ToolRef("files", "read"), {})
    with pytest.raises(UserError, match="the server 'other' can't capture"):
        await snapshots.capture("other", ["a"])
    assert await snapshots.supported("files")
    assert not await snapshots.supported("other")
    assert tooling.effects() == []


async def test_internal_tools_are_granted_to_nobody_and_their_answers_are_whole(tooling: Any, box: Any) -> None:
    definitions = await box.definitions("files")
    names = {found.ref.name for found in granted(definitions, ["files.*", "files.capture"])}
    assert names == {"list", "read", "search", "write", "edit", "move", "delete"}
    (tooling.folder / "files" / "big.bin").write_bytes(b"x" * 8_000_000)
    taken = await Snapshots(box).capture("files", ["big.bin"])
    assert len(taken["entries"][0]["content"]) > 10_000_000
