"""`tools login`: a person lets us use a remote server in their name (OAuth 2.1, authorization code with PKCE).

The steps are the SDK's: the metadata of the resource and of who issues tokens for it, our registration as a client,
the code, the token, all of it bound to the resource. Ours are the callback, and where the result is kept.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.config import Clock
from interlock.model import Conflict, ToolUnavailable, Unavailable, UserError
from interlock.observability import redact
from interlock.tools.surroundings import Surroundings

if TYPE_CHECKING:
    from mcp.client.auth import AuthorizationCodeResult

    from interlock.config import ToolServerConfig
    from interlock.tools.callback import Callback
    from interlock.tools.oauth import Grant
    from interlock.tools.remote_http import Target

PATIENCE_S = 300.0
_SAID_CHARS = 300
_NO_LOGIN = frozenset({400, 404, 405, 406})  # of a server that lets us in and does not like the question


@dataclass(frozen=True)
class LoginPrompt:
    """How a person takes part.

    Attributes:
        present: shows the address to open in a browser.
        paste: reads the address that the browser ended at, for when the browser is on another machine.
    """

    present: Callable[[str], None]
    paste: Callable[[], Awaitable[str]] | None = None


async def login(
    server: str, config: "ToolServerConfig", where: Surroundings, prompt: LoginPrompt, clock: Clock
) -> None:
    """Get a token for a remote server and keep it on the shelf of `where`.

    Raises:
        UserError: it is no remote server, has a header `Authorization` of its own, or there is no shelf.
        Conflict: it asks for no login.
        ToolUnavailable: the server can't be used.
        Unavailable: nobody logged in within five minutes, or the login was refused or did not work.
    """
    await asyncio.to_thread(_import_sdk)
    from interlock.tools.callback import Callback
    from interlock.tools.remote import find_target

    if config.url is None:
        raise UserError(f"tool server '{server}' has no `url`, so there is nothing to log in to")
    if any(name.lower() == "authorization" for name in config.headers):
        raise UserError(f"tool server '{server}' has a header `Authorization` in its configuration already")
    if where.shelf is None:
        raise UserError("there is no place to keep the login in")
    target, _, _ = find_target(config, where)
    try:
        async with asyncio.timeout(PATIENCE_S), Callback.listening(prompt.paste) as callback:
            grant = await _ask(server, target, _Person(callback, prompt), clock)
    except TimeoutError:
        hint = f"interlock tools login {server}"
        raise Unavailable("nobody logged in within five minutes", hint=hint) from None
    await where.shelf.save(server, grant.to_json())


@dataclass(frozen=True)
class _Person:
    """Joins the person's part to the SDK's."""

    callback: "Callback"
    prompt: LoginPrompt

    async def send(self, authorization_url: str) -> None:
        from interlock.tools.remote_http import check_safe

        check_safe(authorization_url)
        self.callback.expect(authorization_url)
        self.prompt.present(authorization_url)

    async def answer(self) -> "AuthorizationCodeResult":
        from mcp.client.auth import AuthorizationCodeResult

        found = await self.callback.answer()
        return AuthorizationCodeResult(code=found.code, state=found.state, iss=found.issuer)


async def _ask(server: str, target: "Target", person: _Person, clock: Clock) -> "Grant":
    import httpx2
    from mcp.client.auth import OAuthClientProvider, OAuthFlowError
    from mcp.shared.auth import OAuthClientMetadata
    from pydantic import AnyUrl

    from interlock.tools.oauth import NoStorage, granted
    from interlock.tools.remote_answers import trouble_of
    from interlock.tools.remote_http import auth_client, knock

    metadata = OAuthClientMetadata(client_name="interlock", redirect_uris=[AnyUrl(person.callback.address)])
    storage = NoStorage()
    provider = OAuthClientProvider(str(target.url), metadata, storage, person.send, person.answer)
    hint = f"interlock tools login {server}"
    try:
        async with auth_client(provider) as http:
            response = await http.send(knock(http, target))
    except httpx2.HTTPError as error:
        raise ToolUnavailable(f"tool server '{server}' {trouble_of(error)}", hint=hint) from error
    except ToolUnavailable as error:
        raise ToolUnavailable(f"tool server '{server}' {error.message}", hint=hint) from error
    except (OAuthFlowError, ValueError) as error:
        said = redact(" ".join(str(error).split()))[:_SAID_CHARS]
        raise Unavailable(f"the login to '{server}' did not work: {said}", hint=hint) from error
    if storage.tokens is None:
        if response.is_success or response.status_code in _NO_LOGIN:
            raise Conflict(f"tool server '{server}' asks for no login", hint="interlock tools list")
        raise ToolUnavailable(f"tool server '{server}' answers {response.status_code} {response.reason_phrase}")
    return granted(str(target.url), provider, storage, clock)


def _import_sdk() -> None:
    from interlock.tools import callback, oauth, remote

    del callback, oauth, remote
