"""The login to a remote server as it is used: a token that is renewed in time, by one caller at a time.

How a person logs in is in `login`. What is kept on the shelf is `{url, tokens, client, token_endpoint, resource,
expires_at}`; `expires_at` is ISO 8601 or null.
"""

import asyncio
import datetime
from dataclasses import dataclass
from typing import Any, Self

import httpx2
from mcp.client.auth.oauth2 import OAuthClientProvider, OAuthContext
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl, ValidationError

from interlock.config import Clock
from interlock.model import InterlockError, ToolUnavailable
from interlock.tools.remote_answers import trouble_of
from interlock.tools.remote_http import auth_client
from interlock.tools.shelf import TokenShelf

_EARLY_S = 30.0  # renewed so long before it expires
_RENEW_S = 20.0
_HOPELESS = frozenset({400, 401, 403})


def needs_login(server: str) -> str:
    """The rest of a sentence about a server that wants a person to log in."""
    return f"needs a login: interlock tools login {server}"


@dataclass(frozen=True)
class Grant:
    """What a login gave.

    Attributes:
        url: of the server that it is for; the token is sent to no other.
        token_endpoint: where it is renewed.
        resource: that it is bound to, if it is.
        expires_at: None when the server did not say.
    """

    url: str
    tokens: OAuthToken
    client: OAuthClientInformationFull
    token_endpoint: str
    resource: str | None
    expires_at: datetime.datetime | None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it did not.
        """
        expires = data.get("expires_at")
        return cls(
            url=str(data.get("url")),
            tokens=OAuthToken.model_validate(data.get("tokens")),
            client=OAuthClientInformationFull.model_validate(data.get("client")),
            token_endpoint=str(data.get("token_endpoint")),
            resource=data.get("resource"),
            expires_at=datetime.datetime.fromisoformat(expires) if expires else None,
        )

    def to_json(self) -> dict[str, Any]:
        """The shape in the module's docstring."""
        return {
            "url": self.url,
            "tokens": self.tokens.model_dump(mode="json", exclude_none=True),
            "client": self.client.model_dump(mode="json", exclude_none=True),
            "token_endpoint": self.token_endpoint,
            "resource": self.resource,
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
        }

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must show up nowhere."""
        found = (self.tokens.access_token, self.tokens.refresh_token, self.client.client_secret)
        return tuple(value for value in found if value)


def expiry(tokens: OAuthToken, clock: Clock) -> datetime.datetime | None:
    """When a token that was just given expires."""
    return None if tokens.expires_in is None else clock.now() + datetime.timedelta(seconds=tokens.expires_in)


class NoStorage:
    """The SDK wants a storage for tokens; ours is the shelf, and it is written to when a login is complete."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """Those of this login."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Remember them."""
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """That of this login."""
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Remember it."""
        self.client = client_info


def granted(url: str, provider: OAuthClientProvider, storage: NoStorage, clock: Clock) -> Grant:
    """What a login that went well gave.

    Raises:
        ToolUnavailable: the issuer did not say where a token is renewed, or who we are to it.
    """
    tokens, client, issuer = storage.tokens, storage.client, provider.context.oauth_metadata
    if tokens is None or client is None:
        raise ToolUnavailable("gave no token")
    base = provider.context.get_authorization_base_url(url)
    endpoint = str(issuer.token_endpoint) if issuer is not None else f"{base}/token"
    context = provider.context
    resource = context.get_resource_url() if context.should_include_resource_param(context.protocol_version) else None
    return Grant(url, tokens, client, endpoint, resource, expiry(tokens, clock))


class Login:
    """The login to one server: loaded when it is first needed, renewed when it is about to expire."""

    def __init__(self, server: str, url: str, shelf: TokenShelf, clock: Clock) -> None:
        """Nothing is loaded yet."""
        self._server = server
        self._url = url
        self._shelf = shelf
        self._clock = clock
        self._grant: Grant | None = None
        self._seen: set[str] = set()
        self._loaded = False
        self._one = asyncio.Lock()

    @property
    def values(self) -> tuple[str, ...]:
        """Every token that this life of the server has had."""
        return tuple(self._seen)

    async def token(self, refused: str | None) -> str | None:
        """The token to send; None when there is none, or none but the one that was refused.

        Raises:
            ToolUnavailable: it needs a login, or the login can't be renewed now.
        """
        if self._loaded and refused is None and self._fresh(self._grant):
            return self._access()
        async with self._one:
            if not self._loaded or self._access() == refused or not self._fresh(self._grant):
                await self._load()
            if self._grant is None:
                return None
            if self._access() == refused or not self._fresh(self._grant):
                await self._renew(self._grant)
            return self._access()

    def _access(self) -> str | None:
        return self._grant.tokens.access_token if self._grant is not None else None

    def _fresh(self, grant: Grant | None) -> bool:
        if grant is None or grant.expires_at is None:
            return True
        return grant.expires_at - datetime.timedelta(seconds=_EARLY_S) > self._clock.now()

    async def _load(self) -> None:
        """Take what is kept: another process may have renewed it, or a person logged in."""
        try:
            data = await self._shelf.load(self._server)
            grant = Grant.from_json(data) if data is not None else None
        except InterlockError as error:
            raise ToolUnavailable(f"has a login that can't be read now: {error.message}") from error
        except ValueError:
            grant = None
        self._loaded = True
        self._keep(grant if grant is not None and grant.url == self._url else None)

    def _keep(self, grant: Grant | None) -> None:
        self._grant = grant
        if grant is not None:
            self._seen.update(grant.secrets)

    async def _renew(self, grant: Grant) -> None:
        if grant.tokens.refresh_token is None:
            raise ToolUnavailable(needs_login(self._server))
        try:
            async with asyncio.timeout(_RENEW_S), auth_client() as http:
                response = await http.send(self._request(grant))
        except (httpx2.HTTPError, TimeoutError) as error:
            raise ToolUnavailable(f"has a login that can't be renewed now: {trouble_of(error)}") from error
        if response.status_code in _HOPELESS:
            raise ToolUnavailable(needs_login(self._server))
        try:
            tokens = OAuthToken.model_validate_json(response.content if response.is_success else b"")
        except ValidationError:
            status = f"{response.status_code} {response.reason_phrase}"
            raise ToolUnavailable(f"has a login that can't be renewed now: its issuer answers {status}") from None
        tokens.refresh_token = tokens.refresh_token or grant.tokens.refresh_token
        tokens.scope = tokens.scope or grant.tokens.scope
        renewed = Grant(
            grant.url, tokens, grant.client, grant.token_endpoint, grant.resource, expiry(tokens, self._clock)
        )
        self._keep(renewed)
        await self._shelf.save(self._server, renewed.to_json())

    def _request(self, grant: Grant) -> httpx2.Request:
        nobody = OAuthClientMetadata(redirect_uris=[AnyUrl("http://127.0.0.1/")])
        context = OAuthContext(self._url, nobody, NoStorage(), None, None, client_info=grant.client)
        fields = {
            "grant_type": "refresh_token",
            "refresh_token": grant.tokens.refresh_token or "",
            "client_id": grant.client.client_id,
            **({"resource": grant.resource} if grant.resource else {}),
        }
        data, headers = context.prepare_token_auth(fields)
        return httpx2.Request("POST", grant.token_endpoint, data=data, headers=headers)
