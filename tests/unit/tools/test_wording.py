"""What a worker and the tool host tell each other of a result: all of it, within bounds."""

import json

from interlock.model import Attachment, ToolResult
from interlock.tools.host.wording import KEPT_BYTES, result_from_json, result_to_json


def travelled(result: ToolResult) -> ToolResult:
    return result_from_json(json.loads(json.dumps(result_to_json(result))))


def test_a_plain_result_travels_as_it_is() -> None:
    plain = ToolResult(True, "hello", {"n": 1}, truncated=True)
    assert result_to_json(plain) == {"ok": True, "text": "hello", "structured": {"n": 1}, "truncated": True}
    assert travelled(plain) == plain


def test_what_is_left_out_of_the_text_travels_too() -> None:
    whole = ToolResult(
        False,
        "he…",
        overflow=b"hello \xff\x00",
        attachments=(Attachment("image/png", b"\x89PNG"), Attachment("a/b", b"")),
    )
    assert travelled(whole) == whole


def test_there_is_a_bound_and_the_text_goes_first() -> None:
    half = b"x" * (KEPT_BYTES // 2)
    large = ToolResult(True, "", overflow=half, attachments=(Attachment("a/b", half + b"1"), Attachment("c/d", half)))
    found = travelled(large)
    assert found.overflow == half
    assert [one.mime for one in found.attachments] == ["c/d"], "one that does not fit is left out, the next may fit"
    assert len(travelled(ToolResult(True, "", overflow=half * 3)).overflow or b"") == KEPT_BYTES


def test_artifacts_are_part_of_the_record_and_their_bytes_are_not() -> None:
    artifact = {"sha256": "ab", "mime": "text/plain", "size_bytes": 2, "name": "answer.txt"}
    result = ToolResult(True, "t", overflow=b"xy", artifacts=(artifact,))
    assert result.to_json()["artifacts"] == [artifact]
    assert "overflow" not in result.to_json()
    assert ToolResult.from_json(result.to_json()).artifacts == (artifact,)
