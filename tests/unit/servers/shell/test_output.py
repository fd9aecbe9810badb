"""What commands print is kept in bounded memory and shown as text."""

import json
from typing import Any

from interlock.servers.shell.answers import fitting, shortened, structured_of, text_of
from interlock.servers.shell.limits import ANSWER_BYTES, ANSWER_FILES
from interlock.servers.shell.output import HeadTail, decoded, last_of
from interlock.servers.shell.running import Ended


def test_what_fits_is_kept_whole() -> None:
    kept = HeadTail(100)
    for piece in (b"a" * 30, b"b" * 40, b"c" * 30):
        kept.add(piece)
    assert kept.text() == "a" * 30 + "b" * 40 + "c" * 30


def test_both_ends_of_a_flood_are_kept_and_the_rest_is_counted() -> None:
    kept = HeadTail(1000)
    kept.add(b"first line\n")
    for _ in range(1000):
        kept.add(b"x" * 4096)
    kept.add(b"\nlast line")
    text = kept.text()
    assert text.startswith("first line\n")
    assert text.endswith("\nlast line")
    assert f"[... {kept.total - 1000:,} bytes left out ...]" in text
    assert len(text) < 1100


def test_binary_output_is_text_that_json_does_not_blow_up() -> None:
    text = decoded(bytes(range(256)))
    assert "\x00" not in text
    assert "\t\n" in text
    assert len(json.dumps(text, ensure_ascii=False).encode()) < 1000


def test_the_end_of_a_text() -> None:
    assert last_of("abc", 3) == "abc"
    assert last_of("abcdef", 3) == "[... 3 bytes left out ...]\ndef"


def test_the_answer_names_output_status_and_files() -> None:
    text = text_of(Ended(3, "out\n", "err\n", 0.25), "created 'a' (1 bytes)")
    assert text == "out\n[stderr]\nerr\n[exit status 3, 0.2 s]\n[files]\ncreated 'a' (1 bytes)"
    assert "did not end within its time" in text_of(Ended(None, "", "", 2.0, "time"), "")


def test_many_files_are_counted_instead_of_listed() -> None:
    effect: dict[str, Any] = {
        "files": [{"path": str(number)} for number in range(5000)],
        "files_changed": 5000,
        "diff": "+x\n" * 50_000,
    }
    short = shortened(effect)
    assert len(short["files"]) == ANSWER_FILES
    assert short["files_left_out"] == 5000 - ANSWER_FILES
    assert short["files_changed"] == 5000
    assert short["diff"].endswith("... cut here ...\n")
    assert len(effect["files"]) == 5000


def test_an_answer_always_fits() -> None:
    ended = Ended(0, "\\" * 200_000, '"' * 200_000, 1.0)
    effect = {"files": [{"path": "p" * 4000} for _ in range(200)], "files_changed": 200, "diff": "\\" * 20_000}
    answer = fitting(structured_of(ended, effect))
    assert len(json.dumps(answer, ensure_ascii=False).encode()) <= ANSWER_BYTES
    assert answer["effect"]["files_changed"] == 200
    assert answer["effect"]["files_left_out"] == 200
    assert answer["stdout"].endswith("\\")
