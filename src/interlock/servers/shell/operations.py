"""One call from start to end. Everything here blocks and runs in a thread."""

import threading
from collections.abc import Mapping
from typing import Any

from interlock.model import InterlockError, UserError
from interlock.sandbox import Means
from interlock.servers.shared.calls import CallNotes, Outcome
from interlock.servers.shared.journal import Journal
from interlock.servers.shell.answers import fitting, shortened, structured_of, text_of
from interlock.servers.shell.bringing import Applied, bring_about, finish_begun
from interlock.servers.shell.held import Held
from interlock.servers.shell.in_place import effect_in_place, run_in_place
from interlock.servers.shell.limits import PREVIEW_S, SHOWN_BYTES
from interlock.servers.shell.output import last_of
from interlock.servers.shell.running import Ended
from interlock.servers.shell.scratch import Scratch
from interlock.servers.shell.staging import NotStaged, Staging, summary_of
from interlock.servers.shell.tools import check_arguments
from interlock.servers.shell.walls import Request, Walls
from interlock.servers.workspace.entries import state_sha256
from interlock.servers.workspace.opening import Openings
from interlock.servers.workspace.operations import Workspace, message_of
from interlock.servers.workspace.paths import is_below, quoted, show
from interlock.servers.workspace.plan import shown
from interlock.servers.workspace.root import Root
from interlock.servers.workspace.snapshot import Keep, capture

INSTALL = "apt-get install bubblewrap"
NAMED_PATHS = 5


