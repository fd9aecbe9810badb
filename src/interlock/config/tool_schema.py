"""The shape of `tools:` in `interlock.yaml`: servers, how they are confined, and what is declared of their tools."""

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, field_validator, model_validator

from interlock.config.environment import is_header_name
from interlock.config.package_names import ALLOW_BUILD, is_requirement
from interlock.config.shapes import (
    ClassName,
    Name,
    PackageText,
    PositiveDurationS,
    RateText,
    Strict,
)

SandboxMode: TypeAlias = Literal["required", "preferred", "off"]
Builtin: TypeAlias = Literal["workspace", "shell", "sql", "http"]


class FallbackConfig(Strict):
    """Another tool that does the same, for when a tool is not there.

    It is only taken when it is of no higher class than the tool that it stands in for.

    Attributes:
        tool: `server.name`.
        args: its arguments, with `{name}` for an argument of the call; nothing here means the same arguments.
    """

    tool: str
    args: dict[str, Any] = {}


class ContractConfig(Strict):
    """What the operator declares of one tool; it wins over what the server says.

    Attributes:
        action_class: read, write or destructive; without it the classifier decides.
        egress: whether data can leave the machine; without it the classifier decides.
        control: arguments that decide where or on what the call acts.
        paths: arguments that name files.
        output: whether what it returns may be believed.
        idempotent: a repeat with the same key has no further effect.
        verify: how to find out whether a call took effect: `{tool, args, expect}`.
        inverse: a call that takes it back: `{tool, args}`.
        rate: calls of this tool by everyone together, such as `60/m burst 10`.
        cache: how long a result may be used again for an equal call of the same agent; reads only.
        fallbacks: equivalent tools for when this one is not there, the first one first.
        dry_run: arguments that make the server tell what a call would do without doing it, such as `{dry_run: true}`.
    """

    model_config = ConfigDict(populate_by_name=True)

    action_class: ClassName | None = Field(default=None, alias="class")
    egress: bool | None = None
    control: list[str] = []
    paths: list[str] = []
    output: Literal["trusted", "untrusted"] = "untrusted"
    idempotent: bool = False
    verify: dict[str, Any] | None = None
    inverse: dict[str, Any] | None = None
    rate: RateText | None = None
    cache: PositiveDurationS | None = None
    fallbacks: Annotated[list[FallbackConfig], Field(max_length=8)] = []
    dry_run: dict[str, Any] | None = None


class SandboxConfig(Strict):
    """How the process of a server is confined: a read-only machine, a private home and /tmp, no network.

    Attributes:
        mode: `required`, `preferred` or `off`; default: what the policy says. A policy of `required` can't be loosened.
        network: whether it may use the network, the loopback interface included.
        read: folders and files that it may read although they are hidden (below home folders), relative to interlock.yaml.
        write: folders and files that it may change.
        memory_mb: the most memory of one of its processes.
        processes: the most processes and threads that it may have.
    """

    mode: SandboxMode | None = None
    network: bool | None = None
    read: list[str] = []
    write: list[str] = []
    memory_mb: Annotated[int, Field(ge=64, le=1_048_576)] | None = None
    processes: Annotated[int, Field(ge=8, le=100_000)] | None = None


class BreakerConfig(Strict):
    """When a tool that keeps failing is left alone.

    Attributes:
        failures: in a row until its calls are refused.
        cooldown: how long until one call may try again; doubled each time it fails, up to ten minutes.
    """

    failures: Annotated[int, Field(ge=1, le=1000)] = 5
    cooldown: PositiveDurationS = 30.0


class SafeCallConfig(Strict):
    """A call that does no harm, by which `interlock tools test` sees whether a server works.

    Attributes:
        tool: its name at the server; it must be declared as a read.
        args: its arguments.
    """

    tool: Annotated[str, Field(min_length=1, max_length=512)]
    args: dict[str, Any] = {}


