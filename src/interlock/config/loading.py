"""A project folder as one checked configuration: interlock.yaml, policy.yaml, .mcp.json, tools/ and playbooks/.

Nothing here starts anything or writes anything; the environment is only asked which variables are set.
"""

import hashlib
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlock.config.checks import PlacedRule, config_problems, rule_notes, rule_problems
from interlock.config.environment import missing_names
from interlock.config.fault_parts import Known
from interlock.config.mcp_json import McpServers, read_mcp_json, server_name
from interlock.config.parts import CODE, stored_form
from interlock.config.problems import Problem, quoted, refuse
from interlock.config.schema import Config, PolicyConfig
from interlock.config.secrets import SECRET, Secrets
from interlock.config.settings import Settings
from interlock.config.tool_schema import SandboxMode, ToolServerConfig
from interlock.config.yaml_marks import Locator, yaml_document
from interlock.config.yaml_models import validate_at
from interlock.model import ConfigError, PlaybookError, PolicyError, canonical_sha256

CONFIG_FILE, POLICY_FILE, MCP_FILE = "interlock.yaml", "policy.yaml", ".mcp.json"
MAX_FILES = 256
_MAX_TOOL_BYTES = 4 * 1024 * 1024
_BASE_ONLY = frozenset({"builtin", "root", "database", "allow", "command", "args", "package", "url"})
_STRICTNESS: tuple[SandboxMode, ...] = ("off", "preferred", "required")


@dataclass(frozen=True)
class MissingVariable:
    """An environment variable without default that a tool server needs and that is not set."""

    server: str
    name: str


@dataclass(frozen=True)
class Project:
    """A user's project folder, read and checked.

    Attributes:
        folder: absolute.
        config: the effective configuration; `config.tools` has every server, `config.policy` every rule.
        config_path: interlock.yaml; None if there is none and the defaults hold.
        playbooks: files by stem.
        notes: what was passed over or will be missed, a sentence each, with file and line.
        sha256: hash of all that decides what agents do (see `load_project`).
        sources: the file that declares each server, relative to the folder.
        stored: the configuration as it is stored as a version, without anything that may be a secret.
    """

    folder: Path
    config: Config
    config_path: Path | None
    playbooks: dict[str, Path]
    notes: tuple[str, ...]
    sha256: str
    sources: dict[str, str]
    stored: dict[str, Any] = field(repr=False)

    def missing_env(self, env: Mapping[str, str]) -> tuple[MissingVariable, ...]:
        """Variables that the tool servers refer to without a default and `env` has not."""
        return missing_env(self.config, env)


def load_project(folder: Path, env: Mapping[str, str]) -> Project:
    """Read and check everything in a project folder.

    The hash covers the configuration with every server and rule, the playbooks' data and the code in `tools/`; not
    where the database, this folder or the Python interpreter is, not comments, and never the environment's values.

    Args:
        folder: the project folder; every file in it is optional.
        env: the environment, to note variables that are missing.

    Raises:
        ConfigError: a file is wrong; one line `file:line: key.path: found; expected …` per fault.
        PolicyError: the same, of policy rules.
        PlaybookError: the same, of a playbook that is no YAML mapping.
    """
    folder = folder.absolute()
    names = _listed(folder)
    for wrong, right in (("interlock.yml", CONFIG_FILE), ("policy.yml", POLICY_FILE)):
        if wrong in names:
            raise ConfigError(f"{folder / wrong}: found this name; expected {right}", hint=f"mv {wrong} {right}")
    config, locate = _config(folder, names)
    mcp_path = folder / MCP_FILE
    mcp = read_mcp_json(mcp_path) if MCP_FILE in names else McpServers({}, {}, (), {}, Locator(mcp_path))
    scripts = _scripts(folder, names)
    playbooks, played = _playbooks(folder, names)

    servers, sources = _merge_servers(config, locate, mcp, scripts)
    merged = config.model_copy(update={"tools": servers})
    known = Known(frozenset(servers), mcp.skipped, frozenset(playbooks))
    rules, sandbox = _policy(config, locate, folder, names)
    policy = PolicyConfig(sandbox=sandbox, rules=[placed.rule for placed in rules])
    merged = merged.model_copy(update={"policy": policy})
    problems = config_problems(merged, known, locate)
    if problems:
        refuse(locate.path, problems, ConfigError)
    notes = [*mcp.notes, *_playbook_notes(folder, names)]
    notes += [problem.render(Path(where.path.name)) for where, problem in rule_notes(rules, merged, known)]
    notes += [f"tool server {gap.server} needs {gap.name}, which is not set" for gap in missing_env(merged, env)]
    notes += _secret_notes(merged, env)
    content = _content(merged, scripts, sources)
    hashes = {stem: canonical_sha256(data) for stem, data in played.items()}
    return Project(
        folder=folder,
        config=merged,
        config_path=locate.path if CONFIG_FILE in names else None,
        playbooks=playbooks,
        notes=tuple(notes),
        sha256=canonical_sha256({"version": 1, "config": content, "playbooks": hashes}),
        sources=sources,
        stored=stored_form(content, played),
    )


