"""Where the server is and how to speak to it: settings of the HTTP library, and its errors as ours."""

import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from interlock.client.requests import Request
from interlock.model import InterlockError, ServerUnavailable, Unauthorized, Unavailable, UserError, catalog

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "http://127.0.0.1:7440"
CONNECT_TIMEOUT_S = 5.0
STREAM_TIMEOUT_S = 50.0  # three heartbeats of the server, and some
PROBLEM_TYPE = "application/problem+json"
_CONNECTIONS = 20


@dataclass(frozen=True)
class Target:
    """A server and the token for it.

    Attributes:
        url: without a slash at the end.
        token: sent as a bearer token; None sends none.
        timeout_s: for an answer.
    """

    url: str
    token: str | None = field(repr=False)
    timeout_s: float

    @classmethod
    def parse(cls, url: str, token: str | None, timeout_s: float) -> Self:
        """Check what was given.

        Raises:
            UserError: it is no http or https URL, no token, or no time.
        """
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            usable = usable and not (parts.query or parts.fragment or parts.username or parts.password)
        except ValueError:
            usable = False
        if not usable:
            raise UserError("the server's URL is no http or https URL", hint=f"export INTERLOCK_URL={DEFAULT_URL}")
        if token is not None and not (token.isascii() and token.isprintable() and token and " " not in token):
            raise UserError("the token holds characters that no token has", hint=Unauthorized.hint)
        if not timeout_s > 0:
            raise UserError("timeout_s: expected more than zero seconds")
        return cls(url.rstrip("/"), token, timeout_s)

    @classmethod
    def from_env(cls, env: Mapping[str, str], timeout_s: float) -> Self:
        """Read INTERLOCK_URL and INTERLOCK_TOKEN.

        Raises:
            Unauthorized: there is no token.
            UserError: the URL is none.
        """
        token = env.get("INTERLOCK_TOKEN", "").strip()
        if not token:
            raise Unauthorized("INTERLOCK_TOKEN is not set")
        return cls.parse(env.get("INTERLOCK_URL", "").strip() or DEFAULT_URL, token, timeout_s)

    def settings(self) -> dict[str, Any]:
        """What both clients of the HTTP library are made with.

        A server on this machine is never asked through a proxy of the environment, which would see the token, and
        no redirect is followed.
        """
        import httpx

        headers = {"Accept": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        return {
            "headers": headers,
            "timeout": httpx.Timeout(self.timeout_s, connect=CONNECT_TIMEOUT_S),
            "limits": httpx.Limits(max_connections=_CONNECTIONS),
            "trust_env": not self._is_local,
            "follow_redirects": False,
        }

    def arguments(self, request: Request[Any], *, streaming: bool = False) -> dict[str, Any]:
        """What a request becomes for the HTTP library."""
        import httpx

        given: dict[str, Any] = {"method": request.method, "url": self.url + request.path}
        if request.query:
            given["params"] = dict(request.query)
        if request.body is not None:
            given["json"] = request.body
        if request.content is not None:
            given["content"] = request.content
        if request.headers:
            given["headers"] = dict(request.headers)
        wait_s = STREAM_TIMEOUT_S if streaming else request.timeout_s
        if wait_s is not None:
            given["timeout"] = httpx.Timeout(wait_s, connect=CONNECT_TIMEOUT_S)
        return given

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn errors of the HTTP library into ours.

        Raises:
            ServerUnavailable: nothing answers, or not in time, or the connection broke.
            UserError: the request can't be sent at all.
        """
        import httpx

        try:
            yield
        except httpx.ConnectError as error:
            raise ServerUnavailable(f"no interlock server answers at {self.url}") from error
        except httpx.TimeoutException as error:
            raise ServerUnavailable(
                f"the server at {self.url} did not answer in time", hint="interlock doctor"
            ) from error
        except httpx.TransportError as error:
            raise ServerUnavailable(f"the connection to {self.url} broke", hint="interlock status") from error
        except (httpx.InvalidURL, ValueError) as error:
            raise UserError(f"the request can't be sent: {type(error).__name__}") from error

    @property
    def _is_local(self) -> bool:
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")


def answer_of(target: Target, response: "httpx.Response") -> Any:
    """The JSON of an answer that was read.

    Raises:
        InterlockError: the one that the server reports.
        ServerUnavailable: something answers, but not as interlock does.
    """
    raise_problem(target, response)
    if response.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise _stranger(target)
    try:
        return response.json()
    except ValueError as error:
        raise _stranger(target) from error


def raise_problem(target: Target, response: "httpx.Response") -> None:
    """Raise what the server reports, if it reports anything.

    Raises:
        InterlockError: that.
    """
    if response.is_success:
        return
    body: Any = None
    if response.headers.get("content-type", "").partition(";")[0] == PROBLEM_TYPE:
        try:
            body = response.json()
        except ValueError:
            body = None
    elif response.status_code == 503:
        raise ServerUnavailable(f"the server at {target.url} is too busy", hint="interlock status")
    if not isinstance(body, dict):
        raise _stranger(target)
    raise error_of(body)


def error_of(body: Mapping[str, Any]) -> InterlockError:
    """A problem as the error it was at the server; one that this version does not know as the nearest that it does."""
    fallback: type[InterlockError] = Unavailable if body.get("retryable") or body.get("status") == 500 else UserError
    kind = catalog().get(str(body.get("code")), fallback)
    hint = body.get("hint")
    return kind(str(body.get("detail") or "the server reports an error"), hint=hint if isinstance(hint, str) else None)


def _stranger(target: Target) -> ServerUnavailable:
    return ServerUnavailable(f"what answers at {target.url} is no interlock server", hint="check INTERLOCK_URL")
