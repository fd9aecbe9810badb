"""Whatever keeps bytes says for which task: states to go back to, answers that are too large, undos, reads used again."""

import hashlib
from pathlib import Path

import pytest

from interlock.orchestrator import submit_undo

from .conftest import PERSON, READ, Build, Scene, faulty

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


async def users(scene: Scene) -> dict[str, set[str]]:
    """Who uses which blob."""
    found: dict[str, set[str]] = {}
    async with scene.database.transaction() as tx:
        for row in await tx.rows(
            "select b.sha256, u.task_id, b.counted from blob b left join blob_use u on u.sha256 = b.sha256"
        ):
            assert row["counted"]
            found.setdefault(row["sha256"], set()).add(str(row["task_id"]))
    return found


async def test_a_state_to_go_back_to_is_used_by_the_task_and_by_its_undo(scene: Build, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.txt").write_text("before\n")
    made = await scene({"workspace": {"builtin": "workspace", "root": "work"}}, ["workspace.*"])
    done = await made.done("workspace.edit", {"path": "a.txt", "old": "before", "new": "after"})
    assert done.observation.ok, done.observation.text
    before = hashlib.sha256(b"before\n").hexdigest()
    mine = made.subject.lease.task_id
    assert (await users(made))[before] == {mine}
    undo = (await submit_undo(made.database, made.project, (mine, None), PERSON)).task
    assert (await users(made))[before] == {mine, undo.id}


async def test_an_answer_that_is_too_large_is_used_by_the_task(scene: Build, tmp_path: Path) -> None:
    made = await scene({"log": faulty(tmp_path / "log.jsonl", contracts={"big": READ})}, ["log.*"])
    done = await made.done("log.big", {"bytes": 300_000})
    assert "--artifact" in done.observation.text
    assert list((await users(made)).values()) == [{made.subject.lease.task_id}]
