"""`.mcp.json`: the `mcpServers` block that people already have, read as it is.

Texts keep their `${NAME}` references: they are expanded when a server is started, so that no secret reaches a
record of ours. Keys that mean something to another program only are passed over and told.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from interlock.config.json_marks import json_document
from interlock.config.problems import Problem, found_words, quoted, refuse
from interlock.config.tool_schema import ToolServerConfig
from interlock.config.yaml_marks import Loc, Locator
from interlock.config.yaml_models import shape_problems
from interlock.model import ConfigError

_STDIO_KEYS = ("command", "args", "env", "cwd")
_REMOTE_KEYS = ("url", "serverUrl", "httpUrl")
_KNOWN_KEYS = frozenset({*_STDIO_KEYS, "type", "disabled", "headers"})
_NAME_CHARS = 63


@dataclass(frozen=True)
class McpServers:
    """What `.mcp.json` gives.

    Attributes:
        servers: stdio servers by their name here.
        skipped: why a server of that name can't be used, by its name here.
        notes: what was passed over, a line each, without any value of the file.
        locs: where each name stands in the file.
        locate: finds lines in it.
    """

    servers: dict[str, ToolServerConfig]
    skipped: dict[str, str]
    notes: tuple[str, ...]
    locs: dict[str, Loc]
    locate: Locator


def server_name(text: str) -> str:
    """A server's name in our form, `[a-z0-9-]+`: small letters, anything else as one dash; may come out empty."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def read_mcp_json(path: Path) -> McpServers:
    """Read the stdio servers of a `.mcp.json`; remote and disabled ones are noted as skipped.

    Raises:
        ConfigError: the file is no such JSON, a server is not usable, or two names become the same one.
    """
    data, locate = json_document(path)
    block = data.get("mcpServers", {})
    reading = _Reading(McpServers({}, {}, (), {}, locate), [], [])
    if not isinstance(block, dict):
        what = found_words(block, private=True)
        refuse(path, [locate.problem(("mcpServers",), f"found {what}; expected a mapping of servers")], ConfigError)
    if "mcpServers" not in data and data:
        reading.note((), "no mcpServers block, so it adds no tool server")
    for raw_name, entry in block.items():
        reading.entry(raw_name, entry)
    if reading.problems:
        refuse(path, reading.problems, ConfigError)
    found = reading.found
    return McpServers(found.servers, found.skipped, tuple(reading.notes), found.locs, locate)


@dataclass
class _Reading:
    found: McpServers
    problems: list[Problem]
    notes: list[str]

    def note(self, loc: Loc, text: str) -> None:
        locate = self.found.locate
        self.notes.append(locate.problem(loc, text).render(Path(locate.path.name)))

    def entry(self, raw_name: str, entry: Any) -> None:
        loc: Loc = ("mcpServers", raw_name)
        problem = self._claim_name(raw_name, loc)
        if problem is None and not isinstance(entry, dict):
            problem = f"found {found_words(entry, private=True)}; expected a mapping with a command"
        if problem is not None:
            self.problems.append(self.found.locate.problem(loc, problem))
            return
        name = server_name(raw_name)
        reason = _skip_reason(entry)
        if reason:
            self.found.skipped[name] = reason
            self.note(loc, f"skipped: {reason}")
            return
        if name != raw_name:
            self.note(loc, f"called {name} here")
        ignored = sorted(key for key in entry if key not in _KNOWN_KEYS)
        if ignored:
            self.note(loc, "has no effect here: " + ", ".join(quoted(key) for key in ignored[:10]))
        self._server(name, {key: entry[key] for key in _STDIO_KEYS if entry.get(key) is not None}, loc)

    def _claim_name(self, raw_name: str, loc: Loc) -> str | None:
        """What is wrong with a name, if anything; a good one is taken."""
        name, locs = server_name(raw_name), self.found.locs
        if not name or len(name) > _NAME_CHARS:
            return f"the name can't be used; expected letters, digits and '-', at most {_NAME_CHARS} of them"
        if name in locs:
            return f"is called '{name}' here, like {quoted(str(locs[name][-1]))}; expected names that differ"
        locs[name] = loc
        return None

    def _server(self, name: str, fields: dict[str, Any], loc: Loc) -> None:
        locate = self.found.locate
        if "command" not in fields:
            self.problems.append(locate.problem((*loc, "command"), "missing; expected the program to start"))
            return
        try:
            self.found.servers[name] = ToolServerConfig.model_validate(fields)
        except ValidationError as error:
            self.problems += shape_problems(error, ToolServerConfig, locate, loc)


def _skip_reason(entry: dict[str, Any]) -> str | None:
    if entry.get("disabled") is True:
        return "it is disabled"
    kind = entry.get("type")
    if kind not in (None, "stdio"):
        return f"servers of type {found_words(kind, private=not isinstance(kind, str))} are not supported here"
    if entry.get("command") is None and any(entry.get(key) for key in _REMOTE_KEYS):
        return "remote servers (url) are not supported here"
    return None
