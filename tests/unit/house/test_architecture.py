"""The house rules that neither ruff nor import-linter can see, read from the syntax trees of the source.

Each rule is a function from one module to what is wrong in it. It is run over the whole source, and over a planted
module that it must catch.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

import pytest

MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 400
MAX_TEST_FILE_LINES = 600

SILENCED = re.compile(r"#\s*(type:\s*ignore|noqa|ruff:\s*noqa|mypy:|pyright:|pragma:\s*no\s*cover|TODO|FIXME|XXX)")
SQL = re.compile(
    r"\s*(?:select\s.+\sfrom\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|create\s+table\s|alter\s+table\s"
    r"|SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|CREATE\s+TABLE\s|ALTER\s+TABLE\s)",
    flags=re.DOTALL,
)
BY_NAME = {"import_module", "__import__", "exec_module", "load_module", "run_module", "run_path"}
STARTS_PROGRAM = {
    "create_subprocess_exec",
    "create_subprocess_shell",
    "subprocess_exec",
    "subprocess_shell",
    "os.system",
    "os.popen",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.posix_spawnp",
    "pty.spawn",
    "ProcessPoolExecutor",
    *(
        f"os.{family}{kind}"
        for family in ("exec", "spawn")
        for kind in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")
    ),
}
STARTS_PROGRAM_MODULES = {"multiprocessing", "pty"}
REACHES_OUT = {
    "open_connection",
    "open_unix_connection",
    "create_connection",
    "create_unix_connection",
    "socket.socket",
    "urlopen",
}
REACHES_OUT_MODULES = {
    "urllib.request",
    "http.client",
    "smtplib",
    "ftplib",
    "xmlrpc",
    "xmlrpc.client",
    "imaplib",
    "poplib",
}


@dataclass(frozen=True)
class Import:
    """One name that a module imports and what it calls it; `name` is empty for `import x`."""

    line: int
    origin: str
    name: str
    known_as: str

    @property
    def target(self) -> str:
        return f"{self.origin}.{self.name}" if self.name else self.origin


@dataclass(frozen=True)
class Module:
    """One file of the package; `path` is relative to `src/interlock`.

    A loose one lies in a folder that is no package: a template for users' projects, which becomes a program of theirs.
    """

    path: Path
    text: str
    loose: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def room(self) -> str:
        return self.path.parts[0] if len(self.path.parts) > 1 else ""

    @property
    def is_door(self) -> bool:
        return len(self.path.parts) == 2 and self.path.name == "__init__.py"

    @property
    def package(self) -> list[str]:
        return ["interlock", *self.path.parent.parts]

    def at(self, line: int, what: str) -> str:
        return f"{self.path}:{line}: {what}"

    @cached_property
    def imports(self) -> list[Import]:
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [Import(node.lineno, alias.name, "", "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = self.package[: len(self.package) - node.level + 1] if node.level else []
                origin = ".".join([*base, *(node.module.split(".") if node.module else [])])
                found += [Import(node.lineno, origin, alias.name, alias.asname or alias.name) for alias in node.names]
        return found


def room_of(target: str) -> str:
    """The room that a dotted name lies in; empty for the package itself and for everything outside."""
    parts = target.split(".")
    return parts[1] if parts[0] == "interlock" and len(parts) > 1 else ""


def called(node: ast.Call) -> set[str]:
    """The names a call goes by: `asyncio.open_connection` is also `open_connection`."""
    if isinstance(node.func, ast.Name):
        return {node.func.id}
    if isinstance(node.func, ast.Attribute):
        owner = node.func.value.id + "." if isinstance(node.func.value, ast.Name) else ""
        return {node.func.attr, owner + node.func.attr}
    return set()


def calls(module: Module) -> Iterator[tuple[int, set[str]]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield node.lineno, called(node)


@dataclass(frozen=True)
class House:
    """All modules below one `src/interlock`, with the table of who may use whom."""

    modules: dict[Path, Module]
    table: ModuleType

    @classmethod
    def read(cls, package: Path, table: ModuleType) -> "House":
        modules = {}
        for path in sorted(package.rglob("*.py")):
            name = path.relative_to(package)
            folders = [package / parent for parent in name.parents]
            loose = not all((folder / "__init__.py").is_file() for folder in folders)
            modules[name] = Module(name, path.read_text(encoding="utf-8"), loose)
        return cls(modules, table)

    def module(self, dotted: str) -> Module | None:
        """The module of that dotted name, if it is one of ours."""
        package, *parts = dotted.split(".")
        if package != "interlock" or not parts:
            return None
        path = Path(*parts)
        return self.modules.get(path.with_suffix(".py")) or self.modules.get(path / "__init__.py")

    def home(self, library: str) -> list[str]:
        home: str = self.table.HOME[library]
        return home.split()

    # ---- the rules -----------------------------------------------------

    def short_functions(self, module: Module) -> Iterator[str]:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    yield module.at(node.lineno, f"{node.name} has {lines} lines, at most {MAX_FUNCTION_LINES}")

    def short_files(self, module: Module) -> Iterator[str]:
        lines = len(module.text.splitlines())
        if lines > MAX_FILE_LINES:
            yield module.at(1, f"{lines} lines, at most {MAX_FILE_LINES}")

    def no_import_by_name(self, module: Module) -> Iterator[str]:
        if module.room == "cli":
            return
        for line, names in calls(module):
            if names & BY_NAME:
                yield module.at(line, "only the CLI loads modules by name")
        for found in module.imports:
            if found.name in BY_NAME or found.origin == "runpy":
                yield module.at(found.line, "only the CLI loads modules by name")

    def nothing_silenced(self, module: Module) -> Iterator[str]:
        for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
            if token.type == tokenize.COMMENT and SILENCED.match(token.string):
                yield module.at(token.start[0], f"no exceptions and no leftovers: {token.string}")

    def door_shows_its_own_room(self, module: Module) -> Iterator[str]:
        if not module.is_door:
            return
        for found in module.imports:
            library = found.origin.split(".")[0]
            if library in sys.stdlib_module_names:
                continue
            if room_of(found.target) != module.room:
                yield module.at(found.line, f"a door imports from its own room only, not {found.target}")
            elif (foreign := self.defined_elsewhere(found, module.room, 8)) is not None:
                yield module.at(found.line, f"{found.name} belongs to another room: {foreign}")

    def defined_elsewhere(self, found: Import, room: str, depth: int) -> str | None:
        """The dotted name a door's name comes from, if following its imports leads out of the room."""
        source = self.module(found.origin)
        if source is None or not depth:
            return None
        for inner in source.imports:
            if inner.known_as != found.name:
                continue
            if room_of(inner.target) not in ("", room):
                return inner.target
            if (foreign := self.defined_elsewhere(inner, room, depth - 1)) is not None:
                return foreign
        return None

    def rooms_entered_by_the_door(self, module: Module) -> Iterator[str]:
        for found in module.imports:
            other = room_of(found.target)
            if not other or other == module.room:
                continue
            if len(found.origin.split(".")) > 2 or self.module(found.target) not in (
                None,
                self.module(f"interlock.{other}"),
            ):
                yield module.at(found.line, f"{found.target} is inside another room; use its door interlock.{other}")

    def front_door_is_only_for_users(self, module: Module) -> Iterator[str]:
        for found in module.imports:
            if module.path == Path("__init__.py") and room_of(found.target) not in ("", "client", "model"):
                yield module.at(found.line, f"the package itself offers the client and its version, not {found.target}")
            offered = ("__version__", *self.table.USES)
            if module.room and found.origin == "interlock" and found.name not in offered:
                yield module.at(found.line, "rooms import rooms, not the package")

    def templates_are_not_imported(self, module: Module) -> Iterator[str]:
        for found in module.imports:
            source = self.module(found.target) or self.module(found.origin)
            if source is not None and source.loose:
                yield module.at(found.line, f"{source.path} is in no package, so the import contracts do not see it")

    def libraries_at_home(self, module: Module) -> Iterator[str]:
        if module.loose:
            return
        for found in module.imports:
            library = found.origin.split(".")[0]
            if library == "interlock" or library in self.table.EVERYWHERE:
                continue
            if library in self.table.HOME:
                if module.room not in self.home(library):
                    yield module.at(found.line, f"{library} lives only in: {self.table.HOME[library]}")
            elif library not in sys.stdlib_module_names:
                yield module.at(found.line, f"{library} has no home; declare it in scripts/contracts.py first")

    def programs_started_at_home(self, module: Module) -> Iterator[str]:
        if module.loose or module.room in self.home("subprocess"):
            return
        for line, names in calls(module):
            if names & STARTS_PROGRAM:
                yield module.at(line, f"starts a program; only these may: {self.table.HOME['subprocess']}")
        for found in module.imports:
            if found.origin.split(".")[0] in STARTS_PROGRAM_MODULES or found.target in STARTS_PROGRAM:
                yield module.at(found.line, f"starts programs; only these may: {self.table.HOME['subprocess']}")

    def the_outside_reached_at_home(self, module: Module) -> Iterator[str]:
        allowed = {*self.home("httpx"), "store", "testing", "cli", "app"}
        if module.loose or module.room in allowed:
            return
        for line, names in calls(module):
            if names & REACHES_OUT:
                yield module.at(line, f"reaches out; only these may: {' '.join(sorted(allowed))}")
        for found in module.imports:
            if {found.origin, found.target} & (REACHES_OUT_MODULES | REACHES_OUT):
                yield module.at(found.line, f"reaches out; only these may: {' '.join(sorted(allowed))}")

    def sql_in_the_store(self, module: Module) -> Iterator[str]:
        if module.room in ("store", "servers"):  # the built-in sql server speaks to other people's databases
            return
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value):
                yield module.at(node.lineno, "all SQL is in the store")

    def errors_in_the_tree(self, module: Module) -> Iterator[str]:
        if module.room == "model":
            return
        names = {node.name for node in self.error_classes()}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                bases |= {base.attr for base in node.bases if isinstance(base, ast.Attribute)}
                if bases & names:
                    yield module.at(node.lineno, f"{node.name} belongs to interlock.model: one tree of errors")

    def error_classes(self) -> list[ast.ClassDef]:
        source = self.module("interlock.model.errors")
        return [node for node in source.tree.body if isinstance(node, ast.ClassDef)] if source else []


