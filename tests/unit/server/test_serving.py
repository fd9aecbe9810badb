"""Listening: on the loopback interface only, a port that is taken, and a clean stop."""

import asyncio
import signal
import socket
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from interlock.model import PortInUse, UserError
from interlock.server import serve
from interlock.server.serving import listen


class Served:
    """An application that is served for the length of a `with`."""

    def __init__(self, app: FastAPI, port: int = 0) -> None:
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(serve(app, port=port, started=self.url.set_result))

    async def __aenter__(self) -> str:
        return await asyncio.wait_for(self.url, 5)

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task], timeout=5)


async def test_it_serves_on_any_free_port_and_installs_no_signal_handlers(app: FastAPI) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with Served(app) as url, httpx.AsyncClient(trust_env=False) as http:
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
        answer = await http.get(f"{url}/healthz")
        assert answer.json() == {"ok": True}
        assert "server" not in answer.headers
        bound = socket.create_server(("127.0.0.1", 0))
        bound.close()


async def test_a_shutdown_is_answered_and_then_done(app: FastAPI) -> None:
    served = Served(app)
    url = await served.url
    async with httpx.AsyncClient(trust_env=False) as http:
        headers = {"Authorization": f"Bearer {app.state.token}"}
        assert (await http.post(f"{url}/api/v1/shutdown", headers=headers)).status_code == 202
        await asyncio.wait_for(served.task, 8)
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{url}/healthz")


async def test_a_stop_ends_open_streams(app: FastAPI, control: Any) -> None:
    control.steps, control.hold = [{"event": "state", "state": "running"}], asyncio.Event()
    served = Served(app)
    url = await served.url
    headers = {"Authorization": f"Bearer {app.state.token}"}
    async with (
        httpx.AsyncClient(trust_env=False) as http,
        http.stream("GET", f"{url}/api/v1/tasks/0123abcd/events", headers=headers) as answer,
    ):
        app.state.stop.set()
        assert "event: end" not in "".join([text async for text in answer.aiter_text()])
    await asyncio.wait_for(served.task, 4)
    assert control.closed == 1


async def test_a_port_that_is_taken_names_a_free_one(app: FastAPI) -> None:
    async with Served(app) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(PortInUse, match=f"port {port}") as found:
            await serve(app, port=port, started=lambda url: None)
        hinted = int(found.value.next_step.removeprefix("interlock up --port "))
        assert hinted == 0 or hinted > port
        listen(hinted).close()


async def test_a_port_is_free_again_at_once(app: FastAPI) -> None:
    async with Served(app) as url, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{url}/healthz")).status_code == 200
        port = int(url.rpartition(":")[2])
    listen(port).close()


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_must_be_one(port: int) -> None:
    with pytest.raises(UserError, match="not between"):
        listen(port)


def test_only_the_loopback_interface_listens() -> None:
    listener = listen(0)
    try:
        assert listener.getsockname()[0] == "127.0.0.1"
    finally:
        listener.close()
