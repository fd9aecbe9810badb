"""A login to a remote server: a real issuer of tokens and a protected server, on the loopback interface."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from tests.integration.tools.issuing import Issuer, issuing
from tests.integration.tools.remote_servers import Record, free_port, sdk_server, served

from interlock.config import SystemClock, ToolServerConfig
from interlock.model import Conflict, ServerState, ToolUnavailable, Unavailable, UserError
from interlock.tools import LoginPrompt
from interlock.tools import login_to as login

pytestmark = pytest.mark.integration


class Shelf:
    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.saves = 0

    async def load(self, server: str) -> dict[str, Any] | None:
        return self.kept.get(server)

    async def save(self, server: str, data: dict[str, Any]) -> None:
        self.saves += 1
        self.kept[server] = data


@dataclass
class Protected:
    """The protected server, its issuer, and who opens the browser."""

    tooling: Any
    port: int
    issuer: Issuer = field(default_factory=Issuer)
    record: Record = field(default_factory=Record)
    shelf: Shelf = field(default_factory=Shelf)
    shown: list[str] = field(default_factory=list)
    pages: list[httpx2.Response] = field(default_factory=list)
    browsers: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def config(self) -> ToolServerConfig:
        return ToolServerConfig(url=f"http://127.0.0.1:{self.port}/mcp", start_timeout=10)

    def open_browser(self, address: str) -> None:
        self.shown.append(address)
        browser = asyncio.create_task(self._browse(address))
        self.browsers.add(browser)

    async def _browse(self, address: str) -> None:
        async with httpx2.AsyncClient(verify=False, follow_redirects=True) as http:
            self.pages.append(await http.get(address))

    async def log_in(self, prompt: LoginPrompt | None = None) -> None:
        where = self.tooling.surroundings(shelf=self.shelf)
        await login("far", self.config, where, prompt or LoginPrompt(self.open_browser), SystemClock())
        await asyncio.gather(*self.browsers)


@pytest.fixture
async def protected(tooling: Any) -> AsyncIterator[Protected]:
    made = Protected(tooling, free_port())
    async with issuing(made.port, made.issuer, made.record):
        yield made
        for box in tooling.boxes:
            await box.stop()


async def test_a_server_that_wants_a_login_says_so_and_works_after_it(protected: Protected) -> None:
    tooling = protected.tooling
    box = tooling.box(shelf=protected.shelf, far=protected.config)
    with pytest.raises(ToolUnavailable, match="needs a login: interlock tools login far"):
        await tooling.call(box, "far.say", text="x")
    health = tooling.health(box, "far")
    assert health.state is ServerState.DEGRADED
    assert "needs a login: interlock tools login far" in health.reason

    await protected.log_in()
    asked = parse_qs(urlsplit(protected.shown[0]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["resource"] == [f"http://127.0.0.1:{protected.port}/mcp"]
    assert "You are logged in" in protected.pages[0].text
    await box.restart("far")  # a start that began before the login does not know of it
    assert (await tooling.call(box, "far.say", text="x")).text == "x"
    token = protected.shelf.kept["far"]["tokens"]["access_token"]
    answer = await tooling.call(box, "far.say", text=f"my token is {token}")
    assert answer.text == "my token is ***"


async def test_the_answer_can_be_pasted_when_the_browser_is_elsewhere(protected: Protected) -> None:
    tried: list[str] = ["nonsense", "http://127.0.0.1:1/callback?code=c&state=another"]

    async def paste() -> str:
        if tried:
            return tried.pop()
        async with httpx2.AsyncClient(verify=False, follow_redirects=False) as http:
            return (await http.get(protected.shown[0])).headers["location"]

    await protected.log_in(LoginPrompt(protected.shown.append, paste))
    assert "far" in protected.shelf.kept


async def test_an_old_token_is_renewed_once_by_many_callers(protected: Protected) -> None:
    tooling = protected.tooling
    protected.issuer.lifetime_s = 31  # renewed half a minute early
    await protected.log_in()
    box = tooling.box(shelf=protected.shelf, far=protected.config)
    assert (await tooling.call(box, "far.say", text="x")).ok
    protected.issuer.lifetime_s = 3600
    await asyncio.sleep(1.1)
    answers = await asyncio.gather(*(tooling.call(box, "far.say", text=str(number)) for number in range(20)))
    assert all(answer.ok for answer in answers)
    assert protected.issuer.renewals == 1
    assert protected.shelf.saves == 2


async def test_a_token_that_is_refused_before_its_time_is_renewed_and_the_call_made_once(protected: Protected) -> None:
    tooling = protected.tooling
    await protected.log_in()
    box = tooling.box(shelf=protected.shelf, far=protected.config)
    assert (await tooling.call(box, "far.say", text="1")).ok
    protected.issuer.tokens.clear()
    assert (await tooling.call(box, "far.say", text="2")).ok
    assert (protected.record.effects, protected.issuer.renewals) == (["1", "2"], 1)


async def test_a_login_that_is_over_must_be_made_again(protected: Protected) -> None:
    tooling = protected.tooling
    await protected.log_in()
    box = tooling.box(shelf=protected.shelf, far=protected.config)
    assert (await tooling.call(box, "far.say", text="1")).ok
    protected.issuer.tokens.clear()
    protected.issuer.refreshes.clear()
    with pytest.raises(ToolUnavailable, match="needs a login: interlock tools login far"):
        await tooling.call(box, "far.say", text="2")
    await tooling.until(lambda: tooling.health(box, "far").state is ServerState.DEGRADED)
    assert "needs a login" in tooling.health(box, "far").reason
    await protected.log_in()
    await box.restart("far")
    assert (await tooling.call(box, "far.say", text="3")).ok
    assert protected.record.effects == ["1", "3"]


async def test_a_token_goes_to_no_other_address(protected: Protected) -> None:
    tooling = protected.tooling
    await protected.log_in()
    protected.shelf.kept["far"]["url"] = "http://127.0.0.1:1/mcp"
    box = tooling.box(shelf=protected.shelf, far=protected.config)
    with pytest.raises(ToolUnavailable, match="needs a login"):
        await tooling.call(box, "far.say", text="x")


async def test_a_login_that_is_refused_is_told(protected: Protected) -> None:
    protected.issuer.refuses = True
    with pytest.raises(Unavailable, match="the login was refused: access_denied"):
        await protected.log_in()
    assert protected.shelf.kept == {}


async def test_what_can_not_be_logged_in_to_is_told(tooling: Any) -> None:
    record, port, shelf = Record(), free_port(), Shelf()
    where, prompt = tooling.surroundings(shelf=shelf), LoginPrompt(lambda address: None)
    async with served(sdk_server(record).streamable_http_app(), port):
        open_to_all = ToolServerConfig(url=f"http://127.0.0.1:{port}/mcp")
        with pytest.raises(Conflict, match="asks for no login"):
            await login("far", open_to_all, where, prompt, SystemClock())
    with pytest.raises(ToolUnavailable, match="can't be reached"):
        await login("far", open_to_all, where, prompt, SystemClock())
    for config in (tooling.faulty(), ToolServerConfig(url="https://a.example/mcp", headers={"authorization": "x"})):
        with pytest.raises(UserError):
            await login("far", config, where, prompt, SystemClock())
    plain = ToolServerConfig(url="http://far.example/mcp")
    with pytest.raises(ToolUnavailable, match=r"'far\.example' is not reached by https"):
        await login("far", plain, where, prompt, SystemClock())
