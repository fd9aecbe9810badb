"""The routes of triggers: list them, and take in what other programs send, which proves itself and needs no token."""

from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from interlock.app import Sent
from interlock.model import BacklogFull, Conflict, Unauthorized, Unavailable, UserError
from interlock.server.access import Plane
from interlock.server.bodies import MAX_BODY_BYTES, parse_json, read_bytes
from interlock.server.problems import Refusal, problem_response
from interlock.server.route import API, Route

MAX_READING = 64
UNAVAILABLE_RETRY_S = 5


async def listing(control: Plane) -> Response:
    """All triggers, with what became of what they were sent: `{items}`."""
    return JSONResponse({"items": [] if control.triggers is None else await control.triggers.listing()})


async def deliver(request: Request, control: Plane, name: str) -> Response:
    """Take a delivery in: `{trigger, outcome, tasks: [{id, state, created}]}`; 202 when a task was started, else 200.

    The delivery proves itself as the trigger says; the access token counts for nothing here. 401 does not tell whether
    there is such a trigger. 429 and 503 say in `Retry-After` when to send it again.
    """
    headers: dict[str, str] = {}
    for key, value in request.headers.items():
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    if control.triggers is None:
        raise Unauthorized("this server takes no deliveries")
    try:
        found = await control.triggers.receive(name, Sent(headers, await _body(request)), _read)
    except BacklogFull as error:
        return problem_response(error, 503)  # senders such as Alertmanager come again soon after a 5xx only
    except (Conflict, Unavailable) as error:  # somebody, or something, was in the way at this very moment
        return problem_response(error, 503, {"Retry-After": str(UNAVAILABLE_RETRY_S)})
    return JSONResponse(found, 202 if found["outcome"] == "fired" else 200)


async def _body(request: Request) -> bytes:
    """The body. Whose it is can't be known before it was read, so only so many are read at a time."""
    state = request.app.state
    if state.deliveries >= MAX_READING:
        raise Unavailable("too many deliveries come in at the same time", hint="send it again")
    state.deliveries += 1
    try:
        return await read_bytes(request, MAX_BODY_BYTES)
    finally:
        state.deliveries -= 1


def _read(body: bytes) -> Any:
    try:
        return parse_json(body)
    except Refusal as error:
        raise UserError(f"body: {error.detail}", hint=error.hint) from None


ROUTES = (Route("GET", f"{API}/triggers", listing),)
# what comes here is let in by its own proof, and by nothing else
DELIVERIES = (Route("POST", f"{API}/triggers/{{name}}", deliver, status=202),)
