"""The HTTP application: all routes of one control plane, each with its access check."""

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.responses import JSONResponse, Response

from interlock.app import Control
from interlock.model import DatabaseUnavailable, Unavailable, UserError
from interlock.server import (
    decision_routes,
    operation_routes,
    schedule_routes,
    task_routes,
    token_routes,
    tool_routes,
    trigger_routes,
)
from interlock.server.access import Plane, known_query, principal_of
from interlock.server.gateway import endpoint
from interlock.server.gateway.endpoint import Endpoint, agent_of
from interlock.server.gateway.protocol import Patience
from interlock.server.guarding import Guard
from interlock.server.problems import MEDIA_TYPE, PROBLEM_SCHEMA, add_problem_answers
from interlock.server.route import Route
from interlock.server.streaming import HEARTBEAT_S

READY_TIMEOUT_S = 5.0
MIN_TOKEN_CHARS = 16
_PROBLEM = {"description": "what went wrong", "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}}


async def healthz() -> Response:
    """This process lives."""
    return JSONResponse({"ok": True})


async def readyz(control: Plane) -> Response:
    """The database answers, and so many workers take tasks; 503 if it does not."""
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            return JSONResponse(await control.ready())
    except (Unavailable, TimeoutError) as error:  # without the reason: whoever asks has shown no token
        raise DatabaseUnavailable("the database does not answer") from error


# the only routes that need no token
OPEN_ROUTES = (Route("GET", "/healthz", healthz), Route("GET", "/readyz", readyz))
OPEN_PATHS = frozenset(route.path for route in OPEN_ROUTES)


def create_app(
    control: Control,
    *,
    token: str,
    stop: asyncio.Event | None = None,
    heartbeat_s: float = HEARTBEAT_S,
    patience: Patience | None = None,
) -> FastAPI:
    """The application.

    Args:
        control: the control plane it offers.
        token: what every request must carry, but health checks, calls of agents outside and deliveries of triggers,
            which have proofs of their own; who has it is `person:admin`.
        stop: set by `POST /api/v1/shutdown`; whoever serves the app stops when it is set.
        heartbeat_s: how often a silent event stream shows that it lives.
        patience: how long calls from outside are held while a person decides.

    Raises:
        UserError: the token is too short to be one.
    """
    if len(token) < MIN_TOKEN_CHARS:
        raise UserError(f"the access token has fewer than {MIN_TOKEN_CHARS} characters", hint="interlock doctor")
    app = FastAPI(
        title="interlock", version=control.version, openapi_url=None, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    app.state.control = control
    app.state.token = token
    app.state.stop = stop or asyncio.Event()
    app.state.streams = 0
    app.state.deliveries = 0  # whose bodies are being read
    app.state.heartbeat_s = heartbeat_s
    app.state.mcp = Endpoint(control.gateway, control.version, patience)
    for route in OPEN_ROUTES:
        _add(app, route, ())
    tables = (
        *(task_routes, schedule_routes, trigger_routes, decision_routes),
        *(operation_routes, tool_routes, token_routes),
    )
    for route in (route for table in tables for route in table.ROUTES):
        _add(app, route, (Depends(principal_of), Depends(known_query)))
    for route in endpoint.ROUTES:
        _add(app, route, (Depends(agent_of), Depends(known_query)))
    for route in trigger_routes.DELIVERIES:
        _add(app, route, (Depends(known_query),))
    add_problem_answers(app)
    app.add_middleware(Guard)
    return app


def replace_control(app: FastAPI, control: Control) -> None:
    """Let another control plane answer from now on; requests under way end with the one that they began with."""
    app.state.control = control
    app.state.mcp.replace(control.gateway)


def _add(app: FastAPI, route: Route, dependencies: Sequence[Any]) -> None:
    app.add_api_route(
        route.path,
        route.endpoint,
        methods=[route.method],
        name=route.name,
        operation_id=route.name,
        dependencies=dependencies,
        status_code=route.status,
        response_model=None,
        response_class=type("Answer", (Response,), {"media_type": route.media_type}),
        responses={"default": _PROBLEM},
        openapi_extra=route.openapi_extra,
    )
