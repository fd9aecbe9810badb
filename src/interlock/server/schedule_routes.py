"""The routes of schedules: list them, pause one, let it go on, submit its task now."""

from typing import Annotated

from fastapi import Depends
from fastapi.responses import JSONResponse, Response

from interlock.server.access import Plane, Principal
from interlock.server.bodies import body_of
from interlock.server.route import API, Route
from interlock.server.schemas import Nothing

_Empty = Annotated[Nothing, Depends(body_of(Nothing))]


async def listing(control: Plane) -> Response:
    """All schedules, with their next ticks and what became of the last one: `{items}`."""
    return JSONResponse({"items": await control.schedules.listing()})


async def pause(control: Plane, by: Principal, name: str, body: _Empty) -> Response:
    """Submit nothing of a schedule until it is resumed: `{name, paused, changed}`."""
    del body
    return JSONResponse(await control.schedules.pause(name, by, paused=True))


async def resume(control: Plane, by: Principal, name: str, body: _Empty) -> Response:
    """Let a schedule go on from now; what was due while it was paused is left out: `{name, paused, changed}`."""
    del body
    return JSONResponse(await control.schedules.pause(name, by, paused=False))


async def trigger(control: Plane, by: Principal, name: str, body: _Empty) -> Response:
    """Submit the task of a schedule now, also of a paused one; the task."""
    del body
    return JSONResponse(await control.schedules.trigger(name, by), 201)


ROUTES = (
    Route("GET", f"{API}/schedules", listing),
    Route("POST", f"{API}/schedules/{{name}}/pause", pause),
    Route("POST", f"{API}/schedules/{{name}}/resume", resume),
    Route("POST", f"{API}/schedules/{{name}}/trigger", trigger, status=201),
)
