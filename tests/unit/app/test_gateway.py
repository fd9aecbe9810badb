"""Names of tools for agents outside: short enough, unique, and the same whatever else is listed."""

from hypothesis import given
from hypothesis import strategies as st

from interlock.app.gateway import public_names, state_key_of
from interlock.model import MODEL_NAME_LIMIT, ToolDefinition, ToolRef


def tool(server: str, name: str, *, internal: bool = False) -> ToolDefinition:
    return ToolDefinition(ToolRef(server, name), None, "", {"type": "object"}, internal=internal)


REFS = st.builds(ToolRef, st.from_regex(r"[a-z0-9-]{1,12}", fullmatch=True), st.text("ab_.-", min_size=1, max_size=90))


@given(st.data(), st.lists(REFS, unique=True, max_size=20))
def test_names_are_short_unique_sorted_and_in_no_order_s_favour(data: st.DataObject, refs: list[ToolRef]) -> None:
    tools = [tool(ref.server, ref.name) for ref in refs]
    named = public_names(tools)
    names = [name for name, _ in named]
    assert names == sorted(set(names))
    assert len(names) == len(tools)
    assert all(len(name) <= MODEL_NAME_LIMIT for name in names)
    assert public_names(data.draw(st.permutations(tools))) == named


def test_a_name_that_is_taken_on_purpose_gives_both_a_longer_one() -> None:
    long = tool("files", "x" * 100)
    thief = tool("files", long.ref.model_name.removeprefix("files__"))
    assert long.ref.model_name == thief.ref.model_name
    names = {definition.ref: name for name, definition in public_names([long, thief])}
    assert len(set(names.values())) == 2
    assert long.ref.model_name not in names.values()
    assert public_names([long]) == [(long.ref.model_name, long)], "alone it has its usual name"


def test_what_belongs_to_the_gate_is_not_listed() -> None:
    assert public_names([tool("workspace", "snapshot", internal=True)]) == []


def test_the_key_for_clients_tells_nothing_of_the_one_for_the_database() -> None:
    key = state_key_of(b"k" * 32)
    assert len(key) == 32
    assert key != b"k" * 32
    assert key == state_key_of(b"k" * 32) != state_key_of(b"l" * 32)
