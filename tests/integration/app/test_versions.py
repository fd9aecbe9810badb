"""Configuration versions: applied once, listed, compared, gone back to; each in the record, none with a secret."""

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from interlock import audit
from interlock.app import apply_version, check_project, compare_versions, list_versions, roll_back
from interlock.config import Project
from interlock.model import ConfigError, NotFound
from interlock.store import Database, version_rows

pytestmark = pytest.mark.integration
ANN, BEN = "person:ann", "person:ben"
MODEL = {"model": "anthropic:m"}


def project_of(folder: Path, **config: Any) -> Project:
    (folder / "interlock.yaml").write_text(json.dumps(config))
    return check_project(folder, {})


async def told(database: Database) -> list[tuple[str, str, dict[str, Any]]]:
    async with database.transaction() as tx:
        found = await audit.listing(tx, None, 1000)
    return [
        (entry["event"], entry["actor"], entry["detail"]) for entry in reversed(found) if "config" in entry["event"]
    ]


async def test_the_same_content_is_the_same_version(interlock_database: Database, tmp_path: Path) -> None:
    one = project_of(tmp_path, agents={"tidy": MODEL})
    first = await apply_version(interlock_database, one, ANN)
    again = await apply_version(interlock_database, one, BEN)
    assert (first["number"], first["created"], again["number"], again["created"]) == (1, True, 1, False)
    assert again["applied_by"] == ANN
    two = project_of(tmp_path, agents={"tidy": MODEL, "more": MODEL})
    second = await apply_version(interlock_database, two, BEN)
    assert (second["number"], [change["path"] for change in second["changes"]]) == (2, ["agents.more"])
    assert (await apply_version(interlock_database, one, ANN))["number"] == 3
    assert [entry[:2] for entry in await told(interlock_database)] == [
        ("config.applied", ANN),
        ("config.applied", BEN),
        ("config.applied", ANN),
    ]


async def test_several_that_apply_at_once_make_one_version_each_in_order(
    interlock_database: Database, tmp_path: Path
) -> None:
    projects = []
    for n in range(6):
        (tmp_path / str(n)).mkdir()
        projects.append(project_of(tmp_path / str(n), agents={f"agent-{n % 3}": MODEL}))
    await asyncio.gather(*(apply_version(interlock_database, project, ANN) for project in projects))
    found = await list_versions(interlock_database)
    numbers = [version["number"] for version in found]
    assert numbers == list(range(len(found), 0, -1))
    assert all(one["sha256"] != other["sha256"] for one, other in itertools.pairwise(found))
    assert [version["active"] for version in found] == [True, *([False] * (len(found) - 1))]


async def test_a_rollback_is_a_new_version_with_the_content_of_an_earlier_one(
    interlock_database: Database, tmp_path: Path
) -> None:
    one = project_of(tmp_path, agents={"tidy": {**MODEL, "instructions": "Tidy up."}})
    await apply_version(interlock_database, one, ANN)
    two = project_of(tmp_path, agents={"tidy": {**MODEL, "instructions": "Tidy up well."}})
    await apply_version(interlock_database, two, ANN)
    back = await roll_back(interlock_database, 1, BEN)
    assert (back["number"], back["sha256"], back["content_of"], back["created"]) == (3, one.sha256, 1, True)
    assert not (await roll_back(interlock_database, 1, BEN))["created"]
    assert (await list_versions(interlock_database))[0]["active"]
    event, actor, detail = (await told(interlock_database))[-1]
    assert (event, actor, detail["content_of"]) == ("config.rolled_back", BEN, 1)
    assert detail["changed"] == ["agents.tidy.instructions"]
    with pytest.raises(NotFound, match="there is no configuration version 7"):
        await roll_back(interlock_database, 7, BEN)


async def test_what_another_release_stored_and_this_one_cannot_read_is_not_activated(
    interlock_database: Database, tmp_path: Path
) -> None:
    await apply_version(interlock_database, project_of(tmp_path, agents={"tidy": MODEL}), ANN)
    async with interlock_database.transaction() as tx:
        await version_rows.keep(tx, "other", {"agents": {"tidy": {"colour": "red"}}}, ANN)
        await version_rows.add(tx, await version_rows.claim(tx), "other", ANN)
    await apply_version(interlock_database, project_of(tmp_path, agents={}), ANN)
    with pytest.raises(ConfigError, match=r"version 2 .*agents\.tidy\.colour"):
        await roll_back(interlock_database, 2, ANN)
    assert [version["number"] for version in await list_versions(interlock_database)] == [3, 2, 1]


async def test_a_comparison_says_what_differs_without_secrets(interlock_database: Database, tmp_path: Path) -> None:
    rules = [{"id": "a", "when": {"agent": "x"}, "then": "ask"}, {"id": "b", "when": {"agent": "y"}, "then": "deny"}]
    tool = {"command": "serve", "env": {"KEY": "sk-aaaaaaaaaaaaaaaaaaaaaaaa"}}
    one = project_of(tmp_path, agents={"tidy": MODEL}, tools={"t": tool}, policy={"rules": rules})
    await apply_version(interlock_database, one, ANN)
    rules[1]["then"] = "ask"
    tool["env"] = {"KEY": "sk-bbbbbbbbbbbbbbbbbbbbbbbb"}
    two = project_of(tmp_path, agents={"other": MODEL}, tools={"t": tool}, policy={"rules": rules})
    on_disk = await compare_versions(interlock_database, 1, two)
    await apply_version(interlock_database, two, ANN)
    stored = await compare_versions(interlock_database, 1, 2)
    assert (on_disk["to"], stored["to"]["number"]) == (None, 2)
    assert on_disk["changes"] == stored["changes"]
    assert [(change["kind"], change["path"]) for change in stored["changes"]] == [
        ("added", "agents.other"),
        ("removed", "agents.tidy"),
        ("changed", "policy.rules.b.then"),
        ("changed", "tools.t (its code, or a value that is not stored)"),
    ]
    assert "sk-" not in json.dumps(stored)
    assert (await compare_versions(interlock_database, 2, two))["changes"] == []
