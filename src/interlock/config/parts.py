"""What of a configuration is applied for all machines, and what each machine must have by itself.

Agents, models, rules, schedules, triggers, contracts of tools and settings come from the version that was applied. What
tool servers are started with (programs, folders, variables, code) is a machine's own: there is nothing to run elsewhere.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from interlock.config.secrets import SECRET
from interlock.model import canonical_sha256

HIDDEN = "(not stored)"
CODE = "code_sha256"
SANDBOX = "policy.sandbox"
# What the gate judges by; everything else of a tool server is what its process is started with.
OF_ALL = frozenset({"contracts", "required", "trusted_hints", "staging", "host", "breaker", "test"})
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_PASSWORD = re.compile(r"(?<=://)[^/\s@]+(?=@)|(?i:(?<=password=))[^\s'&]+")
_SECRET_NAME = re.compile(r"(?i)key|token|secret|password|passwd|auth")
_VALUES = ("env", "headers")
_TEXTS = ("url", "database", "command", "cwd")


def own_parts(config: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of what a machine must have by itself, by tool server; see `stored_form` for the argument's shape."""
    parts = {
        name: canonical_sha256({key: value for key, value in server.items() if key not in OF_ALL})
        for name, server in config["tools"].items()
    }
    return {**parts, SANDBOX: canonical_sha256(config["policy"]["sandbox"])}


def stored_form(config: Mapping[str, Any], playbooks: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as it is stored: without values that may be secrets, with playbooks, and with `own_parts`.

    Args:
        config: as JSON, with the hash of a script's code as `code_sha256` of its server, and nothing of this machine.
        playbooks: their data by name.
    """
    tools = {name: _shown(server) for name, server in config["tools"].items()}
    return {**config, "tools": tools, "playbooks": dict(playbooks), "own": own_parts(config)}


def _shown(server: Mapping[str, Any]) -> dict[str, Any]:
    """A tool server without its secrets: of variables and headers only references stay."""
    shown = {key: value for key, value in server.items() if key != CODE}
    for key in _VALUES:
        shown[key] = {name: _reference(value) for name, value in server[key].items()}
    shown["credentials"] = {
        host: {name: _reference(value) for name, value in headers.items()}
        for host, headers in server["credentials"].items()
    }
    for key in _TEXTS:
        if server[key] is not None:
            shown[key] = _PASSWORD.sub(HIDDEN, server[key])
    shown["args"] = [_argument(text, before) for before, text in pairwise(["", *server["args"]])]
    return shown


def _reference(value: str) -> str:
    """A value that only refers to a secret; any other may be one."""
    return value if value.startswith(SECRET) or (_REFERENCE.search(value) and ":-" not in value) else HIDDEN


def _argument(text: str, before: str) -> str:
    """An argument as it may be stored: of `--key=VALUE` and `--key VALUE` only the name stays where it tells of a secret."""
    name, mark, value = text.partition("=")
    if _REFERENCE.search(value or text) and ":-" not in text:
        return text
    if mark and _SECRET_NAME.search(name):
        return f"{name}={HIDDEN}"
    if before.startswith("-") and "=" not in before and _SECRET_NAME.search(before):
        return HIDDEN
    return _PASSWORD.sub(HIDDEN, text)
