"""Which third-party servers the fleet is made of, and one call of each that only a live backend can answer, as data.

In arguments and expectations a `{name}` stands for a fact of the backends: the folder `{folder}`, an address, or one
of the marks that were planted before any server was started. The last step of a member is the one that is checked
and repeated; those before it prepare for it. A member without steps needs an account elsewhere: it only lists.
"""

import shutil
from dataclasses import dataclass, field
from typing import Any

from interlock.config import ToolServerConfig, parse_package
from interlock.tools import PackageSpec, spec_of

# The one without windows needs half the memory.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium") or "chromium"


@dataclass(frozen=True)
class Step:
    """One call of a tool."""

    tool: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Member:
    """One server.

    Attributes:
        package, overrides, args, env: as in `interlock.yaml`.
        tools: how many it lists at least.
        backend: what answers its call.
        steps: calls, one after the other.
        expect: what the answer of the last one holds.
        leaves: `(file, text)` that must be in the file afterwards, read by the test itself.
        read, write, network: what its sandbox grants.
    """

    name: str
    package: str
    tools: int
    backend: str = ""
    steps: tuple[Step, ...] = ()
    expect: tuple[str, ...] = ()
    leaves: tuple[str, str] | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    network: bool = False

    @property
    def registry(self) -> str:
        return parse_package(self.package).registry

    @property
    def version(self) -> str:
        return parse_package(self.package).version or ""

    def config(self, facts: dict[str, str]) -> ToolServerConfig:
        given = {
            "package": self.package,
            "overrides": list(self.overrides),
            "args": list(self.args),
            "env": self.env,
            "sandbox": {
                "mode": "required",
                "network": self.network,
                "read": list(self.read),
                "write": list(self.write),
            },
            "start_timeout": "180s",
        }
        return ToolServerConfig.model_validate(filled(given, facts))

    def spec(self) -> PackageSpec:
        found = spec_of(self.config({}))
        assert found is not None
        return found


