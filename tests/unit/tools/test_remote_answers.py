"""What an HTTP answer says about whether a call was made."""

import httpx2
import pytest

from interlock.tools.remote_answers import read_refusal, trouble_of

PLAIN = httpx2.Request("POST", "https://far.example/mcp")
IN_SESSION = httpx2.Request("POST", "https://far.example/mcp", headers={"mcp-session-id": "s"})
ERROR = b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "no such text"}}'
NO_SESSION = b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "No valid Session ID provided"}}'


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 406, 410, 413, 415, 421, 429, 431])
def test_who_turns_a_message_away_has_not_acted(status: int) -> None:
    refusal = read_refusal(PLAIN, httpx2.Response(status), None)
    assert refusal is not None
    assert refusal.trouble.startswith(f"answers {status} ")
    assert not refusal.session_lost


@pytest.mark.parametrize("status", [200, 202, 302, 408, 409, 422, 499, 500, 502, 503, 504])
def test_other_answers_say_nothing_about_it(status: int) -> None:
    assert read_refusal(PLAIN, httpx2.Response(status), None) is None


@pytest.mark.parametrize("status", [400, 404])
def test_an_error_of_the_protocol_is_the_answer_of_the_server_itself(status: int) -> None:
    assert read_refusal(PLAIN, httpx2.Response(status), ERROR) is None


@pytest.mark.parametrize(("status", "body"), [(404, None), (404, ERROR), (400, None), (400, NO_SESSION)])
def test_a_session_that_the_server_does_not_know_is_lost(status: int, body: bytes | None) -> None:
    refusal = read_refusal(IN_SESSION, httpx2.Response(status), body)
    assert refusal is not None
    assert refusal.session_lost


def test_an_error_in_a_session_that_is_not_about_the_session_is_an_answer() -> None:
    assert read_refusal(IN_SESSION, httpx2.Response(400), ERROR) is None


@pytest.mark.parametrize(
    ("status", "text", "seconds"),
    [
        (429, "7", 7.0),
        (503, "120", 120.0),
        (429, "999999", 3600.0),
        (429, "Wed, 21 Oct 2026 07:28:00 GMT", None),
        (429, "-5", None),
    ],
)
def test_when_to_come_again_is_read_in_seconds(status: int, text: str, seconds: float | None) -> None:
    refusal = read_refusal(PLAIN, httpx2.Response(status, headers={"retry-after": text}), None)
    assert refusal is not None
    assert refusal.retry_after_s == seconds


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (httpx2.ConnectTimeout(""), "does not take our connection in time"),
        (httpx2.PoolTimeout(""), "has too many requests of ours under way"),
        (httpx2.ReadTimeout(""), "does not answer in time"),
        (TimeoutError(), "does not answer in time"),
        (httpx2.ConnectError("[SSL] bad certificate"), "can't be reached: [SSL] bad certificate"),
        (httpx2.ReadError(""), "broke off the connection: ReadError"),
    ],
)
def test_trouble_is_the_rest_of_a_sentence(error: BaseException, says: str) -> None:
    assert trouble_of(error) == says
