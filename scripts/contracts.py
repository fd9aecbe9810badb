"""Prints `.importlinter` from one table: who may use whom. The table is the architecture.

    python scripts/contracts.py > .importlinter     after a change of the table
    python scripts/contracts.py --check             exit 1 if the committed file differs

A room (a package below `src/interlock`) uses another one only through its door, the package's `__init__`, and only
if the table says so. A vendor library is imported only in the rooms it is at home in. There is no exception list.
What import-linter can't see is tested in `tests/unit/house/test_architecture.py`.
"""

import argparse
import sys
from pathlib import Path

# room: the doors it may use, top floor first
USES = {
    "cli": "server client app config model",
    "server": "app config model",
    "testing": "app inference tools observability store config model",
    "client": "model",
    "app": "orchestrator agent guardrails inference memory tools sandbox audit observability store config model",
    "orchestrator": "agent guardrails memory audit observability store config model",
    "agent": "guardrails memory observability config model",
    "guardrails": "inference tools resilience audit observability store config model",
    "inference": "resilience observability store config model",
    "memory": "resilience observability store config model",
    "tools": "sandbox resilience observability store config model",
    "servers": "sandbox memory store config model",
    "sandbox": "config model",
    "resilience": "observability store config model",
    "audit": "store config model",
    "observability": "store config model",
    "store": "config model",
    "config": "model",
    "model": "",
}

# imports only go down; rooms on one floor do not see each other
FLOORS = [
    "cli",
    "server | testing | client",
    "app",
    "orchestrator",
    "agent",
    "guardrails",
    "servers",
    "inference | memory | tools",
    "sandbox | resilience",
    "audit | observability",
    "store",
    "config",
    "model",
]

# library: the rooms that may import it; a library that stands nowhere here may be imported nowhere
HOME = {
    "aiohttp": "tools",
    "anthropic": "inference",
    "anyio": "tools servers testing",
    "cronsim": "config",
    "cryptography": "store audit",
    "cyclopts": "cli",
    "dbos": "orchestrator",
    "fastapi": "server",
    "genai_prices": "inference",
    "httpx": "client inference tools servers server",
    "httpx2": "inference tools testing",
    "httpcore": "servers",
    "hypothesis": "testing",
    "jinja2": "server",
    "jsonschema": "config guardrails tools servers orchestrator",
    "mcp": "tools servers server testing",
    "mcp_types": "tools servers server testing",
    "onnxruntime": "memory",
    "openai": "inference",
    "opentelemetry": "observability",
    "platformdirs": "config",
    "prometheus_client": "observability",
    "psycopg": "store servers",
    "psycopg_pool": "store",
    "pydantic_ai": "inference",
    "pytest": "testing",
    "redis": "memory",
    "referencing": "tools",
    "rfc8785": "model",
    "rich": "cli",
    "sqlalchemy": "orchestrator",
    "sqlglot": "guardrails servers",
    "starlette": "server",
    "structlog": "observability",
    "subprocess": "store sandbox tools servers cli app",  # app: `up` supervises the worker processes
    "tree_sitter": "guardrails",
    "uvicorn": "server cli",
    "yaml": "config inference",
    "yarl": "tools",
}

# libraries that are part of the language of the house
EVERYWHERE = ("pydantic", "pydantic_core", "typing_extensions")

DIRECT = "allow_indirect_imports = true\n"


def rooms(names: list[str]) -> list[str]:
    """Room names as modules."""
    return [f"interlock.{name}" for name in names]


def contract(key: str, name: str, kind: str, lists: dict[str, list[str]], rest: str = "") -> str:
    """One section of the file."""
    body = "".join(f"{field} =\n    " + "\n    ".join(values) + "\n" for field, values in lists.items() if values)
    return f"[importlinter:contract:{key}]\nname = {name}\ntype = {kind}\n{body}{rest}"


def door(room: str) -> str:
    """Nobody outside a room imports what is inside it."""
    lists = {"protected_modules": rooms([f"{room}.*"]), "allowed_importers": rooms([room])}
    return contract(f"door-{room}", f"{room} is entered only by its door", "protected", lists)


def uses(room: str) -> str:
    """A room imports only the rooms that its row of the table names."""
    allowed = USES[room].split()
    lists = {
        "source_modules": rooms([room]),
        "forbidden_modules": rooms([other for other in USES if other != room and other not in allowed]),
    }
    return contract(f"uses-{room}", f"{room} uses only: {USES[room] or 'nothing'}", "forbidden", lists, DIRECT)


def vendor(library: str) -> str:
    """A library is imported only in its rooms."""
    home = HOME[library].split()
    lists = {"source_modules": rooms([room for room in USES if room not in home]), "forbidden_modules": [library]}
    return contract(f"vendor-{library}", f"{library} lives only in: {HOME[library]}", "forbidden", lists, DIRECT)


def floors() -> str:
    """Imports only go down, and every room stands on a floor."""
    lists = {"layers": FLOORS, "exhaustive_ignores": ["__main__"]}
    rest = "containers =\n    interlock\nexhaustive = true\n"
    return contract("floors", "Imports only go down", "layers", lists, rest)


def render() -> str:
    """The whole `.importlinter`."""
    head = (
        "# Written by scripts/contracts.py; change the table there, not this file.\n"
        "[importlinter]\nroot_package = interlock\ninclude_external_packages = True\n"
    )
    sections = [head, floors()]
    for room in USES:
        sections += [door(room), uses(room)]
    sections += [vendor(library) for library in HOME]
    return "\n".join(sections)


def main(arguments: list[str]) -> int:
    """Print the contracts, or compare them with the committed file; returns the exit status."""
    parser = argparse.ArgumentParser(description="Prints .importlinter from the table in this script.")
    parser.add_argument("--check", action="store_true", help="compare with the committed file instead")
    if not parser.parse_args(arguments).check:
        sys.stdout.write(render())
        return 0
    committed = Path(__file__).resolve().parent.parent / ".importlinter"
    if committed.is_file() and committed.read_text(encoding="utf-8") == render():
        return 0
    print(".importlinter is not what scripts/contracts.py prints", file=sys.stderr)
    print("hint: python scripts/contracts.py > .importlinter", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