def missing_env(config: Config, env: Mapping[str, str]) -> tuple[MissingVariable, ...]:
    """Variables that tool servers refer to without a default and `env` has not, once per server."""
    found: dict[MissingVariable, None] = {}
    for name, server in config.tools.items():
        for text in _texts(server):
            found.update({MissingVariable(name, variable): None for variable in missing_names(text, env)})
    return tuple(found)


def _texts(server: ToolServerConfig) -> tuple[str, ...]:
    """All that may hold `${NAME}` or `secret://NAME`."""
    single = (server.command, server.cwd, server.database, server.url, server.ca_file)
    given = tuple(text for text in single if text is not None)
    credentials = (text for headers in server.credentials.values() for text in headers.values())
    hosts = (*server.allow, *server.credentials)
    return (*given, *server.args, *server.env.values(), *server.headers.values(), *credentials, *hosts)


def _secret_notes(config: Config, env: Mapping[str, str]) -> list[str]:
    """What is said of each secret that a server or a trigger refers to and that is not there; no value is kept."""
    named = [
        (f"tool server {name}", text)
        for name, server in config.tools.items()
        for text in _texts(server)
        if text.startswith(SECRET)
    ]
    named += [(f"trigger {name}", trigger.secret) for name, trigger in config.triggers.items()]
    if not named:
        return []
    where = {"INTERLOCK_HOME": env["INTERLOCK_HOME"]} if "INTERLOCK_HOME" in env else {}
    secrets = Secrets(Settings.from_env(where).home, env)
    notes: dict[str, None] = {}
    for user, text in named:
        try:
            secrets.value_of(text)
        except ConfigError as error:
            notes[f"{user} needs {text}: {error.message}"] = None
    return list(notes)


def _listed(folder: Path) -> frozenset[str]:
    """The names in a folder. Listing, not probing: a file that can't be reached is then an error, not absent."""
    try:
        return frozenset(path.name for path in folder.iterdir())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable folder name"
        raise ConfigError(f"{folder}: the project folder can't be read: {reason}", hint="interlock init") from error


def _config(folder: Path, names: frozenset[str]) -> tuple[Config, Locator]:
    path = folder / CONFIG_FILE
    if CONFIG_FILE not in names:
        return Config(), Locator(path)
    data, locate = yaml_document(path, ConfigError)
    return validate_at(data, Config, locate, ConfigError), locate


def _policy(
    config: Config, locate: Locator, folder: Path, names: frozenset[str]
) -> tuple[list[PlacedRule], SandboxMode]:
    """The rules of both files, checked together, and what the stricter of the two says of the sandbox."""
    rules = [PlacedRule(rule, locate, ("policy", "rules", n)) for n, rule in enumerate(config.policy.rules)]
    said = [config.policy]
    if POLICY_FILE in names:
        data, place = yaml_document(folder / POLICY_FILE, PolicyError)
        policy = validate_at(data, PolicyConfig, place, PolicyError)
        rules += [PlacedRule(rule, place, ("rules", n)) for n, rule in enumerate(policy.rules)]
        said.append(policy)
    faults: dict[Path, list[Problem]] = {}
    for where, problem in rule_problems(rules):
        faults.setdefault(where.path, []).append(problem)
    for path, problems in faults.items():
        refuse(path, problems, PolicyError)
    modes = [part.sandbox for part in said if "sandbox" in part.model_fields_set] or [config.policy.sandbox]
    return rules, max(modes, key=_STRICTNESS.index)


@dataclass(frozen=True)
class _Script:
    path: Path
    sha256: str
    server: ToolServerConfig


def _files(folder: Path, names: frozenset[str], below: str, suffix: str) -> list[Path]:
    """The files of a sub-folder with this suffix, in order; those that begin with `_` or `.` are private."""
    inner = folder / below
    if below not in names or not inner.is_dir():
        return []
    found = sorted(name for name in _listed(inner) if name.endswith(suffix) and name[0] not in "_.")
    if len(found) > MAX_FILES:
        raise ConfigError(f"{inner}: found {len(found)} files; expected at most {MAX_FILES}")
    return [inner / name for name in found]


