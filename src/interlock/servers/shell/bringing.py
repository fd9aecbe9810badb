"""Bringing about an effect that is held: the folder is changed to exactly the state that was measured, or not at all.

A crash in the middle leaves a mark; the next server that starts on the folder goes on from there, if nothing else has
changed the files since.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from interlock.model import InterlockError
from interlock.servers.shared.journal import Journal
from interlock.servers.shell.held import Held, Store
from interlock.servers.workspace.apply import Disk
from interlock.servers.workspace.effect import effect_between
from interlock.servers.workspace.entries import Entry, State, state_sha256
from interlock.servers.workspace.opening import Openings
from interlock.servers.workspace.operations import message_of, numbers_of
from interlock.servers.workspace.plan import Plan, PutFile, Step, shown
from interlock.servers.workspace.restoring import Manner, plan_restore
from interlock.servers.workspace.root import Root
from interlock.servers.workspace.snapshot import Keep, capture


@dataclass(frozen=True)
class Applied:
    """What came of it.

    Attributes:
        effect: measured on the folder itself.
        state_sha256: of what was touched, afterwards; None when it could not be measured.
        failure: why it was only done in part.
        present: the state that was found instead of the expected one; then nothing was done.
    """

    effect: dict[str, Any]
    state_sha256: str | None = None
    failure: str | None = None
    present: State | None = None


def bring_about(root: Root, journal: Journal, openings: Openings, held: Held, key: str | None) -> Applied:
    """Change the folder to the state after, if what is touched is in the state before.

    Args:
        root: the folder.
        journal: is told.
        openings: opens write-protected folders for as long as it takes.
        held: the effect.
        key: the caller's name for the call.

    Raises:
        InterlockError, OSError: nothing was done, and why.
    """
    with root.exclusive():
        openings.put_back()
        present = capture(root, held.touched, Keep.FOR_DIFF)
        if state_sha256(present) != held.state_sha256:
            return Applied({}, present=present)
        plan = _plan(root, present, held)
        journal.begin("run", key, shown(held.touched))
        failure = _apply(root, openings, plan, held)
        try:
            after = capture(root, held.touched, Keep.FOR_DIFF)
        except (InterlockError, OSError) as error:
            journal.end("run", key, {"measured": False})
            unmeasured = f"{failure or 'all was done'}; what changed could not be measured: {message_of(error)}"
            return Applied({"measured": False}, failure=unmeasured)
        effect, sha256 = effect_between(present, after).to_json(), state_sha256(after)
        numbers = numbers_of({"effect": effect, "state_sha256_before": held.state_sha256, "state_sha256": sha256})
        journal.end("run", key, {"measured": True, "complete": failure is None, **numbers})
        if failure is None and sha256 != held.state_sha256_after:
            failure = "something else changed the files at the same time"
        return Applied(effect, sha256, failure)


def finish_begun(root: Root, store: Store, openings: Openings) -> None:
    """Go on with what a killed server began, where each path is as it was before, or as it is to be.

    Raises:
        Exhausted: another call is working in the folder.
        OSError: the system refuses.
    """
    for held in store.all():
        if not held.begun.exists():
            continue
        with root.exclusive(), suppress(InterlockError):
            openings.put_back()
            present = capture(root, held.touched, Keep.FOR_DIFF)
            if held.begun.exists() and _is_between(present, held):
                _apply(root, openings, _plan(root, present, held), held)
        held.begun.unlink(missing_ok=True)


def _plan(root: Root, present: State, held: Held) -> Plan:
    return plan_restore(root, present, held.after, Manner(git=True, put=partial(_put, held)))


def _put(held: Held, then: Entry, now: Entry | None) -> Step:
    content = held.content(then.sha256 or "")
    return PutFile(then.parts, content, then.mode or 0, now, then.mtime_ns, then.owner)


def _apply(root: Root, openings: Openings, plan: Plan, held: Held) -> str | None:
    """Do the steps; the sentence that says why it stopped, or None when all are done."""
    if not plan.steps:
        return None
    held.begun.touch(mode=0o600)
    try:
        with Disk(root, openings) as disk:
            for step in plan.steps:
                disk.apply(step)
    except (InterlockError, OSError) as error:
        return message_of(error)
    finally:
        held.begun.unlink(missing_ok=True)
    return None


def _is_between(present: State, held: Held) -> bool:
    """Whether each path is as before, as after, or a folder on the way there."""
    for parts in present.keys() | held.before.keys() | held.after.keys():
        now = present.get(parts)
        if now is None or now.kind == "missing":
            continue
        sides = [side for side in (held.before.get(parts), held.after.get(parts)) if side is not None]
        if not any(side.identity == now.identity or side.kind == now.kind == "dir" for side in sides):
            return False
    return True
