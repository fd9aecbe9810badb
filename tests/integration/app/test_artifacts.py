"""What a tool answers beyond what a model reads is kept with the call, and reached through it only."""

import dataclasses
import hashlib
from pathlib import Path

import pytest

from interlock.app import keep_version
from interlock.app.artifacts import artifact_of
from interlock.config import load_project, new_id
from interlock.guardrails import keep_artifacts
from interlock.model import (
    Ambiguous,
    Attachment,
    CallRequest,
    CallState,
    NotFound,
    Task,
    TaskKind,
    TaskLimits,
    TaskRequest,
    ToolRef,
    ToolResult,
)
from interlock.orchestrator.submit import admit
from interlock.store import Database, call_rows, catalog_rows, path_rows, task_rows

WHOLE, IMAGE = b"the whole answer \xff\n" * 40_000, b"\x89PNG\r\n" * 100
RESULT = ToolResult(
    True, "the whole…", overflow=WHOLE, attachments=(Attachment("image/png", IMAGE), Attachment('../../x"; evil', b"?"))
)


async def a_task(database: Database, folder: Path) -> Task:
    request = TaskRequest("a", "go", dedupe_key=new_id(), kind=TaskKind.OUTSIDE)
    project = load_project(folder, {})
    await keep_version(database, project)
    async with database.transaction() as tx:
        return (await admit(tx, project, request, TaskLimits(), "test")).task


async def a_call(database: Database, folder: Path, result: ToolResult | None = None) -> str:
    """A call of a new task, with this result, or with what is kept of `RESULT`."""
    task = await a_task(database, folder)
    async with database.transaction() as tx:
        lease = await task_rows.take_lease(tx, task, "test")
        call_id = new_id()
        asked = CallRequest(1, "web.get", {}, "x")
        await path_rows.propose(tx, lease, call_id, asked, ToolRef("web", "get"), planned=False)
    async with database.at_once() as tx:
        kept = result or await keep_artifacts(tx, RESULT, task.id, call_id)
    async with database.transaction() as tx:
        call = await call_rows.get(tx, call_id)
        await call_rows.keep(tx, dataclasses.replace(call, state=CallState.DONE, result=kept.to_json()))
    return call_id


async def test_all_of_an_answer_is_kept_and_the_text_says_where(interlock_database: Database, tmp_path: Path) -> None:
    call_id = await a_call(interlock_database, tmp_path)
    async with interlock_database.transaction() as tx:
        result = (await call_rows.get(tx, call_id)).result or {}
    sha256 = hashlib.sha256(WHOLE).hexdigest()
    assert result["artifacts"][0] == {
        "sha256": sha256, "mime": "text/plain", "size_bytes": len(WHOLE), "name": "answer.txt",
    }  # fmt: skip
    assert [found["name"] for found in result["artifacts"]] == ["answer.txt", "attachment-1.png", "attachment-2.bin"]
    first, second, third, fourth = result["text"].splitlines()
    assert first == "the whole…"
    where = f"interlock calls show {call_id[-8:]} --artifact"
    assert second == f"[the whole answer, 760.0 kB: {where} {sha256[:12]}]"
    assert third.startswith(f"[attachment-1.png of the answer, 600 B: {where} ")
    assert fourth.startswith("[attachment-2.bin of the answer, 1 B: ")
    about, body = await artifact_of(interlock_database, call_id[-8:], sha256[:12].upper())
    assert (about["name"], body) == ("answer.txt", WHOLE)
    image = hashlib.sha256(IMAGE).hexdigest()
    assert (await artifact_of(interlock_database, call_id, image))[1] == IMAGE


async def test_what_is_whole_is_left_alone(interlock_database: Database, tmp_path: Path) -> None:
    plain = ToolResult(True, "hello")
    task = await a_task(interlock_database, tmp_path)
    async with interlock_database.at_once() as tx:
        assert await keep_artifacts(tx, plain, task.id, new_id()) is plain
        only = await keep_artifacts(
            tx, dataclasses.replace(plain, text="", attachments=RESULT.attachments[:1]), task.id, new_id()
        )
    assert only.text.startswith("[attachment-1.png of the answer, 600 B: interlock calls show ")
    assert (only.overflow, only.attachments) == (None, ())


async def test_nothing_but_artifacts_of_the_call_can_be_had(interlock_database: Database, tmp_path: Path) -> None:
    secret = b"the state of a workspace, or another task's answer"
    sha256 = hashlib.sha256(secret).hexdigest()
    task = await a_task(interlock_database, tmp_path)
    async with interlock_database.at_once() as tx:
        await catalog_rows.keep_blob(tx, sha256, secret, task.id)
    call_id = await a_call(interlock_database, tmp_path)
    for wanted in (sha256, "", "abc", "x" * 64, "%"):
        with pytest.raises(NotFound, match="the call has no artifact"):
            await artifact_of(interlock_database, call_id, wanted)
    with pytest.raises(NotFound):
        await artifact_of(interlock_database, new_id(), sha256)


async def test_an_unclear_or_forgotten_artifact_is_named_so(interlock_database: Database, tmp_path: Path) -> None:
    entries = tuple({"sha256": f"abcd{n}" + "0" * 59, "mime": "a/b", "size_bytes": 1, "name": "x"} for n in (1, 2))
    call_id = await a_call(interlock_database, tmp_path, ToolResult(True, "t", artifacts=entries))
    with pytest.raises(Ambiguous):
        await artifact_of(interlock_database, call_id, "abcd")
    with pytest.raises(NotFound, match="is not kept any more"):
        await artifact_of(interlock_database, call_id, "abcd1")
