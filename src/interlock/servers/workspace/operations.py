"""One call from start to end: plan, check, apply, measure. Everything here blocks and runs in a thread."""

from collections.abc import Callable, Mapping
from typing import Any

from interlock.model import InterlockError, UserError
from interlock.servers.shared.calls import CallNotes, Outcome
from interlock.servers.shared.journal import Journal
from interlock.servers.workspace.apply import Disk
from interlock.servers.workspace.arguments import check_arguments
from interlock.servers.workspace.effect import effect_between
from interlock.servers.workspace.entries import Entry, State, state_sha256
from interlock.servers.workspace.limits import SNAPSHOT_CONTENT_BYTES, SNAPSHOT_ENTRIES
from interlock.servers.workspace.opening import Openings
from interlock.servers.workspace.paths import is_temporary, parse_path, quoted, show
from interlock.servers.workspace.plan import PLANNERS, Plan, shown
from interlock.servers.workspace.reading import list_folder, read_bytes, read_file
from interlock.servers.workspace.restoring import Manner, check_entries, plan_restore
from interlock.servers.workspace.root import Root, sentence
from interlock.servers.workspace.search import search
from interlock.servers.workspace.snapshot import Keep, capture

READERS: Mapping[str, Callable[[Root, Mapping[str, Any]], tuple[str, dict[str, Any]]]] = {
    "list": list_folder,
    "read": read_file,
    "search": search,
    "content": read_bytes,
}
CONFLICT = "The files are not as expected: something else changed them. Nothing was done; look at them again."


class Workspace:
    """The calls on one workspace folder.

    Args:
        root: the folder.
        journal: is told of each change.
        openings: opens write-protected folders for a restore; without one their record is in the root itself.
        git: whether a restore may change the inside of a `.git`; the tools for agents never may.
    """

    def __init__(self, root: Root, journal: Journal, openings: Openings | None = None, *, git: bool = False) -> None:
        self._root = root
        self._journal = journal
        self._openings = openings or Openings(root)
        self._git = git

    def recover(self) -> None:
        """Close the folders that a killed server left open.

        Raises:
            Exhausted: another call is working in the folder.
            OSError: the system refuses.
        """
        if self._openings.is_left():
            with self._root.exclusive():
                self._openings.put_back()

    def call(self, tool: str, args: Mapping[str, Any], notes: CallNotes) -> Outcome:
        """Do a call; everything that goes wrong becomes a failed outcome with a plain sentence."""
        try:
            check_arguments(tool, args)
            return self.carry_out(tool, args, notes)
        except (InterlockError, OSError) as error:
            return Outcome(message_of(error), failed=True)

    def carry_out(self, tool: str, args: Mapping[str, Any], notes: CallNotes) -> Outcome:
        """Do a call whose arguments were checked.

        Raises:
            InterlockError, OSError: it can't be done, and why.
        """
        if tool in READERS:
            return Outcome(*READERS[tool](self._root, args))
        with self._root.exclusive():
            self._openings.put_back()  # there is only something to do where a server was killed
            if tool == "preview":
                return self._preview(args)
            if tool == "capture":
                return self._capture(args)
            if tool == "restore":
                return self._restore(args, notes)
            plan = PLANNERS[tool](self._root, args)
            if notes.expect_state_sha256 not in (None, state_sha256(plan.before)):
                return conflict(notes.expect_state_sha256, plan.before)
            return self._perform(tool, plan, notes)[0]

    def _preview(self, args: Mapping[str, Any]) -> Outcome:
        tool, inner = args["tool"], args["args"]
        check_arguments(tool, inner)
        plan = PLANNERS[tool](self._root, inner) if tool in PLANNERS else Plan((), {}, {}, ())
        effect = effect_between(plan.before, plan.after, plan.moves)
        structured = {
            "effect": effect.to_json(),
            "touched": shown(plan.touched),
            "state_sha256": state_sha256(plan.before),
            "state_sha256_after": state_sha256(plan.after),
        }
        return Outcome(effect.summary(), structured)

    def _capture(self, args: Mapping[str, Any]) -> Outcome:
        content = args.get("content", False)
        paths = [parse_path(text) for text in args["paths"]]
        state = capture(self._root, paths, Keep.ALL if content else Keep.NOTHING)
        room_bytes = args.get("max_inline_bytes", SNAPSHOT_CONTENT_BYTES)
        entries, pending = [], []
        for entry in state.values():
            inline = content and entry.size <= room_bytes
            if content and entry.kind == "file" and not inline:
                pending.append(show(entry.parts))
            room_bytes -= entry.size if inline and entry.kind == "file" else 0
            entries.append(entry.to_json(content=inline))
        structured = {"entries": entries, "pending": pending, "state_sha256": state_sha256(state)}
        return Outcome(f"captured {len(entries)} entries", structured)

    def _restore(self, args: Mapping[str, Any], notes: CallNotes) -> Outcome:
        paths = [parse_path(text) for text in args["paths"]]
        entries = [Entry.from_json(data) for data in args["entries"]]
        _require_bounds(entries)
        wanted = check_entries(entries, paths)
        present = capture(self._root, paths, Keep.FOR_DIFF)
        expected = args.get("expect_state_sha256")
        if expected not in (None, state_sha256(present)):
            return conflict(expected, present)
        plan = plan_restore(self._root, present, wanted, Manner(git=self._git))
        outcome, after = self._perform("restore", plan, notes)
        restored = after is not None and state_sha256(after) == state_sha256(wanted)
        structured = {**(outcome.structured or {}), "restored": restored}
        if restored or outcome.failed:
            return Outcome(outcome.text, structured, outcome.failed)
        text = "Something else changed the files during the restore; they are not as they were. Look at them again."
        return Outcome(text, structured, failed=True)

    def _perform(self, tool: str, plan: Plan, notes: CallNotes) -> tuple[Outcome, State | None]:
        self._journal.begin(tool, notes.key, shown(plan.touched))
        failure = self._apply(plan)
        try:
            after = capture(self._root, plan.touched, Keep.FOR_DIFF)
        except (InterlockError, OSError) as error:
            self._journal.end(tool, notes.key, {"measured": False})
            text = f"{failure or 'It was done.'} What changed could not be measured: {message_of(error)}"
            return Outcome(text, {"measured": False, "touched": shown(plan.touched)}, failed=True), None
        effect = effect_between(plan.before, after, plan.moves)
        structured: dict[str, Any] = {
            "effect": effect.to_json(),
            "touched": shown(plan.touched),
            "state_sha256_before": state_sha256(plan.before),
            "state_sha256": state_sha256(after),
        }
        self._journal.end(tool, notes.key, {"measured": True, "complete": failure is None, **numbers_of(structured)})
        if failure is None:
            return Outcome(effect.summary(), structured), after
        done = f" It was done in part:\n{effect.summary()}" if effect.changes else " Nothing changed."
        return Outcome(f"{failure}{done}", {**structured, "partial": bool(effect.changes)}, failed=True), after

    def _apply(self, plan: Plan) -> str | None:
        """Do the steps; the sentence that says why it stopped, or None when all are done."""
        try:
            with Disk(self._root, self._openings) as disk:
                for step in plan.steps:
                    disk.apply(step)
        except (InterlockError, OSError) as error:
            return message_of(error)
        return None


