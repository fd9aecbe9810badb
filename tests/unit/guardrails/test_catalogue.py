"""Agents with very many tools see two; what they find is called under its own name."""

import pytest

from interlock.guardrails import catalogue
from interlock.model import CallProposal, ModelAnswer, ToolDefinition, ToolRef, UserError


def tool(name: str, description: str, server: str = "s", **parameters: object) -> ToolDefinition:
    return ToolDefinition(ToolRef(server, name), None, description, {"type": "object", "properties": parameters})


TOOLS = [
    tool("create_issue", "Create an issue in a repository.", "hub", title={}, body={}),
    tool("list_issues", "List the issues of a repository.", "hub", state={}),
    tool("delete_branch", "Delete a branch of a repository.", "hub", branch={}),
    tool("send_message", "Send a message to a channel.", "chat", channel={}, text={}),
    tool("get_weather", "Tell the weather at a place.", "sky", place={}),
    *(tool(f"noise_{number}", "Turn the knob of a machine.", "plant") for number in range(40)),
]


def test_a_few_tools_are_shown_as_they_are_and_many_by_a_pair() -> None:
    assert not catalogue.is_large(TOOLS[:40])
    assert catalogue.is_large(TOOLS)
    search, call = catalogue.pair(TOOLS)
    assert [search.ref.model_name, call.ref.model_name] == ["interlock__tool_search", "interlock__tool_call"]
    assert "plant (40)" in search.description


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("create a new issue", "create_issue"),
        ("list issues", "list_issues"),
        ("remove a branch", "delete_branch"),
        ("post to channel", "send_message"),
        ("weather", "get_weather"),
    ],
)
def test_a_search_finds_what_fits_best(query: str, first: str) -> None:
    assert catalogue.search(TOOLS, query)[0].ref.name == first


def test_a_search_is_stable_and_finds_nothing_where_nothing_fits() -> None:
    assert catalogue.search(TOOLS, "knob", 3) == catalogue.search(list(reversed(TOOLS)), "knob", 3)
    assert catalogue.search(TOOLS, "zebra") == []
    assert "No tool fits" in catalogue.answer_search(TOOLS, {"query": "zebra"}).text


@pytest.mark.parametrize("args", [{}, {"query": " "}, {"query": "x", "limit": 0}, {"query": "x", "limit": True}])
def test_a_search_that_asks_for_nothing_is_refused(args: dict[str, object]) -> None:
    with pytest.raises(UserError):
        catalogue.answer_search(TOOLS, args)


def test_a_call_by_way_of_the_pair_is_the_inner_call() -> None:
    calls = (
        CallProposal(str(catalogue.CALL), {"name": "hub__delete_branch", "args": {"branch": "x"}}, "why"),
        CallProposal(str(catalogue.CALL), {"name": "hub.list_issues"}, ""),
        CallProposal(str(catalogue.CALL), {"name": "rm -rf"}, ""),
        CallProposal(str(catalogue.SEARCH), {"query": "x"}, ""),
    )
    answer = catalogue.unfold(ModelAnswer("", calls, "m"), TOOLS)
    assert [(call.tool, call.args) for call in answer.calls] == [
        ("hub.delete_branch", {"branch": "x"}),
        ("hub.list_issues", {}),
        ("rm -rf", {}),
        ("interlock.tool_search", {"query": "x"}),
    ]


def test_names_for_models_fit_every_provider_and_are_never_shared() -> None:
    odd = [ToolRef("s", name) for name in ("a.b", "a/b", "a b", "a_b", "ä_b", "x" * 80, "x" * 80 + "y")]
    names = [ref.model_name for ref in odd]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 64 and name.replace("-", "_").isascii() for name in names)
    assert names[3] == "s__a_b"
