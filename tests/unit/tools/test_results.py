import base64
import json

from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from interlock.tools.results import RESULT_BYTES, misfit, read_result, refused, wants_input


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)


def test_texts_are_joined() -> None:
    result = read_result(CallToolResult(content=[_text("a"), _text("b")]))
    assert (result.ok, result.text, result.structured, result.truncated) == (True, "a\nb", None, False)


def test_an_error_of_the_tool_is_not_ok() -> None:
    assert not read_result(CallToolResult(content=[_text("no such file")], is_error=True)).ok


def test_other_content_is_named_with_its_decoded_size() -> None:
    data = base64.b64encode(b"x" * 12_345).decode()
    content: list[ContentBlock] = [
        ImageContent(type="image", data=data, mime_type="image/png"),
        AudioContent(type="audio", data=base64.b64encode(b"12").decode(), mime_type="audio/wav"),
        EmbeddedResource(type="resource", resource=TextResourceContents(uri="file:///a", text="inside")),
        EmbeddedResource(type="resource", resource=BlobResourceContents(uri="file:///b", blob=data)),
        ResourceLink(type="resource_link", uri="file:///c", name="c"),
    ]
    assert read_result(CallToolResult(content=content)).text.splitlines() == [
        "[image/png, 12345 bytes]",
        "[audio/wav, 2 bytes]",
        "[resource file:///a]",
        "inside",
        "[resource file:///b, 12345 bytes]",
        "[link to file:///c]",
    ]


def test_a_long_text_is_cut_between_characters_and_says_so() -> None:
    result = read_result(CallToolResult(content=[_text("ä" * RESULT_BYTES)]))
    assert result.truncated
    kept, _, marker = result.text.rpartition("\n")
    assert set(kept) == {"ä"}
    assert len(kept.encode()) <= RESULT_BYTES
    assert marker == f"[truncated: the first {RESULT_BYTES} of {2 * RESULT_BYTES} bytes]"


def test_a_large_structured_result_is_left_out_unless_the_gate_itself_asked() -> None:
    answer = CallToolResult(content=[_text("see there")], structured_content={"content": "x" * RESULT_BYTES})
    result = read_result(answer)
    assert (result.structured, result.truncated) == (None, True)
    assert "is left out" in result.text
    assert read_result(answer, bounded=False).structured == answer.structured_content


def test_structured_content_is_an_object_and_stands_in_for_a_missing_text() -> None:
    assert read_result(CallToolResult(content=[], structured_content=[1, 2])).structured == {"value": [1, 2]}
    result = read_result(CallToolResult(content=[], structured_content={"a": 1}))
    assert json.loads(result.text) == result.structured == {"a": 1}


def test_what_went_wrong_after_the_call_is_a_result_too() -> None:
    assert misfit("x\n" * 2000).text.startswith("the tool acted but its result does not fit its schema: x x")
    assert len(misfit("x\n" * 2000).text) < 1000
    assert refused(-32602, "bad").text == "the server answered with error -32602: bad"
    assert [misfit("").ok, refused(1, "").ok, wants_input().ok] == [False] * 3


def test_a_servers_own_keys_are_taken_out_of_what_it_answers() -> None:
    from interlock.model import ToolResult
    from interlock.tools.results import without

    result = ToolResult(True, "the key is hunter2-hunter2", {"a": ["hunter2-hunter2"], "hunter2-hunter2": 1})
    clean = without(result, ("hunter2-hunter2",))
    assert "hunter2" not in str(clean)
    assert clean.structured == {"a": ["***"], "***": 1}
    assert without(result, ("something-else",)) is result


def test_what_is_cut_off_and_what_is_only_named_goes_along() -> None:
    long, data = "a" * (RESULT_BYTES + 10), base64.b64encode(b"\x89PNG").decode()
    content: list[ContentBlock] = [
        _text(long),
        ImageContent(type="image", data=data, mime_type="image/png"),
        EmbeddedResource(
            type="resource", resource=BlobResourceContents(uri="file:///b", blob=data, mime_type="a/b\nx")
        ),
        ImageContent(type="image", data="no base64 at all", mime_type="image/png"),
    ]
    result = read_result(CallToolResult(content=content, structured_content={"b": "y" * RESULT_BYTES}))
    assert result.truncated
    assert result.structured is None
    assert result.overflow is not None
    assert result.overflow.startswith(long.encode() + b"\n[image/png, 4 bytes]\n")
    assert result.overflow.endswith(b'"}')
    assert [(found.mime, found.body) for found in result.attachments[:2]] == [
        ("image/png", b"\x89PNG"),
        ("a/b x", b"\x89PNG"),
    ]
    assert "overflow" not in result.to_json()
    assert read_result(CallToolResult(content=[_text("short")])).overflow is None


def test_what_goes_along_is_bounded_and_holds_no_credential() -> None:
    from interlock.tools.results import KEPT_ATTACHMENTS, KEPT_BYTES, without

    secret = "hunter2-hunter2"
    block = ImageContent(type="image", data=base64.b64encode(b"x").decode(), mime_type="image/png")
    telling = ImageContent(type="image", data=base64.b64encode(secret.encode()).decode(), mime_type="image/png")
    huge = ImageContent(type="image", data=base64.b64encode(b"x" * (KEPT_BYTES + 1)).decode(), mime_type="a/b")
    many = read_result(CallToolResult(content=[huge, *[block] * 100]))
    assert len(many.attachments) == KEPT_ATTACHMENTS
    assert f"[a/b, {KEPT_BYTES + 1} bytes]" in many.text
    result = read_result(CallToolResult(content=[_text("z" * RESULT_BYTES + secret), block, telling]))
    clean = without(result, (secret,))
    assert clean.overflow is not None
    assert secret.encode() not in clean.overflow
    assert [found.body for found in clean.attachments] == [b"x"]
