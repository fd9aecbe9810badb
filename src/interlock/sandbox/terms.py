"""The words of the room: by what means a program is confined, to what, and what this machine offers."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Means(StrEnum):
    """What confines a program, the best first."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    NONE = "none"


@dataclass(frozen=True)
class Confinement:
    """What a confined program may do; by default it may read the system's programs and libraries, and no more.

    Attributes:
        read: made readable although below a hidden place.
        write: may be changed.
        home: private and writable; the caller's environment says that it is HOME.
        network: the network, the loopback interface of the machine included.
        memory_mb: the most data of one process.
        processes: the most processes and threads that it may have.
        binds: `(source, shown at)`, writable, such as a copy of a workspace in its place; bubblewrap only.
        hidden: never visible, whatever else is granted, but for `home` and `shown` below it.
        shown: readable even below `hidden`: parts of the program itself; never taken from a configuration.
        modes: it may change modes and owners, which Landlock can't restrict to the places that it may change; for
            programs of our own. With bubblewrap every program may, as only those places can be changed.
    """

    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    home: Path | None = None
    network: bool = False
    memory_mb: int | None = None
    processes: int | None = None
    binds: tuple[tuple[Path, Path], ...] = ()
    hidden: tuple[Path, ...] = ()
    shown: tuple[Path, ...] = ()
    modes: bool = False


@dataclass(frozen=True)
class Prospect:
    """What this machine can do.

    Attributes:
        means: the best that works here.
        why: why it is not better, and what it does not do here; empty when nothing is missing.
    """

    means: Means
    why: str