RULES: dict[str, Callable[[House, Module], Iterator[str]]] = {
    rule.__name__: rule
    for rule in (
        House.short_functions,
        House.short_files,
        House.no_import_by_name,
        House.nothing_silenced,
        House.door_shows_its_own_room,
        House.rooms_entered_by_the_door,
        House.front_door_is_only_for_users,
        House.templates_are_not_imported,
        House.libraries_at_home,
        House.programs_started_at_home,
        House.the_outside_reached_at_home,
        House.sql_in_the_store,
        House.errors_in_the_tree,
    )
}

LONG_FUNCTION = "def long():\n" + "    x = 1\n" * MAX_FUNCTION_LINES
TEMPLATES = "cli/project/"
INSIDE = {
    TEMPLATES + "machine.py": "def load(): ...\n",
    "guardrails/gate.py": "from interlock.tools import call\ndef act(): ...\n",
    "guardrails/own.py": "from interlock.tools import call as run\ndef call(): ...\n",
    "guardrails/front.py": "from interlock.guardrails.gate import act, call as run\n",
    "tools/__init__.py": "from interlock.tools.client import call\n",
    "tools/client.py": "def call(): ...\n",
    "model/errors.py": "class InterlockError(Exception): ...\n",
}
PLANTED = [
    ("short_functions", "agent/loop.py", LONG_FUNCTION),
    ("short_functions", "agent/loop.py", "class A:\n    async " + LONG_FUNCTION.replace("\n", "\n    ")),
    ("short_files", "agent/loop.py", "x = 1\n" * (MAX_FILE_LINES + 1)),
    ("no_import_by_name", "agent/loop.py", "import importlib\nimportlib.import_module('interlock.tools')\n"),
    ("no_import_by_name", "agent/loop.py", "from importlib import import_module as load\nload('interlock.tools')\n"),
    ("no_import_by_name", "agent/loop.py", "__import__('interlock.tools')\n"),
    ("nothing_silenced", "agent/loop.py", "x = 1  # type: ignore[assignment]\n"),
    ("nothing_silenced", "agent/loop.py", "x = 1  # noqa: E501\n"),
    ("nothing_silenced", "agent/loop.py", "def f(): ...  # pragma: no cover\n"),
    ("door_shows_its_own_room", "agent/__init__.py", "from interlock.tools import call\n"),
    ("door_shows_its_own_room", "agent/__init__.py", "import httpx\n"),
    ("door_shows_its_own_room", "guardrails/__init__.py", "from interlock.guardrails.gate import call\n"),
    ("door_shows_its_own_room", "guardrails/__init__.py", "from interlock.guardrails.front import run\n"),
    ("door_shows_its_own_room", "guardrails/__init__.py", "from .front import run\n"),
    ("rooms_entered_by_the_door", "agent/loop.py", "from interlock.tools.client import call\n"),
    ("rooms_entered_by_the_door", "agent/loop.py", "from interlock.tools import client\n"),
    ("rooms_entered_by_the_door", "agent/loop.py", "import interlock.tools.client\n"),
    ("rooms_entered_by_the_door", "agent/loop.py", "from ..tools.client import call\n"),
    ("front_door_is_only_for_users", "__init__.py", "from interlock.tools import call\n"),
    ("front_door_is_only_for_users", "agent/loop.py", "from interlock import Client\n"),
    ("templates_are_not_imported", "agent/loop.py", "from interlock.cli.project import machine\n"),
    ("templates_are_not_imported", "agent/loop.py", "import interlock.cli.project.machine\n"),
    ("templates_are_not_imported", "agent/loop.py", "from interlock.cli.project.machine import load\n"),
    ("libraries_at_home", "agent/loop.py", "def f():\n    import pydantic_ai.direct\n"),
    ("libraries_at_home", "agent/loop.py", "import psycopg\n"),
    ("libraries_at_home", "agent/loop.py", "import subprocess\n"),
    ("libraries_at_home", "agent/loop.py", "import requests\n"),
    ("programs_started_at_home", "agent/loop.py", "import asyncio\nasyncio.create_subprocess_exec('rm')\n"),
    ("programs_started_at_home", "agent/loop.py", "from os import system\n"),
    ("programs_started_at_home", "agent/loop.py", "import os\nos.execvp('rm', ['rm'])\n"),
    ("programs_started_at_home", "agent/loop.py", "from multiprocessing import Process\n"),
    ("the_outside_reached_at_home", "agent/loop.py", "import urllib.request\n"),
    ("the_outside_reached_at_home", "agent/loop.py", "from urllib import request\n"),
    ("the_outside_reached_at_home", "agent/loop.py", "import asyncio\nasyncio.open_connection('x', 1)\n"),
    ("sql_in_the_store", "agent/loop.py", "Q = 'select id from task where state = 1'\n"),
    ("sql_in_the_store", "agent/loop.py", "Q = f'''\n    UPDATE task SET state = {1}'''\n"),
    (
        "errors_in_the_tree",
        "agent/loop.py",
        "from interlock.model import InterlockError\nclass Mine(InterlockError): ...\n",
    ),
]
HARMLESS = [
    ("short_functions", "agent/loop.py", LONG_FUNCTION.removesuffix("    x = 1\n")),
    ("no_import_by_name", "cli/main.py", "import importlib\nimportlib.import_module('interlock.cli.demo')\n"),
    ("nothing_silenced", "agent/loop.py", "x = 'say noqa'  # the type: ignored here\n"),
    ("door_shows_its_own_room", "agent/__init__.py", '"""The agent room."""\n'),
    ("door_shows_its_own_room", "guardrails/__init__.py", "from interlock.guardrails.gate import act\n"),
    ("door_shows_its_own_room", "guardrails/__init__.py", "from interlock.guardrails.own import call\n"),
    ("rooms_entered_by_the_door", "agent/loop.py", "from interlock.tools import call\nimport interlock.model\n"),
    ("front_door_is_only_for_users", "__init__.py", "from interlock.client import Client\n"),
    ("front_door_is_only_for_users", "agent/loop.py", "from interlock import __version__, tools\n"),
    ("libraries_at_home", "cli/project/machine.py", "from mcp.server import MCPServer\n"),
    ("libraries_at_home", "store/pool.py", "import psycopg\nimport pydantic\nimport asyncio\n"),
    ("programs_started_at_home", "tools/client.py", "import asyncio\nasyncio.create_subprocess_exec('server')\n"),
    ("the_outside_reached_at_home", "agent/loop.py", "import urllib.parse\nimport socket\nsocket.gethostname()\n"),
    ("sql_in_the_store", "agent/loop.py", "SAY = 'Select a file from the list, then delete from there'\n"),
]