class ToolServerConfig(Strict):
    """One MCP server: one that comes with interlock, a command that speaks MCP over stdio, a package, or a URL.

    Without any of these it extends the server of that name in `.mcp.json` or `tools/`.

    Attributes:
        builtin: name of a server that comes with interlock.
        root: the folder of the built-in workspace or shell server, relative to interlock.yaml.
        database: what the built-in sql server may use: `sqlite:FILE` or a Postgres URL; values as in `env`.
        allow: hosts that the built-in http server may talk to: `api.example.com`, `*.example.com`, `localhost:8080`.
        credentials: headers that the built-in http server adds to requests to one host; values as in `env`.
        allow_private: the hosts that it may talk to may lie in private networks.
        ca_file: certificates that it trusts besides those of this machine, relative to interlock.yaml.
        command, args, cwd: as in `.mcp.json`; may hold `${NAME}` and `${NAME:-default}`.
        env: as in `.mcp.json`; may hold these too, or, whole, `secret://NAME`.
        package: what to install instead of a command: `pypi:NAME==VERSION` or `npm:NAME@VERSION`; `args` go along.
        overrides: requirements that the package is installed with, such as `mcp<2`, or for npm `zod@3`; with
            `--allow-build` among them, code of packages may run while they are installed.
        entry: the program or file of the package to start, when it has not exactly one.
        url: of a remote server that speaks Streamable HTTP; values as in `env`.
        headers: sent to it with each request; values as in `env`.
        transport: how to talk to `url`; `sse` is the form of 2024.
        required: without it a run that is granted its tools does not start.
        trusted_hints: its MCP hints may lower a class; by default they only raise.
        scope: `host` shares one process between all runs; `run` starts one for each run and ends it after it.
        staging: the server on which write and destructive calls are tried first.
        host: the machine that its files are on, by its name (`INTERLOCK_HOST`): tasks of agents that may see its tools
            run only there, and so does their undo. `first`: each task stays on the machine that begins it. Without it,
            every machine has the same files, as on a shared volume.
        start_timeout: how long it may take until it lists its tools.
        call_timeout: how long one call may take.
        idle_timeout: without a call for so long it is stopped, until it is needed again.
        max_age: after so long it is started anew, between calls.
        concurrency: calls under way at one time; more wait for their turn.
        sandbox: how its process is confined.
        breaker: when a tool of it that keeps failing is left alone.
        test: the call that `interlock tools test` makes; without it, a read that needs no arguments.
        contracts: by tool name.
    """

    builtin: Builtin | None = None
    root: str | None = None
    database: Annotated[str | None, Field(repr=False)] = None
    allow: list[str] = []
    credentials: Annotated[dict[str, dict[str, str]], Field(repr=False, max_length=64)] = {}
    allow_private: bool = False
    ca_file: str | None = None
    command: str | None = None
    args: list[str] = []
    env: Annotated[dict[str, str], Field(repr=False)] = {}
    cwd: str | None = None
    package: PackageText | None = None
    overrides: Annotated[list[str], Field(max_length=32)] = []
    entry: str | None = None
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$|\$\{|^secret://")] | None = None
    headers: Annotated[dict[str, str], Field(repr=False)] = {}
    transport: Literal["http", "sse"] = "http"
    required: bool = True
    trusted_hints: bool = False
    scope: Literal["host", "run"] = "host"
    staging: Name | None = None
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] | None = None
    start_timeout: PositiveDurationS = 60.0
    call_timeout: PositiveDurationS = 60.0
    idle_timeout: PositiveDurationS | None = None
    max_age: PositiveDurationS | None = None
    concurrency: Annotated[int, Field(ge=1, le=256)] = 64
    sandbox: SandboxConfig = SandboxConfig()
    breaker: BreakerConfig = BreakerConfig()
    test: SafeCallConfig | None = None
    contracts: dict[str, ContractConfig] = {}

    @field_validator("env", "headers")
    @classmethod
    def _names(cls, pairs: dict[str, str]) -> dict[str, str]:
        for name, value in pairs.items():
            if not name or "=" in name or "\0" in name + value:
                raise ValueError("found a name or value that no environment can hold; expected NAME: text")
        return pairs

    @field_validator("credentials")
    @classmethod
    def _hosts(cls, hosts: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for host, headers in hosts.items():
            if not re.fullmatch(r"[^\s=]+", host):
                raise ValueError(f"found the host '{host[:60]}'; expected one such as api.example.com")
            if not headers:
                raise ValueError(f"found no header for {host}; expected one such as Authorization: secret://NAME")
            for name in headers:
                if not is_header_name(name):
                    raise ValueError(f"found the header '{name[:60]}', which HTTP does not allow; expected its name")
        return hosts

    @field_validator("args", "command", "cwd", "root", "database", "allow", "package", "entry", "url", "ca_file")
    @classmethod
    def _no_zero(cls, value: list[str] | str | None) -> list[str] | str | None:
        if "\0" in "".join(value or ""):
            raise ValueError("found a zero character; expected a text without it")
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> "ToolServerConfig":
        fault = _two_kinds(self) or _missing_part(self) or _stray_part(self) or _bad_override(self)
        if fault:
            raise ValueError(fault)
        return self

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which of `builtin`, `command`, `package` and `url` are given; a good one has exactly one, or extends."""
        given = {"builtin": self.builtin, "command": self.command, "package": self.package, "url": self.url}
        return tuple(name for name, value in given.items() if value is not None)

    @property
    def extends(self) -> bool:
        """Whether it only adds to a server that is declared in `.mcp.json` or `tools/`."""
        return not self.kinds

    @property
    def remote(self) -> bool:
        """Whether it is reached over a URL, so that no process of it is ours."""
        return self.url is not None


_WHAT = {
    "root": "the folder that `builtin: {builtin}` may touch",
    "database": "the database that `builtin: {builtin}` may use",
    "allow": "the hosts that `builtin: {builtin}` may talk to",
}
_PART_OF = {
    "root": ("workspace", "shell"),
    "database": ("sql",),
    "allow": ("http",),
}
_MAY_HAVE = {"credentials": ("http",), "allow_private": ("http",), "ca_file": ("http",)}


def _two_kinds(server: ToolServerConfig) -> str | None:
    if len(server.kinds) > 1:
        return f"found both `{server.kinds[0]}` and `{server.kinds[1]}`; expected one of them"
    return None


def _missing_part(server: ToolServerConfig) -> str | None:
    for part, builtins in _PART_OF.items():
        if server.builtin in builtins and not getattr(server, part):
            return f"`{part}` is missing; expected {_WHAT[part].format(builtin=server.builtin)}"
    if server.command is not None and not server.command.strip():
        return "found an empty `command`; expected a program"
    return None


def _stray_part(server: ToolServerConfig) -> str | None:
    for part, builtins in {**_PART_OF, **_MAY_HAVE}.items():
        if getattr(server, part) and server.builtin not in builtins:
            return f"found `{part}` without `builtin: {builtins[0]}`; expected it beside it"
    if server.args and server.command is None and server.package is None:
        return "found `args` without `command`; expected the command that takes them"
    return None


def _bad_override(server: ToolServerConfig) -> str | None:
    if server.package is None:
        return None
    registry = server.package.partition(":")[0]
    expected = "zod@3" if registry == "npm" else "mcp<2"
    for text in server.overrides:
        if text != ALLOW_BUILD and not is_requirement(registry, text):
            return f"found the override '{text[:60]}'; expected one such as {expected}, or {ALLOW_BUILD}"
    return None
