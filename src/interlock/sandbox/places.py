"""Which places a confined program sees: the system's programs, parts of the program itself, and what is granted."""

import os
import pwd
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from interlock.sandbox.terms import Confinement

SYSTEM = tuple(
    Path(place)
    for place in (
        *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/sys"),
        *("/nix/store", "/gnu/store", "/var/lib/ca-certificates", "/var/cache/fontconfig"),
    )
)
PRIVATE = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
_KERNEL = (Path("/proc"), Path("/dev"))  # the sandbox has its own
# Readable by root in a folder that everyone needs.
_SYSTEM_SECRETS = (
    "shadow",
    "shadow-",
    "gshadow",
    "gshadow-",
    "ssh/ssh_host_*_key",
    "ssl/private",
    "sudoers",
    "sudoers.d",
    "krb5.keytab",
)
# Files of /etc that may be links to elsewhere.
_NAMING = ("resolv.conf", "hosts", "nsswitch.conf", "localtime", "host.conf", "gai.conf")
_PROGRAM_FOLDERS = ("bin", "sbin", "libexec", "shims", ".bin")
_SHEBANG_BYTES = 512
_LINKS = 40


class Show(IntEnum):
    """How a place is shown; where one place is named twice, the higher one counts."""

    CURTAIN = 1  # empty, unless something below it is granted
    EMPTY = 2  # private, writable, gone afterwards
    READ = 3
    WRITE = 4
    HIDE = 5


@dataclass(frozen=True)
class View:
    """What is shown where.

    Attributes:
        places: from the outside to the inside; what lies deeper is laid over what lies above it.
        links: symbolic links, place to target, that grants were named by.
    """

    places: tuple[tuple[Path, Show], ...]
    links: tuple[tuple[Path, Path], ...]

    def around(self, path: Path) -> Show | None:
        """How the nearest place around a path is shown; None when there is none."""
        return _around(dict(self.places), path)

    def below(self, path: Path) -> tuple[Path, ...]:
        """What is taken out of a place that is granted as a whole: whatever is hidden or private inside of it."""
        out = (Show.HIDE, Show.CURTAIN, Show.EMPTY)
        return tuple(place for place, show in self.places if show in out and place != path and path in place.parents)


def view_of(confinement: Confinement, program: Path, extra: Iterable[Path]) -> View:
    """Put together what a program may see.

    Args:
        confinement: what is granted, and what is hidden.
        program: what is started, with its full path.
        extra: what is needed to start it.
    """
    own = (*needed(program, os.environ.get("PATH", os.defpath)), *extra, *confinement.shown)
    hidden = tuple(path.resolve() for path in (*confinement.hidden, *_system_secrets()) if path.exists())
    shows: dict[Path, Show] = dict.fromkeys(PRIVATE, Show.EMPTY)
    links: dict[Path, Path] = {}

    def show(paths: Iterable[Path], how: Show, *, always: bool = False) -> None:
        for path in paths:
            real = path.resolve()
            if not real.exists() or _within(real, _KERNEL) or (not always and _within(real, hidden)):
                continue
            links.update(_links(path))
            shows[real] = max(how, shows.get(real, how))

    show(SYSTEM, Show.READ)
    show((*confinement.read, *(_naming() if confinement.network else ())), Show.READ)
    show(confinement.write, Show.WRITE)
    shows.update((path, Show.HIDE) for path in hidden)
    show(own, Show.READ, always=True)
    if confinement.home is not None:
        show((confinement.home,), Show.WRITE, always=True)
    for curtain in _curtains():
        shows.setdefault(curtain, Show.CURTAIN)
    return View(_ordered(shows), tuple(sorted(links.items(), key=lambda link: len(link[0].parts))))


def needed(program: Path, search_path: str) -> tuple[Path, ...]:
    """What has to be readable so that a program can start: its folder, its installation, its interpreter's.

    Args:
        program: a full path.
        search_path: where `#!/usr/bin/env NAME` looks for its interpreter.
    """
    places: dict[Path, None] = {}
    for part in (program, *_interpreter(program, search_path)):
        for file in _chain(part):
            places.update(dict.fromkeys(_installation(file)))
    return tuple(place for place in places if not _within(place, SYSTEM))


def homes() -> tuple[Path, ...]:
    """Where people have their files: the usual places, and the home folder of the user that this runs as."""
    own = [Path(folder).resolve() for folder in (os.environ.get("HOME", ""), _account_home()) if folder.startswith("/")]
    usual = [Path("/root"), Path("/home")]
    return tuple(dict.fromkeys(home for home in (*usual, *own) if home != Path("/") and home not in SYSTEM))


