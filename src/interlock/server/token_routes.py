"""The routes of tokens for agents outside: make one, list them, revoke one."""

from typing import Annotated

from fastapi import Depends
from fastapi.responses import JSONResponse, Response

from interlock.server.access import Plane, Principal
from interlock.server.bodies import body_of
from interlock.server.route import API, Route
from interlock.server.schemas import Nothing, TokenBody


async def create(control: Plane, by: Principal, body: Annotated[TokenBody, Depends(body_of(TokenBody))]) -> Response:
    """A token for an agent outside, good for `/mcp` only. This answer alone holds the token itself, in `token`."""
    return JSONResponse(await control.tokens.create(body.given(), by), 201)


async def listing(control: Plane) -> Response:
    """All tokens, newest first, without the tokens themselves: `{items}`."""
    return JSONResponse({"items": await control.tokens.listing()})


async def revoke(
    control: Plane, by: Principal, token_id: str, body: Annotated[Nothing, Depends(body_of(Nothing))]
) -> Response:
    """End a token for good; calls with it are refused within two seconds."""
    del body
    return JSONResponse(await control.tokens.revoke(token_id, by))


ROUTES = (
    Route("POST", f"{API}/tokens", create, TokenBody, status=201),
    Route("GET", f"{API}/tokens", listing),
    Route("POST", f"{API}/tokens/{{token_id}}/revoke", revoke),
)
