"""What became of calls, for whoever comes after the one who sent them."""

import asyncio
from typing import Any

import pytest

from interlock.model import ToolLost, ToolResult, ToolUnavailable
from interlock.tools.host import mailbox
from interlock.tools.host.mailbox import Mailbox


async def answer(text: str = "ok") -> ToolResult:
    return ToolResult(True, text)


async def fail(error: Exception) -> ToolResult:
    raise error


async def over(box: Mailbox, key: str, call: Any) -> None:
    letter = box.open(key, call)
    await asyncio.gather(letter.work, return_exceptions=True)


async def test_an_outcome_is_kept_and_an_unknown_key_is_nothing() -> None:
    box = Mailbox()
    assert box.find("k") is None
    await over(box, "k", answer())
    found = box.find("k")
    assert found is not None
    assert found.work.result().text == "ok"
    assert not box.busy


async def test_a_call_under_way_is_found_and_makes_the_box_busy() -> None:
    box, go = Mailbox(), asyncio.Event()

    async def slow() -> ToolResult:
        await go.wait()
        return ToolResult(True, "late")

    letter = box.open("k", slow())
    assert box.busy
    assert box.find("k") is letter
    go.set()
    assert (await letter.work).text == "late"
    assert not box.busy


async def test_a_call_that_was_not_sent_never_happened_and_one_that_was_lost_did() -> None:
    box = Mailbox()
    await over(box, "unsent", fail(ToolUnavailable("not ready")))
    assert box.find("unsent") is None
    await over(box, "lost", fail(ToolLost("died")))
    found = box.find("lost")
    assert found is not None
    assert isinstance(found.work.exception(), ToolLost)


async def test_too_many_outcomes_are_dropped_but_never_look_as_if_nothing_was_sent(monkeypatch: Any) -> None:
    monkeypatch.setattr(mailbox, "KEEP_OUTCOMES", 3)
    box = Mailbox()
    for number in range(6):
        await over(box, f"k{number}", answer())
    assert box.find("k5") is not None
    with pytest.raises(ToolLost, match="not kept any more"):
        box.find("k0")
    await over(box, "k0", answer("again"))  # sent anew, because it may be repeated
    assert box.find("k0") is not None


async def test_large_outcomes_count_by_size(monkeypatch: Any) -> None:
    monkeypatch.setattr(mailbox, "KEEP_BYTES", 10_000)
    box = Mailbox()
    for number in range(4):
        await over(box, f"k{number}", answer("x" * 4_000))
    with pytest.raises(ToolLost):
        box.find("k0")
    assert box.find("k3") is not None


async def test_a_second_call_under_a_key_replaces_the_first_and_its_size() -> None:
    box = Mailbox()
    for text in ("x" * 1000, "y"):
        await over(box, "k", answer(text))
    found = box.find("k")
    assert found is not None
    assert found.work.result().text == "y"
    assert box._bytes < 200


async def test_calls_that_nobody_waits_for_can_be_cut_off_by_their_run() -> None:
    box = Mailbox()

    async def endless() -> ToolResult:
        await asyncio.Event().wait()
        raise AssertionError

    left, heard, other = (box.open(key, endless(), run) for key, run in (("a", "one"), ("b", "one"), ("c", "two")))
    heard.listeners += 1
    assert box.unheard() == {"one", "two"}
    box.cut_off({"one"})
    await asyncio.wait({left.work}, timeout=1.0)
    assert (left.work.cancelled(), heard.work.done(), other.work.done()) == (True, False, False)
    assert box.unheard() == {"two"}
    heard.listeners -= 1
    box.cut_off({"one", "two"})
    await asyncio.wait({heard.work, other.work}, timeout=1.0)
    assert (box.unheard(), box.busy) == (set(), False)
