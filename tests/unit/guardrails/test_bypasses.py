"""Nine known ways around a guard, and why each of them has no road here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import interlock

SRC = Path(interlock.__file__).parent


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(SRC.rglob("*.py")):
        yield path.relative_to(SRC), ast.parse(path.read_text())


def imports_of(library: str) -> dict[str, set[Path]]:
    """Each name that is imported from a library, with the files that do."""
    found: dict[str, set[Path]] = {}
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == library:
                for alias in node.names:
                    found.setdefault(f"{node.module}.{alias.name}", set()).add(path)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.split(".")[0] == library:
                        found.setdefault(alias.name, set()).add(path)
    return found


def words(*needles: str) -> dict[str, list[Path]]:
    """Identifiers and keyword arguments of the code that hold one of the words."""
    hits: dict[str, list[Path]] = {}
    for path, tree in modules():
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
        for name in names:
            if any(needle in name for needle in needles):
                hits.setdefault(name, []).append(path)
    return hits


def in_one_room(names: dict[str, set[Path]], room: str) -> bool:
    return all(path.parts[0] == room for paths in names.values() for path in paths)


def test_1_streaming_requests_have_no_code_path() -> None:
    assert not [name for name in imports_of("pydantic_ai") if "stream" in name.lower()]
    assert not words("request_stream", "model_request_stream", "compact_messages", "batch_create")


def test_2_the_direct_model_request_is_made_in_inference_only_and_sampling_is_not_offered() -> None:
    assert in_one_room(imports_of("pydantic_ai"), "inference")
    assert not words("sampling_handler", "sampling_callback", "sampling_model")


def test_3_no_agent_of_a_library_can_run_inside_a_tool() -> None:
    assert not [name for name in imports_of("pydantic_ai") if name.rsplit(".", 1)[-1] in ("Agent", "agent", "run")]


def test_4_there_are_no_output_functions() -> None:
    assert not [name for name in imports_of("pydantic_ai") if "Output" in name.rsplit(".", 1)[-1]]
    assert not words("output_tools", "output_type", "output_function")


def test_5_no_tool_runs_at_the_provider() -> None:
    given = [
        ast.unparse(keyword.value)
        for _, tree in modules()
        for keyword in ast.walk(tree)
        if isinstance(keyword, ast.keyword) and keyword.arg in ("native_tools", "builtin_tools")
    ]
    assert set(given) <= {"[]"}, given


def test_6_and_7_no_capabilities_or_hooks_can_rewrite_arguments_or_skip_execution() -> None:
    names = [name for name in imports_of("pydantic_ai") if "capabilit" in name or "toolset" in name or "Skip" in name]
    assert not names


def test_8_and_9_no_deferred_tools_so_nothing_approves_inline() -> None:
    assert not [name for name in imports_of("pydantic_ai") if "Deferred" in name or "Approv" in name]


def test_only_the_gate_can_reach_a_tool_or_a_model() -> None:
    users: dict[str, set[str]] = {"interlock.tools": set(), "interlock.inference": set()}
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in users:
                users[node.module].add(path.parts[0])
    # `app` only wires; `cli` may check playbooks through app. Nobody else, and certainly no agent or orchestrator.
    assert users["interlock.tools"] <= {"guardrails", "app", "testing", "tools"}
    assert users["interlock.inference"] <= {"guardrails", "app", "testing", "inference"}


def test_a_call_of_a_tool_is_sent_from_one_place() -> None:
    callers = set()
    for path, tree in modules():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "call"
                and "toolbox" in ast.unparse(node.func.value)
            ):
                callers.add(str(path))
    # The tool host is the other end of the socket that these write to.
    assert callers <= {
        "guardrails/execute.py",
        "guardrails/trial.py",
        "tools/snapshots.py",
        "tools/host/serving.py",
    }
