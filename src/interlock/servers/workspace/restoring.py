"""Back to a captured state: the difference between now and then as steps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from interlock.model import UserError
from interlock.servers.workspace.entries import Entry, State, state_of
from interlock.servers.workspace.opening import OPEN_MODE, opening
from interlock.servers.workspace.paths import Parts, is_below, is_protected, named, topmost
from interlock.servers.workspace.plan import (
    MakeFolder,
    Plan,
    PutFile,
    PutLink,
    Remove,
    SetFolder,
    Step,
    Touch,
    find_way,
)
from interlock.servers.workspace.root import Root

MISSING = "missing"


def check_entries(entries: list[Entry], paths: list[Parts]) -> State:
    """The wanted state, checked: whole, consistent, and only about `paths`.

    Raises:
        UserError: a path has no entry, or an entry is repeated, outside the paths, or without its folder.
    """
    tops = topmost(paths)
    wanted = state_of(entries)
    if len(wanted) != len(entries):
        raise UserError("An entry is given twice; pass the entries as 'capture' returned them.")
    for top in tops:
        if top not in wanted:
            raise UserError(f"There is no entry for {named(top)}; pass the entries as 'capture' returned them.")
    for parts, entry in wanted.items():
        if not any(is_below(parts, top) for top in tops):
            raise UserError(f"The entry {named(parts)} is outside the given paths.")
        if parts in tops:
            if not parts and entry.kind != "dir":
                raise UserError("The workspace folder itself can only be restored as a folder.")
            continue
        above = wanted.get(parts[:-1])
        if above is None or above.kind != "dir" or entry.kind == MISSING:
            raise UserError(f"The entry {named(parts)} does not fit the entry of its folder.")
    return wanted


def put_content(then: Entry, now: Entry | None) -> Step:
    """The step that puts a file in place, with the content that its entry holds.

    Raises:
        UserError: the entry holds none.
    """
    content = then.content
    if content is None and now is not None and now.sha256 == then.sha256:
        content = now.content
    if content is None and then.size == 0:
        content = b""
    if content is None:
        raise UserError(f"The entry {named(then.parts)} holds no content; capture with 'content' set to true.")
    return PutFile(then.parts, content, then.mode or 0, now, then.mtime_ns, then.owner)


@dataclass(frozen=True)
class Manner:
    """How a state is brought about.

    Attributes:
        git: whether the inside of a `.git` may change.
        put: the step that makes a file as wanted; it is given the file that is there now, if there is one.
    """

    git: bool = False
    put: Callable[[Entry, Entry | None], Step] = put_content


def plan_restore(root: Root, present: State, wanted: State, manner: Manner | None = None) -> Plan:
    """The steps from the present state to the wanted one.

    Raises:
        UserError: it would change a `.git` that may not, content is needed that the entries don't hold, or a folder
            is write-protected and not ours to open.
    """
    tops = topmost(list(wanted))
    goal = _Goal(root, present, wanted, manner or Manner())
    ways = [find_way(root, top) for top in tops if top and wanted[top].kind != MISSING]
    made = {step.parts: step for way in ways for step in way.steps if isinstance(step, MakeFolder)}
    steps: tuple[Step, ...] = (
        *goal.opened(),
        *goal.removed(),
        *made.values(),
        *goal.made(),
        *goal.finished(),
    )
    return Plan(tops, present, wanted, steps)


@dataclass(frozen=True)
class _Goal:
    root: Root
    present: State
    wanted: State
    manner: Manner

    def now(self, parts: Parts) -> Entry:
        return self.present.get(parts) or Entry(parts, MISSING)

    def then(self, parts: Parts) -> Entry:
        return self.wanted.get(parts) or Entry(parts, MISSING)

    def changed(self) -> list[Parts]:
        """The paths that are not as wanted."""
        found = [
            parts
            for parts in sorted({*self.present, *self.wanted})
            if self.now(parts).identity != self.then(parts).identity
        ]
        for parts in found:
            if self.kept(parts):
                raise UserError(f"{named(parts)} belongs to git, whose hooks and settings are code; it is not changed.")
        return found

    def kept(self, parts: Parts) -> bool:
        """Whether a path is left as it is, whatever is wanted."""
        return is_protected(parts) and not self.manner.git

    def opened(self) -> Iterator[Step]:
        """Folders that are write-protected, opened for as long as names in them change, the outermost first.

        Also the one around all that is wanted: a command may have protected it again after it changed something in it.
        """
        for folder in sorted({folder for parts in self.changed() for folder in self.around(parts)}):
            then = self.then(folder)
            step = opening(self.root, folder, then.mode if then.kind == "dir" else None)
            if step is not None:
                yield step

    def around(self, parts: Parts) -> Iterator[Parts]:
        """The folder that is there and in which a name changes so that a path can be as wanted, if there is one."""
        now, then = self.now(parts), self.then(parts)
        if not parts or now.kind == then.kind == "dir":
            return
        if parts[:-1] in self.present:
            if self.present[parts[:-1]].kind == "dir":
                yield parts[:-1]
        elif parts[:-1] not in self.wanted:
            yield find_way(self.root, parts).top[:-1]

    def removed(self) -> Iterator[Step]:
        """What is there and should not be, the innermost first."""
        for parts in reversed(self.changed()):
            now, then = self.now(parts), self.then(parts)
            if now.kind != MISSING and (now.kind != then.kind or now.kind == "symlink"):
                yield Remove(parts, now)

    def made(self) -> Iterator[Step]:
        """What should be there and is not so, the outermost first."""
        changed = set(self.changed())
        for parts, then in self.wanted.items():
            now = self.now(parts)
            if parts not in changed:
                if then.kind == "file" and then.mtime_ns not in (None, now.mtime_ns) and not self.kept(parts):
                    yield Touch(parts, then.mtime_ns or 0)
            elif then.kind == "dir" and now.kind != "dir":
                yield MakeFolder(parts, OPEN_MODE)
            elif then.kind == "symlink":
                yield PutLink(parts, then.target or "", then.mtime_ns, then.owner)
            elif then.kind == "file":
                yield self.manner.put(then, now if now.kind == "file" else None)

    def finished(self) -> Iterator[Step]:
        """Modes and times of folders, the innermost first, once nothing inside them changes any more."""
        changed = self.changed()
        busy = {parts[:-1] for parts in changed if parts} | set(changed)
        for parts, then in reversed(self.wanted.items()):
            now = self.now(parts)
            if then.kind != "dir" or self.kept(parts):
                continue
            if parts in busy or then.mtime_ns not in (None, now.mtime_ns):
                yield SetFolder(parts, then.mode or 0, then.mtime_ns, then.owner)
