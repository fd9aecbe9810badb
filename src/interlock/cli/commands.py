"""The table of commands: what can be typed, where it is, and what it does in one line.

A command's module is loaded when it is typed. The page that `interlock --help` prints comes from this table alone, so
that it loads nothing.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import App

PURPOSE = "interlock: runs AI agents in production: queued, guarded, recorded, and undone on demand."
EXIT_STATUS = "Exit status: 0 ok, 1 failed, 2 usage, 3 denied by policy, 4 waiting for approval, 5 unavailable."
MORE = "Every command takes --json and --help. Ids may be shortened to their last (or first) characters."
_SIMILAR = 0.6


@dataclass(frozen=True)
class Entry:
    """One command.

    Attributes:
        words: what is typed, one word or two.
        target: where it is, as `module:function` in this room.
        help: what it does, in a line.
    """

    words: tuple[str, ...]
    target: str
    help: str


def _entry(words: str, target: str, help_text: str) -> Entry:
    return Entry(tuple(words.split()), target, help_text)


COMMANDS: dict[str, tuple[Entry, ...]] = {
    "Start and stop": (
        _entry("demo", "demo:demo", "Watch an agent do real work under the gate; needs no key and no configuration"),
        _entry("init", "init:init", "Write a first interlock.yaml that works"),
        _entry("up", "up:up", "Start the database, the server and the workers"),
        _entry("down", "down:down", "Stop what `up` started"),
        _entry("status", "status:status", "Is all well? One screen"),
        _entry("doctor", "doctor:doctor", "Check everything that interlock needs, with the exact fix"),
        _entry("worker", "worker:worker", "Run one more worker, here or on another machine"),
    ),
    "Tasks": (
        _entry("submit", "submit:submit", "Give an agent a task"),
        _entry("tasks list", "tasks:list_tasks", "List tasks, newest first"),
        _entry("tasks show", "tasks:show", "The whole story of a task, and what to type next"),
        _entry("tasks watch", "tasks:watch", "Follow a task as it happens"),
        _entry("tasks export", "tasks:export", "The runs of a task as recorded runs, to replay and to test with"),
        _entry("tasks cancel", "tasks:cancel", "Cancel a task"),
        _entry("tasks retry", "tasks:retry", "Run an escalated task again, or a final one as a new task"),
        _entry("tasks resolve", "tasks:resolve", "Decide about an escalated task"),
        _entry("queue pause", "queue:pause", "Let no task begin; what runs goes on"),
        _entry("queue resume", "queue:resume", "Let tasks begin again"),
        _entry("queue drain", "queue:drain", "Pause, and wait until nothing runs"),
        _entry("schedules list", "schedules:list_schedules", "When tasks come by themselves, and what became of them"),
        _entry("schedules pause", "schedules:pause", "Submit nothing of a schedule until it is resumed"),
        _entry("schedules resume", "schedules:resume", "Let a schedule go on from now"),
        _entry("schedules trigger", "schedules:trigger", "Submit the task of a schedule now"),
        _entry("triggers list", "triggers:list_triggers", "Where other programs start tasks, and what became of them"),
        _entry("triggers test", "triggers:send_test", "Prove a payload and send it, as another program would"),
    ),
    "Decide": (
        _entry("approvals list", "approvals:list_approvals", "Questions that wait for a person"),
        _entry("approvals show", "approvals:show", "One question with all that it is about"),
        _entry("approve", "approvals:approve", "Show what would happen, and agree to exactly that"),
        _entry("deny", "approvals:deny", "Refuse a call, and tell the agent why"),
        _entry("undo", "undo:undo", "Take back the effects of a task or of one call"),
        _entry("calls show", "calls:show", "One call: arguments, decision, effect, undo"),
        _entry("calls resolve", "calls:resolve", "Say whether a call in doubt took effect"),
        _entry("halt", "halt:halt", "Stop all calls, or those of one agent or tool, at once"),
        _entry("resume", "halt:resume", "End a halt"),
    ),
    "Look": (
        _entry("agents list", "agents:list_agents", "The configured agents"),
        _entry("agents show", "agents:show", "One agent: model, tools, limits, plan"),
        _entry("tools list", "tools:list_tools", "Every tool with its class and pin"),
        _entry("tools show", "tools:show", "One tool, or one server with its health"),
        _entry("tools pin", "tools:pin", "Accept the present definition of a tool or server"),
        _entry("tools restart", "tools:restart", "Start a tool server anew, even one that is parked"),
        _entry("tools test", "tools_test:try_servers", "Try every tool server: start, list, one safe call"),
        _entry("tools login", "tools_login:login", "Log in to a remote tool server with a browser"),
        _entry("tools install", "tools_install:install", "Install the packages of tool servers, pinned"),
        _entry("tools classify", "tools_classify:classify", "What a tool does, from its definition alone"),
        _entry("audit list", "audit:list_records", "The record: who, what, when, why"),
        _entry("audit verify", "audit:verify", "Prove that the record was not altered"),
        _entry("audit export", "audit:export", "Print the whole chain, to verify it elsewhere"),
    ),
    "Set up": (
        _entry("config check", "config:check", "Check interlock.yaml and all that belongs to it"),
        _entry("config schema", "config:schema", "Print the JSON Schema of interlock.yaml"),
        _entry("config apply", "config:apply", "Check the configuration and make it the active version"),
        _entry("config versions", "config:versions", "The versions that were applied"),
        _entry("config diff", "config:diff", "What differs between two versions, or a version and this folder"),
        _entry("config rollback", "config:rollback", "Make an earlier version the active one again"),
        _entry("tokens create", "tokens:create", "Let an agent outside in: a token for /mcp"),
        _entry("tokens list", "tokens:list_tokens", "The tokens of agents outside"),
        _entry("tokens revoke", "tokens:revoke", "End a token"),
        _entry("mcp serve", "mcp_serve:serve", "Offer interlock itself to an assistant, as an MCP server"),
        _entry("db migrate", "db:migrate", "Bring the database up to date"),
        _entry("bench", "bench:bench", "Measure interlock on this machine, beside named peers"),
        _entry("version", "version:version", "Print the version"),
    ),
}

# Started by other commands, never by people; on no page.
INTERNAL = (_entry("tool-host", "tool_host:tool_host", "Own the tool servers of a project on this host"),)

GROUPS = {
    "tasks": "List, show, follow and steer tasks.",
    "queue": "The queue as a whole: pause, resume, drain.",
    "schedules": "Tasks that come by themselves: list, pause, resume, trigger.",
    "triggers": "Tasks that signed requests of other programs start: list, test.",
    "approvals": "Questions that wait for a person.",
    "calls": "Calls of tools, as the ledger has them.",
    "agents": "The configured agents.",
    "tools": "The tool servers and their tools.",
    "audit": "The tamper-evident record.",
    "config": "The configuration of a project folder.",
    "tokens": "What lets agents outside call tools through the gateway.",
    "mcp": "Interlock as an MCP server.",
    "db": "The database.",
}


def entries() -> Iterator[Entry]:
    """All commands, in the order in which they are shown."""
    for group in COMMANDS.values():
        yield from group


def overview() -> list[str]:
    """The page for `interlock --help`."""
    width = max(len(" ".join(entry.words)) for entry in entries())
    lines = [PURPOSE, "", "Usage: interlock COMMAND [OPTIONS]"]
    for title, group in COMMANDS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {' '.join(entry.words):<{width}}  {entry.help}" for entry in group]
    return [*lines, "", MORE, EXIT_STATUS]


def group_page(group: str) -> list[str]:
    """The page for `interlock GROUP --help`."""
    below = [entry for entry in entries() if entry.words[0] == group]
    width = max(len(entry.words[1]) for entry in below)
    lines = [f"Usage: interlock {group} COMMAND [OPTIONS]", "", GROUPS[group], "", "Commands:"]
    lines += [f"  {entry.words[1]:<{width}}  {entry.help}" for entry in below]
    return [*lines, "", MORE]


def unknown_command(words: Sequence[str]) -> str | None:
    """What is wrong with the first words of a command line, if they name no command."""
    if not words or words[0].startswith("-"):
        return None
    known = sorted({entry.words[0] for entry in entries()})
    if words[0] not in known and words[0] not in {entry.words[0] for entry in INTERNAL}:
        whole = [" ".join(entry.words) for entry in entries()]
        return f"there is no command '{_shown(words[0])}'{_nearest(words[0], [*known, *whole])}"
    below = [entry.words[1] for entry in entries() if entry.words[0] == words[0] and len(entry.words) > 1]
    if not below or len(words) < 2 or words[1].startswith("-") or words[1] in below:
        return None
    found = _nearest(words[1], below) or f"; there are: {', '.join(below)}"
    return f"there is no command '{words[0]} {_shown(words[1])}'{found}"


def _shown(word: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in word[:40])


def _nearest(word: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(word, known, n=1, cutoff=_SIMILAR)
    return f". Did you mean '{found[0]}'?" if found else ""


def build() -> "App":
    """The command line parser, every command registered and none loaded."""
    from cyclopts import App

    from interlock.cli.help_page import HelpPage
    from interlock.model import VERSION

    app = App(
        name="interlock",
        help=PURPOSE,
        help_format="plaintext",
        help_formatter=HelpPage(),
        help_on_error=False,
        version=VERSION,
        suppress_keyboard_interrupt=False,
    )
    groups = {name: App(name=name, help=text) for name, text in GROUPS.items()}
    for group in groups.values():
        app.command(group)
    for entry in (*entries(), *INTERNAL):
        *above, name = entry.words
        place = groups[above[0]] if above else app
        place.command(f"interlock.cli.{entry.target}", name=name)  # its own docstring is its help
    return app
