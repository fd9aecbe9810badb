"""Effects that are not let out of the copy: what would reach beyond the walls later, or could not be taken back."""

import re
from collections.abc import Iterable

from interlock.model import UserError
from interlock.servers.workspace.effect import Change, Effect
from interlock.servers.workspace.entries import Entry
from interlock.servers.workspace.paths import Parts, is_below, named

OTHERS_RIGHTS = 0o6000  # set-user-id and set-group-id
NOTHING_DONE = "Nothing was changed."
NAMES = ("refs", "logs", "objects")  # what is below them is named by people, and is not run
SETTINGS = ("config", "config.worktree")
# Settings whose value git runs, or by which it takes settings from elsewhere.
RUNS = re.compile(
    rb"^[ \t]*(?:\[[^\]]*\][ \t]*)?(?:[a-z]*(?:command|cmd|editor|pager|program|helper|askpass|proxy)|fsmonitor|"
    rb"hookspath|clean|smudge|process|textconv|driver|path|uploadpack|receivepack|vcs|worktree)[ \t]*=[^\n]*$"
    rb"|^[ \t]*\[(?:alias|include|includeif)\b[^\n]*$",
    re.IGNORECASE | re.MULTILINE,
)


def require_harmless(effect: Effect) -> None:
    """Check that nothing of an effect runs outside of the sandbox by itself, or with the rights of others.

    Raises:
        UserError: something does; the sentence names it.
    """
    for change in effect.changes:
        if change.after is None:
            continue
        entry = change.after
        before = change.before.mode or 0 if change.before else 0
        if entry.kind == "file" and (entry.mode or 0) & OTHERS_RIGHTS & ~before:
            raise UserError(
                f"The command would leave {named(entry.parts)} as a program that runs with its owner's rights, "
                f"which is not let out of the sandbox. {NOTHING_DONE}"
            )
        if _is_run_by_git(change):
            raise UserError(
                f"The command would change {named(entry.parts)} so that git runs code from it outside of the sandbox; "
                f"leave hooks and such settings as they are. {NOTHING_DONE}"
            )


def require_outside(touched: Iterable[Parts], kept: Iterable[Parts]) -> None:
    """Check that an effect has nothing to do with paths that are not in the copy.

    Raises:
        UserError: it has; the sentence names the path.
    """
    hidden = tuple(kept)
    for parts in touched:
        for other in hidden:
            if is_below(parts, other) or is_below(other, parts):
                raise UserError(
                    f"The command would change {named(parts)}, and {named(other)} can't be changed here. {NOTHING_DONE}"
                )


def _is_run_by_git(change: Change) -> bool:
    parts = change.entry.parts
    folded = [part.casefold() for part in parts]
    if ".git" not in folded:
        return False
    inside = folded[folded.index(".git") + 1 :]
    if inside and inside[0] in NAMES:
        return False
    if not inside:  # `.git` itself: a folder, or a file or link that names another place
        return change.entry.kind == "symlink"
    if "hooks" in inside[:-1] and not (change.entry.kind == "file" and inside[-1].endswith(".sample")):
        return change.entry.kind != "dir"
    if inside[-1] == "hooks" or inside[-1] in SETTINGS:
        return change.entry.kind == "symlink" or not _settings(change.after) <= _settings(change.before)
    return False


def _settings(entry: Entry | None) -> set[bytes]:
    """The lines of settings that make git run something; unknown content counts as such a line."""
    if entry is None or entry.kind != "file":
        return set()
    if entry.content is None:
        return {entry.sha256.encode() if entry.sha256 else b"?"}
    return {b" ".join(line.split()) for line in RUNS.findall(entry.content)}