def filled(value: Any, facts: dict[str, str]) -> Any:
    """The same with each `{name}` replaced by the fact of that name."""
    if isinstance(value, str):
        for name, fact in facts.items():
            value = value.replace(f"{{{name}}}", fact)
        return value
    if isinstance(value, dict):
        return {key: filled(item, facts) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(filled(item, facts) for item in value)
    return value


def _sum_over_csv() -> str:
    return "select mark, sum(amount) as total from read_csv('{folder}/data/amounts.csv') group by mark"


WORKBOOK = "{folder}/out/book.xlsx"
DOCUMENT = "{folder}/out/letter.docx"
BROWSER_FLAGS = ("--disable-background-networking", "--disable-component-update", "--no-first-run")

# The big ones first: two are installed at one time.
FLEET: tuple[Member, ...] = (
    Member(
        "motherduck",
        "pypi:mcp-server-motherduck==1.1.0",
        4,
        "DuckDB over a CSV file",
        (Step("execute_query", {"sql": _sum_over_csv()}),),
        ("{mark}", "4321"),
        args=("--db-path", "{folder}/out/facts.duckdb", "--read-write"),
        write=("out",),
    ),
    Member(
        "redis",
        "pypi:redis-mcp-server==0.5.1",
        50,
        "redis-server",
        (Step("get", {"key": "planted"}),),
        ("{mark}",),
        args=("--url", "redis://127.0.0.1:{redis_port}/0"),
        network=True,
    ),
    Member(
        "word",
        "pypi:office-word-mcp-server==1.1.11",
        50,
        "a Word file",
        (
            Step("create_document", {"filename": DOCUMENT, "title": "Letter"}),
            Step("add_paragraph", {"filename": DOCUMENT, "text": "kept {mark} here"}),
            Step("get_document_text", {"filename": DOCUMENT}),
        ),
        ("kept {mark} here",),
        leaves=(DOCUMENT, "kept {mark} here"),
        write=("out",),
    ),
    Member(
        "prometheus",
        "pypi:prometheus-mcp-server==1.6.2",
        6,
        "prometheus, which scrapes itself",
        (Step("execute_query", {"query": "up"}),),
        ("{mark}", "planted"),
        env={"PROMETHEUS_URL": "http://127.0.0.1:{prometheus_port}"},
        network=True,
    ),
    Member(
        "alchemy",
        "pypi:mcp-alchemy==2026.10.15.202659",
        4,
        "SQLAlchemy on an SQLite file",
        (Step("execute_query", {"query": "select note, 6 * 7 as answer from notes"}),),
        ("{mark}", "42"),
        env={"DB_URL": "sqlite:///{folder}/data/notes.db"},
    ),
    Member(
        "excel",
        "pypi:excel-mcp-server==2.2.2",
        40,
        "an Excel workbook",
        (
            Step("create_workbook", {"path": WORKBOOK, "sheets": ["Facts"]}),
            Step("write_range", {"path": WORKBOOK, "sheet": "Facts", "at": "B2", "rows": [["mark", "{mark}"]]}),
            Step("read_range", {"path": WORKBOOK, "sheet": "Facts", "range": "B2:C2"}),
        ),
        ("{mark}",),
        leaves=(WORKBOOK, "{mark}"),
        args=("stdio",),
        write=("out",),
    ),
    Member(
        "git",
        "pypi:mcp-server-git==2026.10.19",
        12,
        "a git repository",
        (Step("git_log", {"repo_path": "{folder}/repository", "max_count": 3}),),
        ("keeps {mark}",),
        args=("--repository", "{folder}/repository"),
    ),
    Member(
        "fetch",
        "pypi:mcp-server-fetch==2026.10.24",
        1,
        "a local web page",
        # Not `raw`, it would fetch code from npm at its first call, into its own installation, which is read-only.
        (Step("fetch", {"url": "http://127.0.0.1:{page_port}/page.html", "raw": True}),),
        ("the mark is {mark}",),
        args=("--ignore-robots-txt", "--allow-private-ips"),
        network=True,
    ),
    Member(
        "sqlite",
        "pypi:mcp-server-sqlite==2025.4.25",
        6,
        "an SQLite file",
        (
            Step("create_table", {"query": "create table if not exists kept (note text)"}),
            Step("write_query", {"query": "insert into kept values ('kept {mark} here')"}),
            Step("read_query", {"query": "select note from kept limit 1"}),
        ),
        ("kept {mark} here",),
        leaves=("{folder}/out/kept.db", "kept {mark} here"),
        args=("--db-path", "{folder}/out/kept.db"),
        overrides=("mcp<2",),
        write=("out",),
    ),
    Member(
        "time",
        "pypi:mcp-server-time==2026.10.19",
        2,
        "the zone files of the system",
        (
            Step(
                "convert_time",
                {"source_timezone": "Asia/Tokyo", "time": "09:30", "target_timezone": "Asia/Kolkata"},
            ),
        ),
        ("06:00", "Asia/Kolkata", "-3.5h"),
    ),
    Member(
        "calculator",
        "pypi:mcp-server-calculator==0.2.1",
        1,
        "itself",
        (Step("calculate", {"expression": "1234 * 5678 + 2**10"}),),
        ("7007676",),
    ),
    Member(
        "grafana",
        "pypi:mcp-grafana==2.1.1",
        70,
        env={"GRAFANA_URL": "http://127.0.0.1:1", "GRAFANA_SERVICE_ACCOUNT_TOKEN": "unused-token"},
    ),
    Member(
        "everything",
        "npm:@modelcontextprotocol/server-everything@2026.8.31",
        13,
        "itself",
        (Step("get-sum", {"a": 1200, "b": 34}),),
        ("1234",),
    ),
    Member(
        "filesystem",
        "npm:@modelcontextprotocol/server-filesystem@2026.8.31",
        14,
        "a folder",
        (
            Step("write_file", {"path": "{folder}/out/written.txt", "content": "kept {mark} here"}),
            Step("read_text_file", {"path": "{folder}/data/note.txt"}),
        ),
        ("the note says {mark}",),
        leaves=("{folder}/out/written.txt", "kept {mark} here"),
        args=("{folder}/data", "{folder}/out"),
        write=("out",),
    ),
    Member(
        "thinking",
        "npm:@modelcontextprotocol/server-sequential-thinking@2026.8.31",
        1,
        "itself",
        (
            Step(
                "sequentialthinking",
                {"thought": "{mark}", "thoughtNumber": 3, "totalThoughts": 7, "nextThoughtNeeded": True},
            ),
        ),
        ('"thoughtNumber": 3', '"totalThoughts": 7', "thoughtHistoryLength"),
    ),
    Member(
        "memory",
        "npm:@modelcontextprotocol/server-memory@2026.8.31",
        9,
        "a file with a knowledge graph",
        (Step("search_nodes", {"query": "planted"}),),
        ("remembers {mark}",),
        env={"MEMORY_FILE_PATH": "{folder}/data/graph.jsonl"},
    ),
    Member(
        "context7",
        "npm:@upstash/context7-mcp@4.1.1",
        2,
    ),
    Member(
        "github",
        "npm:@modelcontextprotocol/server-github@2025.4.8",
        26,
        env={"GITHUB_PERSONAL_ACCESS_TOKEN": "unused-token"},
    ),
    Member(
        "commands",
        "npm:mcp-server-commands@0.5.0",
        1,
        "a shell and a file",
        (Step("run_command", {"command": "tr a-z A-Z < {folder}/data/note.txt"}),),
        ("THE NOTE SAYS {MARK}",),
    ),
    Member(
        "cyanheads-git",
        "npm:@cyanheads/git-mcp-server@2.15.3",
        28,
        "a git repository",
        (Step("git_show", {"path": "{folder}/repository", "object": "HEAD"}),),
        ("keeps {mark}",),
    ),
    Member(
        "kubernetes",
        "npm:kubernetes-mcp-server@0.0.67",
        20,
        args=("--kubeconfig", "{folder}/data/kube.yaml", "--toolsets", "core,config,helm"),
    ),
    Member(
        "postgres",
        "npm:@modelcontextprotocol/server-postgres@0.6.2",
        1,
        "Postgres, over a socket",
        (Step("query", {"sql": "select note, 6 * 7 as answer from planted"}),),
        ("{mark}", "42"),
        args=("postgres:///{postgres_database}?host={postgres_folder}&user={postgres_user}",),
        read=("{postgres_folder}",),
    ),
    Member(
        "slack",
        "npm:@modelcontextprotocol/server-slack@2025.4.25",
        8,
        env={"SLACK_BOT_TOKEN": "unused-token", "SLACK_TEAM_ID": "T0"},
    ),
    Member(
        "playwright",
        "npm:@playwright/mcp@0.0.83",
        20,
        "chromium on a local page",
        (
            Step("browser_navigate", {"url": "http://127.0.0.1:{page_port}/page.html"}),
            Step("browser_evaluate", {"function": "() => document.getElementById('made').textContent"}),
        ),
        ("{backwards}",),
        args=("--headless", "--isolated", "--no-sandbox", "--executable-path", CHROMIUM),
        network=True,
    ),
    Member(
        "chrome-devtools",
        "npm:chrome-devtools-mcp@1.11.0",
        25,
        "chromium on a local page",
        (
            Step("navigate_page", {"pageId": 1, "type": "url", "url": "http://127.0.0.1:{page_port}/page.html"}),
            Step("take_snapshot", {"pageId": 1}),
        ),
        ("{backwards}",),
        args=(
            *("--headless", "--isolated", "--executablePath", CHROMIUM, "--no-usage-statistics"),
            *("--no-performance-crux", "--chromeArg=--no-sandbox"),
            *(f"--chromeArg={flag}" for flag in BROWSER_FLAGS),
        ),
        network=True,
    ),
)
