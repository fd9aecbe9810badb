"""Diffs: right, bounded in size, and bounded in the work that a hostile text can cause."""

import re
import time
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from interlock.servers.workspace.diff import Side, bounded, lines_of, unified
from interlock.servers.workspace.limits import DIFF_BYTES

TEXT = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=40).map("\n".join)


def patched(old: list[str], diff: str) -> str:
    """Apply a unified diff in the plainest way."""
    result: list[str] = []
    at = 0
    lines = diff.split("\n")[2:-1]
    for index, line in enumerate(lines):
        header = re.match(r"@@ -(\d+)(?:,(\d+))? \+", line)
        bare = index + 1 < len(lines) and lines[index + 1].startswith("\\")
        text = line[1:] + ("" if bare else "\n")
        if header:
            start = int(header[1]) - (header[2] != "0")
            result += old[at:start]
            at = start
        elif line.startswith("+"):
            result.append(text)
        elif line.startswith((" ", "-")):
            assert old[at] == text
            result += [text] if line.startswith(" ") else []
            at += 1
    return "".join([*result, *old[at:]])


@given(TEXT, TEXT)
def test_a_diff_leads_from_old_to_new(old: str, new: str) -> None:
    before, after = lines_of(old.encode()) or [], lines_of(new.encode()) or []
    if before != after:
        assert patched(before, unified(Side("a", before), Side("b", after))) == new


def test_far_apart_changes_are_separate_hunks() -> None:
    before = [f"{number}\n" for number in range(100)]
    after = [*before[:10], "x\n", *before[11:90], *before[91:]]
    diff = unified(Side("a", before), Side("b", after))
    assert diff.count("@@ -") == 2
    assert "@@ -8,7 +8,7 @@\n" in diff
    assert "@@ -88,7 +88,6 @@\n" in diff


def test_hostile_texts_cost_little() -> None:
    before = [f"{number % 7}\n" for number in range(100_000)]
    after = [f"{number % 11}\n" for number in range(100_000)]
    small = [f"{number % 100}\n" for number in range(1_000)]
    mixed = [f"{number * 7 % 101}\n" for number in range(1_000)]
    started = time.perf_counter()
    unified(Side("a", before), Side("b", after))
    unified(Side("a", small), Side("b", mixed))
    assert time.perf_counter() - started < 3.0


def test_the_whole_is_bounded_and_says_so() -> None:
    asked = []

    def pieces() -> Iterator[str]:
        for number in range(1000):
            asked.append(number)
            yield "é" * 1000

    text = bounded(pieces())
    assert len(text.encode()) <= DIFF_BYTES
    assert text.endswith("cut at 64 KiB ...\n")
    assert len(asked) < 40
