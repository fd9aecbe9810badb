"""The routes of whoever runs the system: state, audit, halt, agents, metrics, shutting down."""

from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from interlock.model import NotFound, UserError
from interlock.server.access import Plane, Principal
from interlock.server.bodies import body_of
from interlock.server.route import API, Route
from interlock.server.schemas import HaltBody, Nothing, ResumeBody
from interlock.server.streaming import LINES_TYPE, lines_of

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def status(control: Plane) -> Response:
    """Is it healthy, in one object; `warnings` says why not."""
    return JSONResponse(await control.status())


async def audit(
    control: Plane,
    task: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Records of the audit, newest first: `{items}`."""
    return JSONResponse({"items": await control.audit(task, limit)})


async def verify(
    control: Plane,
    number: Annotated[int | None, Query(ge=1, description="of a record whose link was noted earlier")] = None,
    link: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description="what was noted for it")] = None,
) -> Response:
    """Recompute the chain of the audit: `{ok, records, waiting, head, problems}`."""
    if (number is None) != (link is None):
        raise UserError("number and link: give both or neither", hint="interlock audit verify")
    expected = None if number is None or link is None else (number, link)
    return JSONResponse(await control.verify_audit(expected))


async def export(control: Plane) -> Response:
    """The whole chain of the audit, a JSON object a line; it can be verified anywhere."""
    return await lines_of(control.export_audit())


async def halt(control: Plane, by: Principal, body: Annotated[HaltBody, Depends(body_of(HaltBody))]) -> Response:
    """Halt everything, one agent, or one tool, until it is resumed."""
    if not body.reason.strip():
        raise UserError("reason: say why; it is recorded", hint=HaltBody.hint)
    return JSONResponse(await control.halt(body.scope, body.reason, by, stops=body.stop))


async def resume(control: Plane, by: Principal, body: Annotated[ResumeBody, Depends(body_of(ResumeBody))]) -> Response:
    """End a halt."""
    return JSONResponse(await control.halt(body.scope, None, by))


async def agents(control: Plane) -> Response:
    """The agents of the project: `{items}`."""
    return JSONResponse({"items": control.agents()})


async def agent(control: Plane, name: str) -> Response:
    """One agent."""
    everyone = control.agents()
    found = next((entry for entry in everyone if entry["name"] == name), None)
    if found is None:
        known = ", ".join(sorted(entry["name"] for entry in everyone)) or "none"
        raise NotFound(f"there is no agent '{name[:100]}'; configured are: {known}", hint="interlock agents list")
    return JSONResponse(found)


async def metrics(control: Plane) -> Response:
    """The text that Prometheus scrapes; give it the token as a bearer token."""
    return Response(await control.metrics(), media_type=METRICS_TYPE)


async def openapi(request: Request) -> Response:
    """This API as OpenAPI describes it."""
    return JSONResponse(request.app.openapi())


async def shutdown(request: Request, body: Annotated[Nothing, Depends(body_of(Nothing))]) -> Response:
    """Stop this server; whatever started it stops its workers too."""
    del body
    request.app.state.stop.set()
    return JSONResponse({"stopping": True}, 202)


ROUTES = (
    Route("GET", f"{API}/status", status),
    Route("GET", f"{API}/audit", audit),
    Route("GET", f"{API}/audit/verify", verify),
    Route("GET", f"{API}/audit/export", export, media_type=LINES_TYPE),
    Route("POST", f"{API}/halt", halt, HaltBody),
    Route("POST", f"{API}/resume", resume, ResumeBody),
    Route("GET", f"{API}/agents", agents),
    Route("GET", f"{API}/agents/{{name}}", agent),
    Route("POST", f"{API}/shutdown", shutdown, status=202),
    Route("GET", "/metrics", metrics, media_type="text/plain"),
    Route("GET", "/api/openapi.json", openapi),
)