@pytest.fixture(scope="session")
def table(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("contracts")


@pytest.fixture(scope="session")
def house(root: Path, table: ModuleType) -> House:
    return House.read(root / "src" / "interlock", table)


@pytest.mark.parametrize("rule", RULES)
def test_the_source_keeps(house: House, rule: str) -> None:
    found = [line for module in house.modules.values() for line in RULES[rule](house, module)]
    assert found == [], "\n".join(["", *found])


def judge(table: ModuleType, rule: str, path: str, text: str) -> list[str]:
    """What a rule says of one module put into a small house."""
    texts = {**INSIDE, path: text}
    modules = [Module(Path(name), content, loose=name.startswith(TEMPLATES)) for name, content in texts.items()]
    house = House({module.path: module for module in modules}, table)
    return list(RULES[rule](house, house.modules[Path(path)]))


@pytest.mark.parametrize(("rule", "path", "text"), PLANTED)
def test_a_planted_violation_is_caught(table: ModuleType, rule: str, path: str, text: str) -> None:
    assert len(judge(table, rule, path, text)) >= 1


@pytest.mark.parametrize(("rule", "path", "text"), HARMLESS)
def test_what_is_allowed_passes(table: ModuleType, rule: str, path: str, text: str) -> None:
    assert judge(table, rule, path, text) == []


def test_every_rule_is_shown_to_catch_something() -> None:
    assert {rule for rule, _, _ in PLANTED} == set(RULES)


def test_test_files_and_scripts_are_short(root: Path) -> None:
    limits = {"tests": MAX_TEST_FILE_LINES, "scripts": MAX_FILE_LINES}
    long = [
        f"{path.relative_to(root)}: {lines} lines, at most {limit}"
        for folder, limit in limits.items()
        for path in sorted((root / folder).rglob("*.py"))
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > limit
    ]
    assert long == []


def test_every_room_has_a_door_that_says_what_it_is(house: House, table: ModuleType) -> None:
    for room in table.USES:
        door = house.module(f"interlock.{room}")
        assert door is not None, f"src/interlock/{room}/__init__.py is missing"
        assert ast.get_docstring(door.tree), f"src/interlock/{room}/__init__.py has no docstring"
