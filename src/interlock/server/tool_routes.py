"""The routes of tool servers: list, show, accept, start anew; and what tools answered beyond what a model reads."""

from typing import Annotated

from fastapi import Depends, Query
from fastapi.responses import JSONResponse, Response

from interlock.server.access import Plane, Principal
from interlock.server.bodies import body_of
from interlock.server.route import API, Route
from interlock.server.schemas import Nothing, PinBody

BYTES_TYPE = "application/octet-stream"


async def tools(control: Plane, server: Annotated[str | None, Query(max_length=100)] = None) -> Response:
    """All tools, or those of one server, with class and pin: `{items}`."""
    return JSONResponse({"items": await control.fleet.tools(server)})


async def tool(control: Plane, name: str) -> Response:
    """One tool (`server.tool`), or one server with its tools and health; with the difference from what was accepted."""
    return JSONResponse(await control.fleet.tool(name))


async def pin(
    control: Plane, by: Principal, name: str, body: Annotated[PinBody, Depends(body_of(PinBody))]
) -> Response:
    """Accept the present definition of a tool, or of all tools of a server: `{accepted, dropped}`; 409 if not as seen."""
    return JSONResponse(await control.fleet.pin(name, by, body.seen))


async def restart(
    control: Plane, by: Principal, name: str, body: Annotated[Nothing, Depends(body_of(Nothing))]
) -> Response:
    """Start a server anew, even one that is parked, and close the breakers of its tools; its health then."""
    del body
    return JSONResponse(await control.fleet.restart(name, by))


async def artifact(control: Plane, call_id: str, sha256: str) -> Response:
    """The bytes of an artifact of a call, to be saved; what kind they are is in the call's result."""
    about, body = await control.artifact(call_id, sha256)
    # A stranger made the bytes: they are never shown in place, whatever kind they are said to be.
    headers = {"Content-Disposition": f'attachment; filename="{about["name"]}"'}
    return Response(body, media_type=BYTES_TYPE, headers=headers)


ROUTES = (
    Route("GET", f"{API}/tools", tools),
    Route("GET", f"{API}/tools/{{name}}", tool),
    Route("POST", f"{API}/tools/{{name}}/pin", pin, PinBody),
    Route("POST", f"{API}/tools/{{name}}/restart", restart),
    Route("GET", f"{API}/calls/{{call_id}}/artifacts/{{sha256}}", artifact, media_type=BYTES_TYPE),
)
