"""Who is calling: a dependency of every route but the health checks, never a matter of paths."""

import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from interlock.app import Control
from interlock.model import Unauthorized, UserError
from interlock.server.problems import API_HINT

ADMIN = "person:admin"

_bearer = HTTPBearer(auto_error=False, scheme_name="token", description='the file "token" in INTERLOCK_HOME')


async def principal_of(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> str:
    """The principal whose token the request carries.

    Raises:
        Unauthorized: it carries none, or a wrong one.
    """
    if credentials is None:
        raise Unauthorized("the request carries no token: expected the header `Authorization: Bearer …`")
    expected: str = request.app.state.token
    if not hmac.compare_digest(credentials.credentials.encode(), expected.encode()):
        raise Unauthorized("the token is not the one of this server")
    return ADMIN


async def known_query(request: Request) -> None:
    """Refuse query parameters that the route does not know: a filter that is passed over would mislead.

    Raises:
        UserError: there is one.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    known = {field.alias for field in route.dependant.query_params}
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        expected = ", ".join(sorted(known)) or "none"
        raise UserError(f"{unknown[0][:100]}: unknown query parameter; expected {expected}", hint=API_HINT)


async def control_of(request: Request) -> Control:
    """The control plane that the app was made for."""
    control: Control = request.app.state.control
    return control


Principal = Annotated[str, Depends(principal_of)]
Plane = Annotated[Control, Depends(control_of)]