class Shell:
    """The calls on one folder.

    Args:
        root: the folder.
        walls: how commands are confined.
        staging: the copy; None when commands are to work on the folder itself.
        scratch: the server's own folder.
        journal: is told of each change.
    """

    def __init__(self, root: Root, walls: Walls, staging: Staging | None, scratch: Scratch, journal: Journal) -> None:
        self._root = root
        self._walls = walls
        self._staging = staging
        self._scratch = scratch
        self._journal = journal
        self._openings = Openings(root, scratch.around)
        self._files = Workspace(root, journal, self._openings, git=True)

    def recover(self) -> None:
        """Finish what a server began to bring about before it was killed.

        Raises:
            Exhausted: another call is working in the folder.
            OSError: the system refuses.
        """
        if self._staging is not None:
            finish_begun(self._root, self._staging.store, self._openings)
        self._files.recover()

    def call(self, tool: str, args: Mapping[str, Any], notes: CallNotes, stop: threading.Event) -> Outcome:
        """Do a call; everything that goes wrong becomes a failed outcome with a plain sentence."""
        try:
            check_arguments(tool, args)
            if tool == "run":
                return self._run(args, notes, stop)
            if tool == "preview":
                return self._preview(args["args"], stop)
            return self._files.carry_out(tool, args, notes)
        except (InterlockError, OSError) as error:
            return Outcome(message_of(error), failed=True)

    def _preview(self, args: Mapping[str, Any], stop: threading.Event) -> Outcome:
        check_arguments("run", args)
        request = Request.read(self._root, args)
        if self._walls.network:
            return _not_staged("What it does depends on the network, which a trial is not given.")
        trial = Request(request.args, request.command, request.stdin, request.cwd, min(request.timeout_s, PREVIEW_S))
        staged = self._stage(trial, stop)
        if isinstance(staged, NotStaged):
            return _not_staged(staged.why)
        if isinstance(staged, Ended):
            if staged.cut_short == "time" and request.timeout_s > trial.timeout_s:
                return _not_staged(f"It takes longer than the {PREVIEW_S} s that a trial may take.")
            return Outcome(f"Nothing would be changed.\n{text_of(staged, '')}", failed=True)
        structured = {
            "effect": {
                **shortened(staged.effect),
                "exit_status": staged.ended.exit_status,
                "output": last_of(text_of(staged.ended, ""), SHOWN_BYTES),
                "left_out": list(staged.left_out),
                "measured_at": staged.at,
            },
            "touched": shown(staged.touched),
            "state_sha256": staged.state_sha256,
            "state_sha256_after": staged.state_sha256_after,
        }
        return Outcome(text_of(staged.ended, staged.summary or "No files would be changed."), structured)

    def _run(self, args: Mapping[str, Any], notes: CallNotes, stop: threading.Event) -> Outcome:
        request = Request.read(self._root, args)
        staged = self._stage(request, stop)
        if isinstance(staged, NotStaged):
            return self._run_in_place(request, notes, stop, staged.why)
        if isinstance(staged, Ended):
            return Outcome(
                f"{text_of(staged, '')}\nNo files were changed.", fitting(structured_of(staged, NO_EFFECT)), failed=True
            )
        refusal = self._unexpected(staged, notes.expect_state_sha256)
        if refusal is not None:
            return refusal
        if stop.is_set():
            raise UserError("The call was stopped before anything was changed.")
        return self._answer(staged, bring_about(self._root, self._journal, self._openings, staged, notes.key))

    def _stage(self, request: Request, stop: threading.Event) -> Held | Ended | NotStaged:
        if self._staging is not None:
            return self._staging.stage(request, stop)
        if self._walls.means is Means.BUBBLEWRAP:
            return NotStaged("Commands work on the folder itself here, as configured.")
        return NotStaged(f"There is no bubblewrap to show a copy in the folder's place ({INSTALL}).")

    def _answer(self, staged: Held, applied: Applied) -> Outcome:
        if applied.present is not None:
            return self._changed_since(staged, state_sha256(applied.present))
        if self._staging is not None:
            self._staging.store.forget(staged)
        ended = staged.ended
        structured = structured_of(ended, applied.effect)
        structured["measured_at"] = staged.at
        structured["state_sha256_before"] = staged.state_sha256
        if applied.state_sha256 is not None:
            structured["state_sha256"] = applied.state_sha256
        if staged.left_out:
            structured["left_out"] = list(staged.left_out[:NAMED_PATHS])
        if applied.failure is not None:
            structured["partial"] = True
            text = f"{text_of(ended, '')}\nIts changes were brought about in part: {applied.failure}"
            return Outcome(text, fitting(structured), failed=True)
        return Outcome(text_of(ended, staged.summary), fitting(structured), failed=ended.exit_status != 0)

    def _run_in_place(self, request: Request, notes: CallNotes, stop: threading.Event, why: str) -> Outcome:
        if notes.expect_state_sha256 is not None:
            raise UserError(f"It was tried on a copy before, and that is no longer possible. Nothing was done. {why}")
        self._journal.begin("run", notes.key, ["."])
        ended, effect = run_in_place(self._root, self._walls, self._scratch, request, stop)
        found = effect_in_place(effect)
        numbers = {name: found.get(name) for name in ("files_changed", "folders_changed", "bytes_changed")}
        self._journal.end("run", notes.key, {"measured": effect is not None, "in_place": True, **numbers})
        summary = "" if effect is None else summary_of(effect, ())
        return Outcome(text_of(ended, summary), fitting(structured_of(ended, found)), failed=ended.exit_status != 0)

    def _unexpected(self, staged: Held, expected: str | None) -> Outcome | None:
        """The refusal of an effect that is not the one that was previewed; None when it is."""
        if expected in (None, staged.state_sha256) or self._staging is None:
            return None
        prior = next(
            (held for held in self._staging.store.all() if held.args == staged.args and held.state_sha256 == expected),
            None,
        )
        if prior is None:
            return self._changed_since(staged, staged.state_sha256, expected)
        beyond = [parts for parts in staged.touched if not any(is_below(parts, top) for top in prior.touched)]
        if beyond:
            named = ", ".join(quoted(show(parts)) for parts in beyond[:NAMED_PATHS])
            text = f"It would have changed {named}, which was not in the preview. Nothing was changed; try it again."
            return Outcome(text, self._refused(staged, expected, [show(parts) for parts in beyond]), failed=True)
        now = state_sha256(capture(self._root, prior.touched, Keep.NOTHING))
        return None if now == expected else self._changed_since(staged, now, expected)

    def _changed_since(self, staged: Held, present: str, expected: str | None = None) -> Outcome:
        text = "The files are not as they were when the command was tried. Nothing was changed; look at them again."
        refused = self._refused(staged, expected or staged.state_sha256, [])
        return Outcome(text, {**refused, "state_sha256": present}, failed=True)

    @staticmethod
    def _refused(staged: Held, expected: str, beyond: list[str]) -> dict[str, Any]:
        return fitting(
            {
                **structured_of(staged.ended, NO_EFFECT),
                "conflict": True,
                "beyond_preview": beyond[:100],
                "expected_state_sha256": expected,
                "state_sha256": staged.state_sha256,
            }
        )


NO_EFFECT: dict[str, Any] = {"files": [], "files_changed": 0, "folders_changed": 0, "bytes_changed": 0, "diff": ""}


def _not_staged(why: str) -> Outcome:
    return Outcome(f"The command can't be tried beforehand. {why}", {"staged": False, "why": why}, failed=True)
