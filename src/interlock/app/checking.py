"""A project folder, checked as far as it can be without starting anything."""

from collections.abc import Mapping
from pathlib import Path

from interlock.config import Project, load_project
from interlock.guardrails import Policy, refuse_unsafe_checks
from interlock.inference import check_playbook


def check_project(folder: Path, env: Mapping[str, str]) -> Project:
    """Read the configuration, the policy and every playbook.

    Raises:
        ConfigError: a file is wrong; one line `file:line: key: found; expected …` per fault.
        PolicyError: a rule is wrong.
        PlaybookError: a playbook is wrong.
    """
    project = load_project(folder, env)
    Policy(project.config.policy)
    refuse_unsafe_checks(project.config.tools)
    for path in project.playbooks.values():
        check_playbook(path)
    return project
