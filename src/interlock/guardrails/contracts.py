"""What is declared of a tool: by the operator, else by us for the servers that come with interlock."""

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from interlock.config import ContractConfig, ToolServerConfig
from interlock.model import ActionClass, ConfigError, ToolContract, ToolRef, UserError

_READ, _WRITE, _DESTRUCTIVE = ActionClass.READ, ActionClass.WRITE, ActionClass.DESTRUCTIVE


def _read(*control: str) -> ToolContract:
    return ToolContract(_READ, egress=False, control=control)


def _change(action_class: ActionClass, *paths: str) -> ToolContract:
    return ToolContract(action_class, egress=False, control=paths, paths=paths, snapshot=True)


BUILTIN: dict[str, dict[str, ToolContract]] = {
    "workspace": {
        "list": _read("path"),
        "read": _read("path"),
        "search": _read("path"),
        "write": _change(_WRITE, "path"),
        "edit": _change(_WRITE, "path"),
        "move": _change(_WRITE, "source", "target"),
        "delete": _change(_DESTRUCTIVE, "paths"),
        "preview": _read(),
        "capture": _read(),
        "content": _read("path"),
        "restore": _change(_WRITE, "paths"),
    },
    "shell": {
        "run": ToolContract(_DESTRUCTIVE, egress=False, control=("command", "cwd", "stdin"), snapshot=True),
        "preview": _read(),
        "capture": _read(),
        "content": _read("path"),
        "restore": _change(_WRITE, "paths"),
    },
    "sql": {
        "query": _read("statement"),
        "schema": _read("table"),
        "explain": _read("statement"),
        "execute": ToolContract(_DESTRUCTIVE, egress=False, control=("statement",), preview=True),
        "preview": _read(),
    },
    "http": {
        "get": ToolContract(_READ, egress=True, control=("url", "headers")),
        "request": ToolContract(_DESTRUCTIVE, egress=True, control=("method", "url", "headers")),
    },
}

INTERNAL = frozenset({"preview", "capture", "content", "restore"})  # of built-in servers: the gate's, shown to no agent


def contract_of(server: ToolServerConfig, tool: str) -> ToolContract:
    """The contract of a tool: the operator's exact name, the operator's pattern, the built-in one, or an empty one.

    An operator's contract for a built-in tool keeps what the built-in one says of paths and snapshots.
    """
    base = BUILTIN.get(server.builtin or "", {}).get(tool, ToolContract())
    if server.builtin == "shell" and server.sandbox.network:
        base = replace(base, egress=True)  # a command that may use the network can take anything out
    declared = server.contracts.get(tool)
    if declared is None:
        patterns = sorted((name for name in server.contracts if fnmatchcase(tool, name)), key=len, reverse=True)
        declared = server.contracts[patterns[0]] if patterns else None
    return base if declared is None else _merge(base, declared)


def is_internal(server: ToolServerConfig, tool: str) -> bool:
    """Whether a tool belongs to the gate and no agent sees it; only those of built-in servers can."""
    return server.builtin is not None and tool in INTERNAL


def refuse_unsafe_checks(servers: Mapping[str, ToolServerConfig]) -> None:
    """What the gate makes by itself, a `verify:` check or the call of a `test:`, must be a declared read.

    Raises:
        ConfigError: it names no configured server, or a tool that is not declared as a read.
    """
    for name, server in servers.items():
        tried = server.test.tool if server.test is not None else None
        if tried is not None and contract_of(server, tried).action_class is not _READ:
            raise ConfigError(
                f"tools.{name}.test: {tried} is not declared as a read: expected `contracts: {{{tried}: {{class: read}}}}`"
            )
        for tool, contract in server.contracts.items():
            if contract.verify is None:
                continue
            where = f"tools.{name}.contracts.{tool}.verify"
            try:
                ref = ToolRef.parse(str(contract.verify.get("tool", "")))
            except UserError as error:
                raise ConfigError(f"{where}: {error.message}") from error
            target = servers.get(ref.server)
            if target is None or contract_of(target, ref.name).action_class is not _READ:
                raise ConfigError(
                    f"{where}: {ref} is not declared as a read: expected `contracts: {{{ref.name}: {{class: read}}}}`"
                )


def _merge(base: ToolContract, declared: ContractConfig) -> ToolContract:
    given = declared.action_class
    return ToolContract(
        action_class=base.action_class if given is None else ActionClass(given),
        egress=base.egress if declared.egress is None else declared.egress,
        control=tuple(declared.control) or base.control,
        paths=tuple(declared.paths) or base.paths,
        output=declared.output,
        idempotent=declared.idempotent or base.idempotent,
        snapshot=base.snapshot,
        verify=declared.verify or base.verify,
        inverse=declared.inverse or base.inverse,
        preview=base.preview,
        dry_run=declared.dry_run,
        rate=declared.rate,
        cache_s=declared.cache,
        fallbacks=tuple((fallback.tool, fallback.args) for fallback in declared.fallbacks),
    )
