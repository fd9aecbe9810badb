"""What every request passes before a route sees it, and every answer on its way out.

A browser that was lured to a page of somebody else's must not reach the API: the `Host` header has to name the
loopback interface (else a DNS name that was rebound to it would do), and an `Origin` has to be this server.
"""

import logging
import re
from typing import Final

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.model import Bug, DeniedError, UserError
from interlock.server.problems import problem_response

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?")
_log = logging.getLogger(__name__)


class Guard:
    """ASGI middleware: hosts, origins, security headers, and an answer without internals when something breaks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        outgoing = _Outgoing(send)
        app: ASGIApp = refusal(scope) or self._app
        try:
            await app(scope, receive, outgoing)
        except Exception:
            _log.exception("a request failed", extra={"method": scope["method"], "path": scope["path"][:200]})
            if outgoing.started:
                raise  # the answer is cut off, which the caller can tell from one that is complete
            await problem_response(Bug("the server failed; its log says why"))(scope, receive, outgoing)


class _Outgoing:
    """Sends an answer with the security headers; knows whether it has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


def refusal(scope: Scope) -> JSONResponse | None:
    """Why a request must not reach any route, as an answer; None if it may."""
    headers = Headers(scope=scope)
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0].lower()):
        wrong = UserError(
            "the Host header does not name this machine's loopback interface",
            hint="use http://127.0.0.1:PORT or http://localhost:PORT",
        )
        return problem_response(wrong, 421)
    if _is_foreign(scope["method"], headers, hosts[0].lower()):
        return problem_response(
            DeniedError(
                "the request comes from a page of another origin", hint="call the API from a program, not a page"
            )
        )
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        return problem_response(UserError("the URL holds a zero character", hint="leave %00 out"), 400)
    return None


def _is_foreign(method: str, headers: Headers, host: str) -> bool:
    """Whether a browser sent it on behalf of a page that is not ours."""
    ours = {f"http://{host}", f"https://{host}"}
    if any(origin.lower() not in ours for origin in headers.getlist("origin")):
        return True
    return method not in SAFE_METHODS and headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
