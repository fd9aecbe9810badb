"""Effects that would reach beyond the sandbox are not let through."""

from typing import Any

import pytest

from interlock.model import UserError
from interlock.servers.shell.guards import require_harmless, require_outside
from interlock.servers.workspace.effect import Effect, effect_between
from interlock.servers.workspace.entries import Entry, file_entry, state_of


def effect(path: str, after: bytes | None, before: bytes | None = None, mode: int = 0o644) -> Effect:
    parts = tuple(path.split("/"))
    old = Entry(parts, "missing") if before is None else file_entry(parts, before, 0o644)
    new = Entry(parts, "missing") if after is None else file_entry(parts, after, mode)
    return effect_between(state_of([old]), state_of([new]))


@pytest.mark.parametrize(
    ("path", "after"),
    [
        (".git/hooks/pre-commit", b"#!/bin/sh\n"),
        ("deep/sub/.GIT/hooks/post-checkout", b"x"),
        (".git/modules/lib/hooks/pre-push", b"x"),
        (".git/config", b"[core]\n\tfsmonitor = ./evil\n"),
        (".git/config", b"[core]\n\thooksPath = ../h\n"),
        (".git/config", b"[core] hookspath=../h\n"),
        (".git/config", b'[filter "x"]\n\tclean = evil\n'),
        (".git/config", b'[alias]\n\tst = "!evil"\n'),
        (".git/config", b"[include]\n\tpath = /tmp/x\n"),
        (".git/config.worktree", b"[core]\n\tsshCommand = evil\n"),
        (".git/modules/lib/config", b'[diff "x"]\n\ttextconv = evil\n'),
        (".git/worktrees/w/config.worktree", b"[core]\n\tpager = evil\n"),
    ],
)
def test_what_git_would_run_is_refused(path: str, after: bytes) -> None:
    with pytest.raises(UserError, match="git runs code"):
        require_harmless(effect(path, after))


@pytest.mark.parametrize(
    ("path", "after", "before"),
    [
        (".git/hooks/pre-commit.sample", b"#!/bin/sh\n", None),
        (".git/hooks/pre-commit", None, b"old"),
        (".git/config", b"[core]\n\tbare = false\n[user]\n\tname = A\n", None),
        (".git/config", b"[core]\n\tpager = less\n[user]\n\tname = A\n", b"[core]\n\tpager = less\n"),
        (".git/objects/aa/bb", b"x", None),
        (".git/refs/heads/hooks/fix", b"x", None),
        (".git/logs/refs/heads/hooks/fix", b"x", None),
        ("config", b"[alias]\n", None),
        ("hooks/pre-commit", b"x", None),
        ("src/a.py", b"x", b"y"),
    ],
)
def test_other_changes_pass(path: str, after: bytes | None, before: bytes | None) -> None:
    require_harmless(effect(path, after, before))


def test_a_link_in_the_place_of_what_git_reads_is_refused() -> None:
    for path in (".git", ".git/hooks", ".git/config", ".git/hooks/pre-push"):
        parts = tuple(path.split("/"))
        link: Any = Entry(parts, "symlink", mode=0o777, target="../elsewhere", size=12)
        with pytest.raises(UserError, match="git runs code"):
            require_harmless(effect_between(state_of([Entry(parts, "missing")]), state_of([link])))


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6755])
def test_a_program_with_the_rights_of_its_owner_is_refused(mode: int) -> None:
    with pytest.raises(UserError, match="owner's rights"):
        require_harmless(effect("tool", b"x", None, mode))


def test_what_is_in_no_copy_can_not_be_changed() -> None:
    require_outside([("a",), ("b", "c")], [("b", "d")])
    for touched in [("b",), ("b", "d"), ("b", "d", "e"), ()]:
        with pytest.raises(UserError, match="can't be changed here"):
            require_outside([touched], [("b", "d")])
