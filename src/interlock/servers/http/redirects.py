"""Which redirects are followed, and how. Pure; the target of each one is checked again like the first one.

After RFC 9110, and stricter: a request that changes something is sent again only to the origin that it was meant for.
"""

from urllib.parse import urljoin

from interlock.model import UserError
from interlock.servers.http.exchange import Request
from interlock.servers.http.headers import Received, after_redirect
from interlock.servers.http.target import parse_target, shown

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
TO_GET = frozenset({301, 302, 303})  # of a POST; 303 of anything
UNFIT = "\\\ufffd"  # the latter stands for what could not be read
_FOLLOWED = frozenset({301, 302, 303, 307, 308})


def method_after(method: str, status: int) -> str:
    """The method of the request that a redirect asks for."""
    if method == "HEAD" or (method in SAFE and status != 303):
        return method
    return "GET" if status == 303 or (status in TO_GET and method == "POST") else method


def redirected(request: Request, status: int, received: Received) -> Request | None:
    """The request that an answer asks for; None when it asks for none.

    Raises:
        UserError: it asks for one that is not made.
    """
    if status not in _FOLLOWED or not received.count("location"):
        return None
    location = received.one("location")
    if location is None:
        raise UserError("It names several places.")
    before = request.target
    target = parse_target(_join(before.url, location))
    if before.scheme == "https" and target.scheme == "http":
        raise UserError(f"It leads from https to {shown(target.url)}, without TLS.")
    same_origin = before.origin == target.origin
    method = method_after(request.method, status)
    if method not in SAFE and not same_origin:
        raise UserError(f"A {method} is not sent again to another place than it was meant for, here {target.netloc}.")
    same_method = method == request.method
    return Request(
        method,
        target,
        after_redirect(request.headers, same_origin=same_origin, same_method=same_method),
        request.body if same_method else None,
        request.credentialed and same_origin,
    )


def _join(base: str, location: str) -> str:
    """The absolute form of a reference; the standard library drops some characters, so they are looked for before."""
    doubtful = any(character.isspace() or not character.isprintable() or character in UNFIT for character in location)
    if doubtful or location.startswith("///"):
        raise UserError(f"It leads to {shown(location)}, which is no URL.")
    try:
        return urljoin(base, location)
    except ValueError as error:
        raise UserError(f"It leads to {shown(location)}, which is no URL.") from error