def numbers_of(structured: dict[str, Any]) -> dict[str, Any]:
    """What the journal keeps of a measured result."""
    effect = structured["effect"]
    return {
        "files_changed": effect["files_changed"],
        "folders_changed": effect["folders_changed"],
        "bytes_changed": effect["bytes_changed"],
        "state_sha256_before": structured["state_sha256_before"],
        "state_sha256": structured["state_sha256"],
    }


def conflict(expected: str | None, present: State) -> Outcome:
    """The answer to a call whose files are not as expected."""
    structured = {
        "conflict": True,
        "expected_state_sha256": expected,
        "state_sha256": state_sha256(present),
        "touched": shown(tuple(present)),
    }
    return Outcome(CONFLICT, structured, failed=True)


def _require_bounds(entries: list[Entry]) -> None:
    if len(entries) > SNAPSHOT_ENTRIES:
        raise UserError(f"There are more than {SNAPSHOT_ENTRIES:,} entries; restore smaller folders.")
    if sum(len(entry.content or b"") for entry in entries) > SNAPSHOT_CONTENT_BYTES:
        raise UserError(f"The entries hold more than {SNAPSHOT_CONTENT_BYTES:,} bytes; restore smaller folders.")


def message_of(error: InterlockError | OSError) -> str:
    """What went wrong as a plain sentence, without paths of the machine."""
    if isinstance(error, InterlockError):
        return error.message
    # Everything is reached name by name, so the system's own word for where it failed is a mere name.
    name = error.filename
    plain = isinstance(name, str) and name != "." and "/" not in name and not is_temporary(name)
    where = f" at {quoted(name)}" if plain else ""
    return f"The call could not be done{where}: {sentence(error)}."
