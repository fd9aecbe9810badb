"""The routes of approvals and calls: look, decide, resolve a call in doubt, undo one."""

from typing import Annotated

from fastapi import Depends, Query
from fastapi.responses import JSONResponse, Response

from interlock.server.access import Plane, Principal
from interlock.server.bodies import body_of
from interlock.server.route import API, Route
from interlock.server.schemas import DecisionBody, Nothing, ResolveCallBody


async def approvals(
    control: Plane,
    everything: Annotated[bool, Query(alias="all", description="those that are decided, too")] = False,
) -> Response:
    """Questions to people, oldest first: `{items}`."""
    return JSONResponse({"items": await control.approvals(pending_only=not everything)})


async def approval(control: Plane, approval_id: str) -> Response:
    """One question with all that it is about; `binding_sha256` goes back with the decision."""
    return JSONResponse(await control.approval(approval_id))


async def decide(
    control: Plane, by: Principal, approval_id: str, body: Annotated[DecisionBody, Depends(body_of(DecisionBody))]
) -> Response:
    """Approve or deny exactly what was seen; 409 if something else waits by now, or it was decided before."""
    return JSONResponse(await control.decide(approval_id, body.given(), by))


async def call(control: Plane, call_id: str) -> Response:
    """One call with its arguments, decision, result and effect."""
    return JSONResponse(await control.call(call_id))


async def undo(
    control: Plane,
    by: Principal,
    call_id: str,
    body: Annotated[Nothing, Depends(body_of(Nothing))],
    dry_run: Annotated[bool, Query(description="only say what would be done")] = False,
) -> Response:
    """Take back the effect of one call, as a task of its own."""
    del body
    view = await control.undo(call_id, by, kind="call", dry_run=dry_run)
    return JSONResponse(view, 201 if view["created"] else 200)


async def resolve(
    control: Plane, by: Principal, call_id: str, body: Annotated[ResolveCallBody, Depends(body_of(ResolveCallBody))]
) -> Response:
    """Say whether a call in doubt took effect; its task goes on."""
    return JSONResponse(await control.resolve_call(call_id, body.given(), by))


async def which(control: Plane, text: str) -> Response:
    """Whether an id is that of a task or of a call: `{id, kind}`."""
    return JSONResponse({"id": text, "kind": await control.which(text)})


ROUTES = (
    Route("GET", f"{API}/approvals", approvals),
    Route("GET", f"{API}/approvals/{{approval_id}}", approval),
    Route("POST", f"{API}/approvals/{{approval_id}}/decision", decide, DecisionBody),
    Route("GET", f"{API}/calls/{{call_id}}", call),
    Route("POST", f"{API}/calls/{{call_id}}/undo", undo),
    Route("POST", f"{API}/calls/{{call_id}}/resolve", resolve, ResolveCallBody),
    Route("GET", f"{API}/ids/{{text}}", which),
)