def _scripts(folder: Path, names: frozenset[str]) -> dict[str, _Script]:
    """The user's own tools: each file of `tools/` is a server that this Python runs."""
    found: dict[str, _Script] = {}
    for path in _files(folder, names, "tools", ".py"):
        name = server_name(path.stem)
        if not name or len(name) > 63:
            raise ConfigError(f"{path}: the name can't be a server's; expected letters, digits and '-' or '_'")
        if name in found:
            raise ConfigError(f"{path}: is called '{name}' like {found[name].path.name}; expected names that differ")
        server = ToolServerConfig(command=sys.executable, args=[str(path)], cwd=str(folder))
        found[name] = _Script(path, _code_sha256(path), server)
    return found


def _code_sha256(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{path}: is no regular file; expected a Python file")
        with path.open("rb") as file:
            code = file.read(_MAX_TOOL_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    if len(code) > _MAX_TOOL_BYTES:
        raise ConfigError(f"{path}: is larger than 4 MiB; expected a smaller file")
    return hashlib.sha256(code).hexdigest()


def _playbooks(folder: Path, names: frozenset[str]) -> tuple[dict[str, Path], dict[str, Any]]:
    """The playbooks by stem, and each one's data."""
    paths = {path.stem: path for path in _files(folder, names, "playbooks", ".yaml")}
    return paths, {stem: yaml_document(path, PlaybookError).data for stem, path in paths.items()}


def _playbook_notes(folder: Path, names: frozenset[str]) -> list[str]:
    wrong = _files(folder, names, "playbooks", ".yml")
    return [f"playbooks/{path.name}: passed over; expected the ending .yaml" for path in wrong]


def _merge_servers(
    config: Config, locate: Locator, mcp: McpServers, scripts: dict[str, _Script]
) -> tuple[dict[str, ToolServerConfig], dict[str, str]]:
    """Every server by name, and the file that declares it. An entry of no kind extends one declared elsewhere.

    Raises:
        ConfigError: two files declare the same name, or an entry extends nothing.
    """
    twice = [
        mcp.locate.problem(mcp.locs[name], f"{name} is also declared by tools/{scripts[name].path.name}; expected one")
        for name in mcp.servers
        if name in scripts
    ]
    if twice:
        refuse(mcp.locate.path, twice, ConfigError)
    servers = {**mcp.servers, **{name: script.server for name, script in scripts.items()}}
    sources = dict.fromkeys(mcp.servers, MCP_FILE)
    sources |= {name: f"tools/{script.path.name}" for name, script in scripts.items()}
    problems: list[Problem] = []
    for name, entry in config.tools.items():
        fault = _fault_of(name, entry, sources, mcp.skipped)
        if fault:
            problems.append(locate.problem(("tools", name), fault))
        elif entry.extends:
            servers[name] = _extended(servers[name], entry)
        else:
            servers[name] = entry
            sources[name] = CONFIG_FILE
    if problems:
        refuse(locate.path, problems, ConfigError)
    ordered = sorted(servers)
    return {name: servers[name] for name in ordered}, {name: sources[name] for name in ordered}


def _fault_of(name: str, entry: ToolServerConfig, sources: dict[str, str], skipped: Mapping[str, str]) -> str | None:
    if not entry.extends:
        if name not in sources:
            return None
        kind = entry.kinds[0]
        return f"is also declared by {sources[name]}; expected no `{kind}` here, which then extends it"
    if name in sources:
        return None
    if name in skipped:
        return f"extends a server of {MCP_FILE} that can't be used: {skipped[name]}"
    return (
        "found none of `builtin`, `command`, `package` and `url`; expected one of them, "
        f"or a server {quoted(name)} in {MCP_FILE} or tools/ that it extends"
    )


def _extended(base: ToolServerConfig, entry: ToolServerConfig) -> ToolServerConfig:
    given = {name: getattr(entry, name) for name in entry.model_fields_set - _BASE_ONLY}
    update = {name: value for name, value in given.items() if value is not None}
    joined = {"env": {**base.env, **entry.env}, "headers": {**base.headers, **entry.headers}}
    return base.model_copy(update={**update, **joined})


def _content(config: Config, scripts: dict[str, _Script], sources: dict[str, str]) -> dict[str, Any]:
    """The configuration as JSON, without where the database, this folder or the Python interpreter is."""
    content: dict[str, Any] = config.model_dump(mode="json", by_alias=True, exclude={"database"})
    for name, script in scripts.items():
        here = {"command": "python", "args": [sources[name]], CODE: script.sha256}
        given_cwd = content["tools"][name]["cwd"]
        here["cwd"] = "" if given_cwd == script.server.cwd else given_cwd
        content["tools"][name] |= here
    return content
