"""A control group for one program, so that root's processes can be counted too; the kernel limits none of root's.

The group is made and entered by a line of shell that then becomes the program, and is named by its process id.
Groups of programs that are gone are removed by the next one.
"""

import os
from functools import lru_cache
from pathlib import Path

_ENTER = (
    'for old in "$1"/interlock-*; do [ -d "/proc/${old##*-}" ] || rmdir "$old" 2>/dev/null; done; '
    'own="$1/interlock-$$"; mkdir -p "$own" && echo "$2" >"$own/pids.max" && echo $$ >"$own/cgroup.procs" '
    '|| { echo "can\'t limit the number of processes" >&2; exit 124; }; shift 2; exec "$@"'
)


def within(argv: tuple[str, ...], processes: int) -> tuple[str, ...]:
    """The command line that runs in a group of its own; unchanged where groups can't be made."""
    folder = group_folder()
    if folder is None:
        return argv
    return ("/bin/sh", "-c", _ENTER, "interlock", str(folder), str(processes), *argv)


@lru_cache(maxsize=1)
def group_folder() -> Path | None:
    """Where groups that count processes can be made: below our own, so that what limits us limits them."""
    try:
        memberships = Path("/proc/self/cgroup").read_text().splitlines()
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return None
    for membership in memberships:
        _, controllers, path = membership.split(":", 2)
        if controllers and "pids" not in controllers.split(","):
            continue
        for mount in mounts:
            folder = _folder(mount, path, "pids" if controllers else "")
            if folder is not None and _works(folder):
                return folder
    return None


def _folder(mount: list[str], path: str, controller: str) -> Path | None:
    """Where a group of the hierarchy is mounted, if this mount is one of it."""
    root, place = mount[3], mount[4]
    kind, _, options = mount[mount.index("-") + 1 :][:3]
    fits = kind == "cgroup" and controller in options.split(",") if controller else kind == "cgroup2"
    relative = path[len(root.rstrip("/")) :].lstrip("/") if path.startswith(root) else None
    return Path(place) / relative if fits and relative is not None else None


def _works(folder: Path) -> bool:
    trial = folder / f"interlock-{os.getpid()}"
    try:
        trial.mkdir(exist_ok=True)
        works = (trial / "pids.max").is_file() and os.access(trial / "pids.max", os.W_OK)
        trial.rmdir()
    except OSError:
        return False
    return works
