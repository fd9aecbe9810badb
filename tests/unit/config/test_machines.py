"""Which machine the tasks of an agent are bound to."""

from typing import Any

import pytest

from interlock.config import Config, host_of

TOOLS = {
    "shared": {"builtin": "workspace", "root": "a"},
    "fixed": {"builtin": "workspace", "root": "b", "host": "alpha"},
    "own": {"builtin": "workspace", "root": "c", "host": "first"},
}


@pytest.mark.parametrize(
    ("agent", "host"),
    [
        ({"tools": ["shared.*"]}, None),
        ({"tools": ["fixed.read"]}, "alpha"),
        ({"tools": ["own.*", "shared.*"]}, "first"),
        ({"tools": ["own.*", "fixed.*"]}, "alpha"),
        ({"tools": ["shared.*"], "verify": [{"tool": "fixed.read"}]}, "alpha"),
        ({"tools": ["shared.*"], "verify": [{"file": "x", "server": "own"}]}, "first"),
        ({"tools": ["shared.*"], "verify": [{"judge": "judge"}]}, "alpha"),
    ],
)
def test_a_task_is_bound_by_all_that_its_agent_checks_and_judges_may_use(
    agent: dict[str, Any], host: str | None
) -> None:
    config = Config.model_validate({"tools": TOOLS, "agents": {"a": agent, "judge": {"tools": ["fixed.*"]}}})
    assert host_of(config.agents["a"], config) == host