def _account_home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""


def _curtains() -> tuple[Path, ...]:
    return tuple(place for place in (Path("/run"), Path("/mnt"), Path("/media"), *homes()) if place.is_dir())


def _system_secrets() -> tuple[Path, ...]:
    return tuple(path for name in _SYSTEM_SECRETS for path in Path("/etc").glob(name))


def _naming() -> Iterator[Path]:
    """What looking up a host name reads, where it is a link out of /etc."""
    for name in _NAMING:
        path = Path("/etc") / name
        if path.is_symlink():
            yield path


def _within(path: Path, places: Iterable[Path]) -> bool:
    return any(place == path or place in path.parents for place in places)


def _around(shows: dict[Path, Show], path: Path) -> Show | None:
    return next((shows[parent] for parent in path.parents if parent in shows), None)


def _ordered(shows: dict[Path, Show]) -> tuple[tuple[Path, Show], ...]:
    """From the outside to the inside, without what is shown so anyway."""
    kept: dict[Path, Show] = {}
    for path, show in sorted(shows.items(), key=lambda entry: (len(entry[0].parts), entry[0])):
        around = _around(kept, path)
        nothing_there = around in (None, Show.CURTAIN, Show.HIDE) or (around is Show.EMPTY and show is Show.CURTAIN)
        if show in (Show.HIDE, Show.CURTAIN) and nothing_there:
            continue
        if show is around and show is not Show.EMPTY:
            continue
        if show is Show.READ and around is Show.WRITE:
            continue  # grants add up
        kept[path] = show
    return tuple(kept.items())


def _links(path: Path) -> Iterator[tuple[Path, Path]]:
    """The symbolic links on the way to a path, so that it can be reached by the name that it was given."""
    rest = list(path.parts[1:])
    here = Path(path.anchor)
    for _ in range(_LINKS):
        while rest:
            here /= rest.pop(0)
            if here.is_symlink():
                break
        else:
            return
        target = Path(os.path.normpath(here.parent / here.readlink()))
        yield here, target
        rest = [*target.parts[1:], *rest]
        here = Path(target.anchor)


def _chain(file: Path) -> Iterator[Path]:
    """A file, and what it links to, step by step."""
    for _ in range(_LINKS):
        yield file
        if not file.is_symlink():
            return
        file = Path(os.path.normpath(file.parent / file.readlink()))


def _installation(file: Path) -> Iterator[Path]:
    """The folders of the installation that a program belongs to."""
    folder, prefix = file.parent, file.parent.parent
    modules = [parent for parent in file.parents if parent.name == "node_modules"]
    if modules:
        yield modules[-1]
    elif (prefix / "pyvenv.cfg").is_file():
        yield prefix
        yield from _base_of(prefix)
    elif folder.name in _PROGRAM_FOLDERS and not _personal(prefix):
        yield prefix
    else:
        yield file if _personal(folder) else folder


def _base_of(venv: Path) -> Iterator[Path]:
    """The Python that a virtual environment was made from."""
    for line in (venv / "pyvenv.cfg").read_text(errors="replace").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "home" and value.strip().startswith("/"):
            base = Path(value.strip()).parent
            yield from () if _personal(base) else (base,)


def _personal(folder: Path) -> bool:
    """Whether a folder holds more than programs: a home folder, `.local` in it, or anything around one."""
    everyone = homes()
    people = [home for home in everyone if home != Path("/home")]
    if folder in (Path("/"), *PRIVATE, *everyone) or folder.parent == Path("/home"):
        return True
    if folder.name in (".local", ".config", ".cache") and (
        folder.parent in people or folder.parent.parent == Path("/home")
    ):
        return True
    return any(folder in home.parents for home in people)


def _interpreter(program: Path, search_path: str) -> Iterator[Path]:
    """The program that a script names in its first line."""
    try:
        with program.open("rb") as file:
            first = file.readline(_SHEBANG_BYTES)
    except OSError:
        return
    words = first[2:].decode(errors="replace").split() if first.startswith(b"#!") else []
    if not words or not words[0].startswith("/"):
        return
    yield Path(words[0])
    named = [word for word in words[1:] if not word.startswith("-")]
    if Path(words[0]).name == "env" and named:
        found = next(
            (Path(folder) / named[0] for folder in search_path.split(":") if (Path(folder) / named[0]).is_file()), None
        )
        yield from () if found is None else (found,)
