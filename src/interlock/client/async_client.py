"""The client for async programs: the same methods as `Client`, to be awaited."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, cast

from interlock.client import requests, streams
from interlock.client.connection import Target, answer_of, raise_problem
from interlock.client.requests import Options, Request
from interlock.client.shapes import (
    Approval,
    Call,
    Chain,
    Delivered,
    Halted,
    Resolution,
    Status,
    Submitted,
    Task,
    TaskEvent,
    TaskPage,
    TaskStory,
    Token,
    Undoing,
)
from interlock.model import InterlockError

if TYPE_CHECKING:
    import httpx

Answer = TypeVar("Answer")


class AsyncClient:
    """Speaks to one interlock server; use it in an `async with`, or `close` it.

    Answers are plain dicts, shaped as the types of this room say. Ids may be unique prefixes. Every method raises the
    error that the server reports (`NotFound`, `Conflict`, `DeniedError`, …), or `ServerUnavailable` when none answers.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        timeout_s: float = 30.0,
        transport: "httpx.AsyncBaseTransport | None" = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: of the server, as http://127.0.0.1:7440.
            token: the access token.
            timeout_s: for an answer.
            transport: of the HTTP library, instead of its own.

        Raises:
            UserError: one of them can't be what it should be.
        """
        import httpx

        self._target = Target.parse(url, token, timeout_s)
        self._http = httpx.AsyncClient(transport=transport, **self._target.settings())

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, *, timeout_s: float = 30.0) -> Self:
        """A client for INTERLOCK_URL (default http://127.0.0.1:7440) with INTERLOCK_TOKEN.

        Raises:
            Unauthorized: there is no token.
            UserError: the URL is none.
        """
        target = Target.from_env(os.environ if env is None else env, timeout_s)
        return cls(target.url, target.token, timeout_s=timeout_s)

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, request: Request[Answer]) -> Answer:
        with self._target.errors():
            response = await self._http.request(**self._target.arguments(request))
        return cast("Answer", answer_of(self._target, response))

    async def _text(self, request: Request[str]) -> str:
        with self._target.errors():
            response = await self._http.request(**self._target.arguments(request))
        raise_problem(self._target, response)
        return response.text

    async def _bytes(self, request: Request[bytes]) -> bytes:
        with self._target.errors():
            response = await self._http.request(**self._target.arguments(request))
        raise_problem(self._target, response)
        return response.content

    async def _lines(self, request: Request[str], *, streaming: bool) -> AsyncGenerator[str]:
        arguments = self._target.arguments(request, streaming=streaming)
        with self._target.errors():
            async with self._http.stream(**arguments) as response:
                if not response.is_success:
                    await response.aread()
                raise_problem(self._target, response)
                async for line in response.aiter_lines():
                    yield line

    # ---- tasks ---------------------------------------------------------------------------------

    async def submit(self, text: str, *, agent: str, **options: Unpack[Options]) -> Submitted:
        """Take a task in; an equal one that is not final yet comes back instead, with `created` false.

        Args:
            text: what the agent shall do.
            agent: its name.
            options: `inputs`, `priority` (0 first to 9), `dedupe_key`, `delay`, `at`, `max_duration`,
                `checks` (what the result must pass, in the shape of `verify:`).
        """
        return await self._send(requests.submit(text, agent, options))

    async def tasks(
        self, *, state: str | None = None, agent: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> TaskPage:
        """A page of tasks, newest first; `next` of it is the cursor of the next page."""
        return await self._send(requests.tasks(state, agent, cursor, limit))

    async def task(self, task_id: str) -> TaskStory:
        """The whole story of a task."""
        return await self._send(requests.task(task_id))

    async def task_calls(self, task_id: str) -> list[Call]:
        """The calls of a task."""
        return (await self._send(requests.task_calls(task_id)))["items"]

    async def events(self, task_id: str) -> AsyncIterator[TaskEvent]:
        """What happens to a task, until it is final or waits for a person; connects again when the stream breaks.

        Yields audit records, each once, and `{event: "state", state, state_reason}` when the state changes.
        """
        watch = streams.Watch()
        while True:
            broken: InterlockError | None = None
            watch.connected()
            try:
                async with aclosing(self._lines(requests.events(task_id), streaming=True)) as lines:
                    async for line in lines:
                        for event in watch.line(line):
                            yield event
                        if watch.over:
                            return
            except InterlockError as error:
                broken = error
            await asyncio.sleep(watch.pause_s(broken))

    async def export_task(self, task_id: str, *, run: int | None = None) -> AsyncIterator[str]:
        """The runs of a task, or the one of this number, as recorded runs: a line of JSON at a time."""
        async for line in self._lines(requests.export_task(task_id, run), streaming=False):
            yield line

    async def wait(self, task_id: str, *, timeout_s: float, final_only: bool = False) -> TaskStory:
        """Wait until a task is final, or needs a person (escalated, waiting for an approval) unless `final_only`.

        Raises:
            Exhausted: neither, after `timeout_s`.
        """
        ends = time.monotonic() + timeout_s
        pause_s = 0.1
        while True:
            task = await self.task(task_id)
            left_s = ends - time.monotonic()
            if streams.settled(task, final_only):
                return task
            if left_s <= 0:
                raise streams.waited_too_long(task, timeout_s)
            pause_s = streams.next_pause_s(pause_s, left_s)
            await asyncio.sleep(pause_s)

    async def cancel(self, task_id: str) -> Task:
        """Cancel a task: at once if it waits, within a second or two if it runs."""
        return await self._send(requests.cancel(task_id))

    async def retry(self, task_id: str, *, reason: str = "") -> Submitted:
        """Another run of an escalated task, or a new task like one that is final."""
        return await self._send(requests.retry(task_id, reason))

    async def resolve(self, task_id: str, resolution: Resolution, *, reason: str = "", text: str = "") -> Task:
        """Decide about an escalated task; `text` is the answer, or with `change` the request as it reads now."""
        return await self._send(requests.resolve(task_id, resolution, reason, text))

    async def undo_task(self, task_id: str, *, dry_run: bool = False) -> Undoing:
        """Take back the effects of a task, as a task of its own."""
        return await self._send(requests.undo("tasks", task_id, dry_run))

    # ---- approvals and calls -------------------------------------------------------------------

    async def approvals(self, *, everything: bool = False) -> list[Approval]:
        """Questions that wait for a person, oldest first; with `everything` those that are decided, too."""
        return (await self._send(requests.approvals(everything)))["items"]

    async def approval(self, approval_id: str) -> Approval:
        """One question with all that it is about."""
        return await self._send(requests.approval(approval_id))

    async def decide(
        self, approval_id: str, decision: Literal["approve", "deny"], *, binding_sha256: str, reason: str | None = None
    ) -> Approval:
        """Approve or deny exactly what was seen: `binding_sha256` is that of the approval that was looked at."""
        return await self._send(requests.decide(approval_id, decision, binding_sha256, reason))

    async def call(self, call_id: str) -> Call:
        """One call with its arguments, decision, result and effect."""
        return await self._send(requests.call(call_id))

    async def artifact(self, call_id: str, sha256: str) -> bytes:
        """The bytes of one of the `artifacts` in the result of a call: what no model reads."""
        return await self._bytes(requests.artifact(call_id, sha256))

    async def undo_call(self, call_id: str, *, dry_run: bool = False) -> Undoing:
        """Take back the effect of one call, as a task of its own."""
        return await self._send(requests.undo("calls", call_id, dry_run))

    async def resolve_call(self, call_id: str, outcome: Literal["done", "not_done"], *, reason: str) -> Call:
        """Say whether a call in doubt took effect; its task goes on."""
        return await self._send(requests.resolve_call(call_id, outcome, reason))

    async def which(self, text: str) -> str:
        """Whether an id is that of a `task` or of a `call`."""
        return (await self._send(requests.which(text)))["kind"]

    # ---- audit, halt, agents, tools, state -------------------------------------------------------

    async def audit(self, *, task_id: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Records of the audit, newest first."""
        return (await self._send(requests.audit(task_id, limit)))["items"]

    async def verify_audit(self, expected: tuple[int, str] | None = None) -> Chain:
        """Recompute the chain; `expected` is a number and link noted earlier that must still be in it."""
        return await self._send(requests.verify_audit(expected))

    async def export_audit(self) -> AsyncIterator[str]:
        """The whole chain, a line of JSON at a time, which can be verified anywhere."""
        async for line in self._lines(requests.export_audit(), streaming=False):
            yield line

    async def halt(self, scope: str = "all", *, reason: str, stop: bool = False) -> Halted:
        """Halt `all`, `agent:NAME`, `tool:SERVER` or `tool:SERVER.NAME` until it is resumed."""
        return await self._send(requests.halt(scope, reason, stop))

    async def resume(self, scope: str = "all") -> Halted:
        """End a halt."""
        return await self._send(requests.resume(scope))

    async def schedules(self) -> list[dict[str, Any]]:
        """The schedules, with their next ticks and what became of the last one."""
        return (await self._send(requests.schedules()))["items"]

    async def pause_schedule(self, name: str) -> dict[str, Any]:
        """Submit nothing of a schedule until it is resumed."""
        return await self._send(requests.steer_schedule(name, "pause"))

    async def resume_schedule(self, name: str) -> dict[str, Any]:
        """Let a schedule go on from now."""
        return await self._send(requests.steer_schedule(name, "resume"))

    async def trigger_schedule(self, name: str) -> dict[str, Any]:
        """Submit the task of a schedule now; the task."""
        return await self._send(requests.steer_schedule(name, "trigger"))

    async def triggers(self) -> list[dict[str, Any]]:
        """The triggers, with what became of what they were sent."""
        return (await self._send(requests.triggers()))["items"]

    async def deliver(self, name: str, body: bytes, headers: Mapping[str, str]) -> Delivered:
        """Send a trigger what another program would, with the headers that prove it; the tasks.

        Raises:
            Unauthorized: the proof is not right, or there is no such trigger.
            RateLimited: it is to be sent again later.
        """
        return await self._send(requests.deliver(name, body, headers))

    async def agents(self) -> list[dict[str, Any]]:
        """The agents of the project."""
        return (await self._send(requests.agents()))["items"]

    async def agent(self, name: str) -> dict[str, Any]:
        """One agent."""
        return await self._send(requests.agent(name))

    async def tools(self, server: str | None = None) -> list[dict[str, Any]]:
        """All tools, or those of one server, with class and pin."""
        return (await self._send(requests.tools(server)))["items"]

    async def tool(self, name: str) -> dict[str, Any]:
        """One tool (`server.tool`), or one server with its tools and health."""
        return await self._send(requests.tool(name))

    async def pin(self, name: str, *, seen: Mapping[str, str] | None = None) -> list[str]:
        """Accept the present definition of a tool, or of all tools of a server; the tools.

        With `seen` (`{tool: pin_sha256}` of all that was looked at) nothing is accepted if it is another one by now.
        """
        return (await self._send(requests.pin(name, seen)))["accepted"]

    async def restart_tools(self, server: str) -> dict[str, Any]:
        """Start a tool server anew, even one that is parked, and close the breakers of its tools; its health then."""
        return await self._send(requests.restart_tools(server))

    async def create_token(
        self, agent: str, *, expires: str | float | None = None, task_id: str | None = None
    ) -> Token:
        """A token for an agent outside; only this answer holds the token itself, in `token`.

        Args:
            agent: whose tools and limits it has.
            expires: after this duration, such as `30d`; None: never.
            task_id: the one task that it is for; None: calls get a task of their own.
        """
        return await self._send(requests.create_token(agent, expires, task_id))

    async def tokens(self) -> list[Token]:
        """All tokens of agents outside, newest first, without the tokens themselves."""
        return (await self._send(requests.tokens()))["items"]

    async def revoke_token(self, token_id: str) -> Token:
        """End a token for good."""
        return await self._send(requests.revoke_token(token_id))

    async def status(self) -> Status:
        """Is it healthy, in one object."""
        return await self._send(requests.status())

    async def ready(self) -> None:
        """Return when the server and its database answer; needs no token.

        Raises:
            Unavailable: one of them does not.
        """
        await self._send(requests.ready())

    async def metrics(self) -> str:
        """The text that Prometheus scrapes."""
        return await self._text(requests.metrics())

    async def shutdown(self) -> None:
        """Stop the server."""
        await self._send(requests.shutdown())
