"""What a server offers that is not accepted is kept until it is accepted or gone."""

from dataclasses import dataclass

from interlock.model import ToolDefinition, ToolRef
from interlock.store import Database, Sighting, catalog_rows, sighting_rows
from interlock.store.sightings import MAX_DEFINITION_BYTES, definition_body


@dataclass(frozen=True)
class Report:
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def tool(name: str, description: str = "Does it.") -> ToolDefinition:
    return ToolDefinition(ToolRef("files", name), None, description, {"type": "object"})


async def accept(database: Database, *definitions: ToolDefinition) -> None:
    async with database.transaction() as tx:
        for definition in definitions:
            await catalog_rows.accept_pin(tx, definition, "person:ann", replace=True)


async def note(database: Database, report: Report, *definitions: ToolDefinition) -> tuple[str, ...]:
    async with database.transaction() as tx:
        return await sighting_rows.note(tx, "files", report, definitions)


async def seen(database: Database) -> dict[str, Sighting]:
    async with database.transaction() as tx:
        return {sighting.name: sighting for sighting in await sighting_rows.of_server(tx, "files")}


async def test_new_changed_and_missing_with_their_definitions(interlock_database: Database) -> None:
    await accept(interlock_database, tool("read"), tool("write", "Writes."), tool("gone", "Was here."))
    report = Report(new=("fresh",), changed=("write",), missing=("gone",))
    now = (tool("read"), tool("write", "Writes and sends."), tool("fresh"))
    assert await note(interlock_database, report, *now) == ("fresh", "gone", "write")
    found = await seen(interlock_database)
    assert {name: one.kind for name, one in found.items()} == {"fresh": "new", "write": "changed", "gone": "missing"}
    assert found["write"].definition["description"] == "Writes and sends."
    assert (found["write"].accepted or {})["description"] == "Writes."
    assert found["write"].sha256 == now[1].pin_sha256
    assert found["gone"].definition["description"] == "Was here."
    assert found["fresh"].accepted is None
    async with interlock_database.transaction() as tx:
        assert await sighting_rows.counted(tx) == {"files": {"new": 1, "changed": 1, "missing": 1}}


async def test_only_what_is_different_from_the_last_look_is_told(interlock_database: Database) -> None:
    report = Report(new=("a", "b"))
    assert await note(interlock_database, report, tool("a"), tool("b")) == ("a", "b")
    first = await seen(interlock_database)
    assert await note(interlock_database, report, tool("a"), tool("b")) == ()
    assert await seen(interlock_database) == first
    assert await note(interlock_database, report, tool("a"), tool("b", "Now something else.")) == ("b",)
    assert (await seen(interlock_database))["b"].definition["description"] == "Now something else."
    assert await note(interlock_database, Report(new=("a",)), tool("a")) == ()
    assert set(await seen(interlock_database)) == {"a"}
    await note(interlock_database, Report())
    assert await seen(interlock_database) == {}


async def test_accepting_clears(interlock_database: Database) -> None:
    await note(interlock_database, Report(new=("a", "b", "c")), tool("a"), tool("b"), tool("c"))
    async with interlock_database.transaction() as tx:
        assert await sighting_rows.clear(tx, "files", ["a"]) == 1
        assert await sighting_rows.clear(tx, "other") == 0
        assert await sighting_rows.clear(tx, "files") == 2


async def test_what_postgres_can_not_keep_is_kept_visibly(interlock_database: Database) -> None:
    odd = tool("a\0b", "x\0y")
    assert await note(interlock_database, Report(new=("a\0b",)), odd) == ("a␀b",)
    assert (await seen(interlock_database))["a␀b"].definition["description"] == "x␀y"
    assert await note(interlock_database, Report(new=("a\0b",)), odd) == ()


def test_what_is_far_too_large_is_cut_and_says_so() -> None:
    huge = ToolDefinition(
        ToolRef("a", "b"), "t", "d" * 300_000, {"x": "i" * MAX_DEFINITION_BYTES}, {"y": "o" * MAX_DEFINITION_BYTES}
    )
    body = definition_body(huge)
    assert len(body["description"]) == 100_000
    assert set(body["input_schema"]) == set(body["output_schema"]) == {"too_large"}
    assert body["title"] == "t"
