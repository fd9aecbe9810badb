"""`.mcp.json`: the `mcpServers` block that people already have, read as it is.

Texts keep their `${NAME}` and `secret://NAME` references: they are followed when a server is started, so that no
secret reaches a record of ours. Keys that mean something to another program only are passed over and told.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from interlock.config.json_marks import json_document
from interlock.config.problems import Problem, found_words, quoted, refuse
from interlock.config.tool_schema import ToolServerConfig
from interlock.config.yaml_marks import Loc, Locator
from interlock.config.yaml_models import shape_problems
from interlock.model import ConfigError

_STDIO_KEYS = ("command", "args", "env", "cwd")
_URL_KEYS = ("httpUrl", "url", "serverUrl")
_HTTP_TYPES = frozenset({"http", "streamable-http", "streamablehttp", "streamable_http"})
_ALWAYS_KNOWN = frozenset({"type", "disabled"})
_NAME_CHARS = 63


@dataclass(frozen=True)
class McpServers:
    """What `.mcp.json` gives.

    Attributes:
        servers: stdio and remote servers by their name here.
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
    """Read the servers of a `.mcp.json`; disabled ones and those of an unknown type are noted as skipped.

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
        fields = _remote_fields(entry) if _is_remote(entry) else _stdio_fields(entry)
        ignored = sorted(key for key in entry if key not in fields.taken and key not in _ALWAYS_KNOWN)
        if ignored:
            self.note(loc, "has no effect here: " + ", ".join(quoted(key) for key in ignored[:10]))
        self._server(name, fields, loc)

    def _claim_name(self, raw_name: str, loc: Loc) -> str | None:
        """What is wrong with a name, if anything; a good one is taken."""
        name, locs = server_name(raw_name), self.found.locs
        if not name or len(name) > _NAME_CHARS:
            return f"the name can't be used; expected letters, digits and '-', at most {_NAME_CHARS} of them"
        if name in locs:
            return f"is called '{name}' here, like {quoted(str(locs[name][-1]))}; expected names that differ"
        locs[name] = loc
        return None

    def _server(self, name: str, fields: "_Fields", loc: Loc) -> None:
        locate = self.found.locate
        if fields.missing:
            key, expected = fields.missing
            self.problems.append(locate.problem((*loc, key), f"missing; expected {expected}"))
            return
        try:
            self.found.servers[name] = ToolServerConfig.model_validate(fields.values)
        except ValidationError as error:
            self.problems += shape_problems(error, ToolServerConfig, locate, loc)


@dataclass(frozen=True)
class _Fields:
    """What an entry gives in our words.

    Attributes:
        values: fields of a `ToolServerConfig`.
        taken: keys of the entry that have an effect.
        missing: the key that should be there, and what was expected of it.
    """

    values: dict[str, Any]
    taken: frozenset[str]
    missing: tuple[str, str] | None = None


def _skip_reason(entry: dict[str, Any]) -> str | None:
    if entry.get("disabled") is True:
        return "it is disabled"
    kind = entry.get("type")
    if kind is None or (isinstance(kind, str) and kind.lower() in {"stdio", "sse", *_HTTP_TYPES}):
        return None
    return f"servers of type {found_words(kind, private=not isinstance(kind, str))} are not supported here"


def _is_remote(entry: dict[str, Any]) -> bool:
    """The type says it; without one, a command does."""
    kind = entry.get("type")
    if kind is None:
        return entry.get("command") is None and any(entry.get(key) is not None for key in _URL_KEYS)
    return str(kind).lower() != "stdio"


def _stdio_fields(entry: dict[str, Any]) -> _Fields:
    values = {key: entry[key] for key in _STDIO_KEYS if entry.get(key) is not None}
    missing = None if "command" in values else ("command", "the program to start, or the url of a remote server")
    return _Fields(values, frozenset(_STDIO_KEYS), missing)


def _remote_fields(entry: dict[str, Any]) -> _Fields:
    key = next((key for key in _URL_KEYS if entry.get(key) is not None), None)
    if key is None:
        return _Fields({}, frozenset(), ("url", "the address of the server"))
    values = {"url": entry[key], "transport": _transport(entry, key)}
    if entry.get("headers") is not None:
        values["headers"] = entry["headers"]
    return _Fields(values, frozenset({key, "headers"}))


def _transport(entry: dict[str, Any], key: str) -> str:
    """What the type says; without one, an address that ends in `/sse` is one of the older kind."""
    kind = entry.get("type")
    if kind is not None:
        return "sse" if str(kind).lower() == "sse" else "http"
    try:
        path = urlsplit(str(entry[key])).path
    except ValueError:
        return "http"
    return "sse" if key != "httpUrl" and path.rstrip("/").endswith("/sse") else "http"
