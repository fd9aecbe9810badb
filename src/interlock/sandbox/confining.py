"""The command line that runs a program confined."""

import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from interlock.model import ToolUnavailable
from interlock.sandbox import cgroups
from interlock.sandbox.machine import Bubblewrap, bubblewrap, is_root, landlock_abi
from interlock.sandbox.places import Show, View, needed, view_of
from interlock.sandbox.seccomp import base_filter, landlock_filter
from interlock.sandbox.terms import Confinement, Means

_SCRIPT = Path(__file__).with_name("restrict.py")
_SHOWN_SCRIPT = "/dev/interlock/restrict.py"  # in a folder of the sandbox's own
_MIB = 1024 * 1024
_TMP_MIB = 1024  # without a memory limit; what is in /tmp is memory
_DEVICES = ("null", "zero", "full", "random", "urandom")
_TRUNCATE_ABI = 3
_BUBBLEWRAP_PROCESSES = 2  # one outside, one as the first process inside
_OPTIONS = {Show.READ: "--read", Show.WRITE: "--write"}


@dataclass(frozen=True)
class _Program:
    """What is run, where, and what it sees."""

    argv: tuple[str, ...]
    cwd: Path
    confinement: Confinement
    view: View


def confined(argv: Sequence[str], confinement: Confinement, *, cwd: Path, means: Means) -> tuple[str, ...]:
    """The command line that runs `argv` confined; it fails, and runs nothing, where that can't be done.

    Args:
        argv: the program with its full path, and its arguments.
        confinement: what it may do.
        cwd: the folder to run in; it must be one that the program sees.
        means: by what to confine it, such as what `prospect` found.

    Raises:
        ToolUnavailable: bubblewrap is not installed, or `binds` are asked of something else.
    """
    if confinement.binds and means is not Means.BUBBLEWRAP:
        raise ToolUnavailable("only bubblewrap can show one folder in the place of another", hint=INSTALL)
    if means is Means.NONE:
        return tuple(argv)
    ours = needed(Path(sys.executable), "")
    view = view_of(confinement, Path(argv[0]), ours if means is Means.BUBBLEWRAP else (*ours, _SCRIPT))
    program = _Program(tuple(argv), cwd, confinement, view)
    if means is Means.LANDLOCK:
        return _limited(_landlock(program), confinement, 0)
    found = bubblewrap()
    if found is None:
        raise ToolUnavailable("bubblewrap is not installed", hint=INSTALL)
    return _limited(_bubblewrap(program, found), confinement, _BUBBLEWRAP_PROCESSES)


INSTALL = "apt-get install bubblewrap"


def _limited(argv: tuple[str, ...], confinement: Confinement, extra: int) -> tuple[str, ...]:
    """With the limit of processes, where only a control group can set it: the kernel counts none of root's."""
    if not is_root() or confinement.processes is None:
        return argv
    return cgroups.within(argv, confinement.processes + extra)


def _restricted(script: str, options: list[str], argv: tuple[str, ...]) -> tuple[str, ...]:
    return (str(Path(sys.executable).resolve()), "-I", "-S", script, *options, "--", *argv)


def _limits(confinement: Confinement, code: bytes) -> list[str]:
    options = ["--scoped"]
    if code:
        options += ["--filter", zlib.compress(code).hex()]
    if confinement.memory_mb is not None:
        options += ["--data-bytes", str(confinement.memory_mb * _MIB)]
    if confinement.processes is not None and not is_root():
        options += ["--processes", str(confinement.processes)]
    return options


# ---- Landlock --------------------


def _landlock(program: _Program) -> tuple[str, ...]:
    confinement, view = program.confinement, program.view
    code = landlock_filter(
        network=confinement.network,
        unix=any(path.is_socket() for path in (*confinement.read, *confinement.write)),
        truncate=landlock_abi() >= _TRUNCATE_ABI,
        modes=confinement.modes,
        root=is_root(),
    )
    options = [*_limits(confinement, code), *([] if confinement.network else ["--no-tcp"])]
    for path, show in view.places:
        if show in _OPTIONS:
            options += [_OPTIONS[show], str(path)]
            for out in view.below(path):
                options += ["--except", str(out)]
    options += ["--read", "/proc"]
    for name in _DEVICES:
        options += ["--device", f"/dev/{name}"]
    if confinement.home is not None:
        tmp = confinement.home / ".tmp"
        tmp.mkdir(mode=0o700, exist_ok=True)
        options += ["--tmpdir", str(tmp)]
    return _restricted(str(_SCRIPT), options, program.argv)


# ---- bubblewrap --------------------


def _bubblewrap(program: _Program, found: Bubblewrap) -> tuple[str, ...]:
    confinement = program.confinement
    options = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    options += ["--unshare-user"] if found.user_namespace else []
    options += [] if confinement.network else ["--unshare-net"]
    options += ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    places = dict(program.view.places)
    options += _mount(Path("/"), places.pop(Path("/"), None), confinement)  # all else is laid over it
    options += ["--dev", "/dev", "--proc", "/proc"]
    for path, show in places.items():
        options += _mount(path, show, confinement)
    for source, place in confinement.binds:
        options += ["--bind", str(source), str(place)]
    for link, target in program.view.links:
        if program.view.around(link) in (None, Show.EMPTY, Show.CURTAIN):
            options += ["--symlink", str(target), str(link)]
    options += ["--ro-bind", str(_SCRIPT), _SHOWN_SCRIPT]
    # What is below /proc/sys is root's to change, with or without capabilities.
    for sealed in ("/dev", "/proc", *_empty_folders(places), "/"):
        options += ["--remount-ro", sealed]
    options += ["--chdir", str(program.cwd), "--"]
    limits = [*_limits(confinement, base_filter()), "--tmpdir", "/tmp", *(["--own-count"] if found.own_count else [])]
    return (found.path, *options, *_restricted(_SHOWN_SCRIPT, limits, program.argv))


def _mount(path: Path, show: Show | None, confinement: Confinement) -> list[str]:
    name = str(path)
    if show is Show.READ:
        return ["--ro-bind", name, name]
    if show is Show.WRITE:
        return ["--bind", name, name]
    if show is Show.EMPTY:
        size = (confinement.memory_mb or _TMP_MIB) * _MIB
        return ["--perms", "1777", "--size", str(size), "--tmpfs", name]
    if show is not None:
        return ["--tmpfs", name] if path.is_dir() else ["--ro-bind", "/dev/null", name]
    return []


def _empty_folders(places: dict[Path, Show]) -> list[str]:
    """What hides something, the inner ones first."""
    hiding = (Show.HIDE, Show.CURTAIN)
    return [str(path) for path, show in reversed(places.items()) if show in hiding and path.is_dir()]
