"""The address that a browser comes back to: only the answer to the login that is going on is taken."""

import asyncio

import pytest

from interlock.model import Unavailable
from interlock.tools.callback import Callback

ASKED = "https://issuer.example/authorize?state=right&code_challenge=c"


async def get(callback: Callback, path: str, host: str | None = None) -> str:
    port = int(callback.address.split(":")[2].split("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host or f'127.0.0.1:{port}'}\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    return answer


async def test_strays_are_turned_away_and_the_right_answer_is_taken_once() -> None:
    async with Callback.listening(None) as callback:
        assert "400" in await get(callback, "/callback?code=c&state=right")  # before anything was asked
        callback.expect(ASKED)
        for path, host in (
            ("/favicon.ico", None),
            ("/callback?code=c&state=wrong", None),
            ("/callback?code=c", None),
            ("/callback?code=c&state=right", "evil.example"),
        ):
            assert "400" in await get(callback, path, host)
        assert "You are logged in" in await get(callback, "/callback?code=c0de&state=right&iss=https%3A%2F%2Fi.example")
        assert "400" in await get(callback, "/callback?code=other&state=right")
        answer = await callback.answer()
        assert (answer.code, answer.state, answer.issuer) == ("c0de", "right", "https://i.example")


async def test_a_refusal_is_told() -> None:
    async with Callback.listening(None) as callback:
        callback.expect(ASKED)
        assert "was refused" in await get(callback, "/callback?error=access_denied&state=right")
        with pytest.raises(Unavailable, match="access_denied"):
            await callback.answer()


async def test_a_pasted_address_is_taken_when_it_is_the_right_one() -> None:
    pasted = iter(["", "no address", "http://127.0.0.1/callback?code=c&state=wrong", "  x?code=c&state=right \n"])

    async def paste() -> str:
        return next(pasted)

    async with Callback.listening(paste) as callback:
        callback.expect(ASKED)
        assert (await callback.answer()).code == "c"


async def test_more_than_a_request_is_not_read() -> None:
    async with Callback.listening(None) as callback:
        callback.expect(ASKED)
        assert await get(callback, "/" + "x" * 100_000) == ""
