"""An application over a small control plane that lives in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from interlock.app import Control, Sent
from interlock.model import BindingChanged, NotFound, Unauthorized
from interlock.server import create_app

TOKEN = "ilk_0123456789_abcdefghijklmnopqrstuvwxyzABCDEF"
HASH = "a" * 64


class FakeFleet:
    """Two tools of one server."""

    async def tools(self, server: str | None = None) -> list[dict[str, Any]]:
        if server not in (None, "workspace"):
            raise NotFound(f"there is no tool server '{server}'")
        return [{"tool": "workspace.read"}, {"tool": "workspace.write"}]

    async def tool(self, name: str) -> dict[str, Any]:
        return {"tool": name}

    async def pin(self, name: str, by: str, seen: Mapping[str, str] | None = None) -> dict[str, Any]:
        return {"accepted": [name], "by": by, "seen": seen}

    async def restart(self, server: str, by: str) -> dict[str, Any]:
        return {"server": server, "state": "ready", "by": by}


class FakeTriggers:
    """One trigger, whose proof is a header."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.read: list[Any] = []

    async def receive(self, name: str, sent: Sent, read: Callable[[bytes], Any]) -> dict[str, Any]:
        if sent.headers.get("x-proof") != "right" or name != "alerts":
            raise Unauthorized("no trigger takes this delivery")
        self.read.append(read(sent.body))
        if self.failure is not None:
            raise self.failure
        return {"trigger": name, "outcome": "fired", "tasks": []}

    async def listing(self) -> list[dict[str, Any]]:
        return [{"name": "alerts"}]


class FakeTokens:
    """One token."""

    async def create(self, body: dict[str, Any], by: str) -> dict[str, Any]:
        return {**body, "id": "0123456789", "created_by": by, "token": "shown once"}

    async def listing(self) -> list[dict[str, Any]]:
        return [{"id": "0123456789"}]

    async def revoke(self, name: str, by: str) -> dict[str, Any]:
        return {"id": name, "state": "revoked", "by": by}


class FakeControl:
    """Answers as the control plane does, remembers what it was asked, and fails when told to."""

    version = "9.9"
    gateway = None

    def __init__(self) -> None:
        self.fleet = FakeFleet()
        self.tokens = FakeTokens()
        self.triggers = FakeTriggers()
        self.kept: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, Any]] = []
        self.failure: Exception | None = None
        self.steps: list[dict[str, Any] | Exception] = []
        self.hold: asyncio.Event | None = None
        self.closed = 0

    def _note(self, name: str, *what: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.asked.append((name, what))

    async def submit(self, body: dict[str, Any], by: str) -> tuple[dict[str, Any], bool]:
        self._note("submit", body, by)
        key = str(body.get("dedupe_key") or body["text"])
        created = key not in self.kept
        return self.kept.setdefault(key, {"id": f"{len(self.kept):08x}", "state": "queued"}), created

    async def tasks(self, state: str | None, agent: str | None, cursor: str | None, limit: int) -> dict[str, Any]:
        self._note("tasks", state, agent, cursor, limit)
        return {"items": list(self.kept.values()), "next": None}

    async def task(self, task_id: str) -> dict[str, Any]:
        self._note("task", task_id)
        return {"id": task_id}

    async def calls(self, task_id: str) -> list[dict[str, Any]]:
        self._note("calls", task_id)
        return [{"id": "c"}]

    async def follow(self, task_id: str) -> AsyncIterator[dict[str, Any]]:
        self._note("follow", task_id)
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                yield step
            if self.hold is not None:
                await self.hold.wait()
        finally:
            self.closed += 1

    async def export_task(self, task_id: str, run_no: int | None) -> AsyncIterator[dict[str, Any]]:
        self._note("export_task", task_id, run_no)
        for number in (1, 2):
            yield {"v": 1, "n": number}

    async def cancel(self, task_id: str, by: str) -> dict[str, Any]:
        self._note("cancel", task_id, by)
        return {"id": task_id, "state": "cancelled"}

    async def retry(self, task_id: str, reason: str, by: str) -> tuple[dict[str, Any], bool]:
        self._note("retry", task_id, reason, by)
        return {"id": task_id}, reason == "anew"

    async def resolve(self, task_id: str, body: dict[str, Any], by: str) -> dict[str, Any]:
        self._note("resolve", task_id, body, by)
        return {"id": task_id}

    async def approvals(self, *, pending_only: bool) -> list[dict[str, Any]]:
        self._note("approvals", pending_only)
        return []

    async def approval(self, approval_id: str) -> dict[str, Any]:
        self._note("approval", approval_id)
        return {"id": approval_id, "binding_sha256": HASH}

    async def decide(self, approval_id: str, body: dict[str, Any], by: str) -> dict[str, Any]:
        self._note("decide", approval_id, body, by)
        if body["binding_sha256"] != HASH:
            raise BindingChanged("what waits is not what was shown to you; look at it again")
        return {"id": approval_id, "state": "approved"}

    async def call(self, call_id: str) -> dict[str, Any]:
        self._note("call", call_id)
        return {"id": call_id}

    async def artifact(self, call_id: str, sha256: str) -> tuple[dict[str, Any], bytes]:
        self._note("artifact", call_id, sha256)
        return {"sha256": sha256, "name": "answer.html", "mime": "text/html"}, b"<script>"

    async def resolve_call(self, call_id: str, body: dict[str, Any], by: str) -> dict[str, Any]:
        self._note("resolve_call", call_id, body, by)
        return {"id": call_id}

    async def undo(self, target: str, by: str, *, kind: str, dry_run: bool) -> dict[str, Any]:
        self._note("undo", target, by, kind, dry_run)
        return {"task": None, "created": not dry_run, "steps": [], "impossible": []}

    async def which(self, text: str) -> str:
        self._note("which", text)
        return "call"

    async def audit(self, task_id: str | None, limit: int) -> list[dict[str, Any]]:
        self._note("audit", task_id, limit)
        return [{"seq": 1}]

    async def verify_audit(self, expected: tuple[int, str] | None = None) -> dict[str, Any]:
        self._note("verify_audit", expected)
        return {"ok": True}

    async def export_audit(self) -> AsyncIterator[dict[str, Any]]:
        self._note("export_audit")
        for number in (1, 2):
            yield {"seq": number}

    async def halt(self, scope: str, reason: str | None, by: str, *, stops: bool = False) -> dict[str, Any]:
        self._note("halt", scope, reason, by, *(["stops"] if stops else []))
        return {"scope": scope, "halted": reason is not None, "changed": True}

    async def status(self) -> dict[str, Any]:
        self._note("status")
        return {"healthy": True}

    async def metrics(self) -> bytes:
        self._note("metrics")
        return b"interlock_build_info 1\n"

    async def ready(self) -> dict[str, Any]:
        self._note("ready")
        return {"ready": True}

    def agents(self) -> list[dict[str, Any]]:
        return [{"name": "writer"}]


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture(scope="session")
def built() -> FastAPI:
    """The application, built once: that takes longer than a test."""
    return create_app(cast(Control, FakeControl()), token=TOKEN, heartbeat_s=0.05)


@pytest.fixture
def app(built: FastAPI, control: FakeControl) -> FastAPI:
    """The application over a control plane of this test's own."""
    built.state.control = control
    built.state.stop = asyncio.Event()
    built.state.streams = 0
    return built


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the token."""
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7440", headers=headers) as found:
        yield found


@pytest.fixture
async def stranger(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without one."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:7440") as found:
        yield found
