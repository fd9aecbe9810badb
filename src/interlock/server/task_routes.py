"""The routes of tasks: take in, list, show, follow, export, cancel, retry, resolve, undo."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any, cast

from fastapi import Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from interlock.model import UserError
from interlock.server.access import Plane, Principal
from interlock.server.bodies import body_of
from interlock.server.route import API, Route
from interlock.server.schemas import Nothing, ResolveBody, RetryBody, SubmitBody
from interlock.server.streaming import LINES_TYPE, follow, lines_of

MAX_PAGE = 200
MAX_RUN = 1_000_000


async def submit(
    control: Plane,
    by: Principal,
    body: Annotated[SubmitBody, Depends(body_of(SubmitBody))],
    idempotency_key: Annotated[str | None, Header(description="the dedupe key, if the body has none")] = None,
) -> Response:
    """Take a task in. 201 with the new task, or 200 with the equal one that is not final yet."""
    asked = body.given()
    if idempotency_key is not None and asked.get("dedupe_key") is None:
        asked["dedupe_key"] = _key(idempotency_key)
    task, created = await control.submit(asked, by)
    return JSONResponse({**task, "created": created}, 201 if created else 200)


def _key(header: str) -> str:
    """The key in the header, which may stand in quotes as RFC 8941 writes texts."""
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 0 < len(key) <= 200:
        raise UserError("Idempotency-Key: expected 1 to 200 characters")
    return key


async def listing(
    control: Plane,
    state: Annotated[str | None, Query()] = None,
    agent: Annotated[str | None, Query(max_length=200)] = None,
    cursor: Annotated[str | None, Query(max_length=100, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> Response:
    """A page of tasks, newest first: `{items, next}`."""
    return JSONResponse(await control.tasks(state, agent, cursor, limit))


async def show(control: Plane, task_id: str) -> Response:
    """The whole story of a task."""
    return JSONResponse(await control.task(task_id))


async def calls(control: Plane, task_id: str) -> Response:
    """The calls of a task: `{items}`."""
    return JSONResponse({"items": await control.calls(task_id)})


async def events(request: Request, control: Plane, task_id: str) -> Response:
    """What happens to a task, as Server-Sent Events: `record`, `state`, and `end` when it is final or waits for a person."""
    return await follow(request, cast("AsyncGenerator[dict[str, Any]]", control.follow(task_id)))


async def export(
    control: Plane,
    task_id: str,
    run: Annotated[int | None, Query(ge=1, le=MAX_RUN, description="only this run")] = None,
) -> Response:
    """The runs of a task as recorded runs, version 1: a JSON object a line, as docs/recorded-runs.md says."""
    return await lines_of(control.export_task(task_id, run))


async def cancel(
    control: Plane, by: Principal, task_id: str, body: Annotated[Nothing, Depends(body_of(Nothing))]
) -> Response:
    """Cancel a task: at once if it waits, within a second or two if it runs."""
    del body
    return JSONResponse(await control.cancel(task_id, by))


async def retry(
    control: Plane, by: Principal, task_id: str, body: Annotated[RetryBody, Depends(body_of(RetryBody))]
) -> Response:
    """Another run of an escalated task (200), or a new task like one that is final (201)."""
    task, created = await control.retry(task_id, body.reason, by)
    return JSONResponse({**task, "created": created}, 201 if created else 200)


async def resolve(
    control: Plane, by: Principal, task_id: str, body: Annotated[ResolveBody, Depends(body_of(ResolveBody))]
) -> Response:
    """Decide about an escalated task."""
    return JSONResponse(await control.resolve(task_id, body.given(), by))


async def undo(
    control: Plane,
    by: Principal,
    task_id: str,
    body: Annotated[Nothing, Depends(body_of(Nothing))],
    dry_run: Annotated[bool, Query(description="only say what would be done")] = False,
) -> Response:
    """Take back the effects of a task, last first, as a task of its own."""
    del body
    view = await control.undo(task_id, by, kind="task", dry_run=dry_run)
    return JSONResponse(view, 201 if view["created"] else 200)


ROUTES = (
    Route("POST", f"{API}/tasks", submit, SubmitBody, status=201),
    Route("GET", f"{API}/tasks", listing),
    Route("GET", f"{API}/tasks/{{task_id}}", show),
    Route("GET", f"{API}/tasks/{{task_id}}/calls", calls),
    Route("GET", f"{API}/tasks/{{task_id}}/events", events, media_type="text/event-stream"),
    Route("GET", f"{API}/tasks/{{task_id}}/export", export, media_type=LINES_TYPE),
    Route("POST", f"{API}/tasks/{{task_id}}/cancel", cancel),
    Route("POST", f"{API}/tasks/{{task_id}}/retry", retry, RetryBody),
    Route("POST", f"{API}/tasks/{{task_id}}/resolve", resolve, ResolveBody),
    Route("POST", f"{API}/tasks/{{task_id}}/undo", undo),
)
