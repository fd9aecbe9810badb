"""`python -m interlock.servers.shell --root DIR [OPTION…]`: serve commands in one folder over MCP on stdio."""

import argparse
import os
import sys
from pathlib import Path

from interlock.servers.shell.limits import MEMORY_MB, PROCESSES

INSTALL = "apt-get install bubblewrap"


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m interlock.servers.shell",
        description="MCP server for commands in one folder, each one confined, over standard input and output.",
    )
    made.add_argument("--root", type=Path, required=True, help="the folder; nothing outside it can be changed")
    made.add_argument("--network", action="store_true", help="commands may use the network; they can't be previewed")
    made.add_argument("--memory-mb", type=int, default=MEMORY_MB, help="of each process (default: %(default)s)")
    made.add_argument("--processes", type=int, default=PROCESSES, help="of each command (default: %(default)s)")
    made.add_argument(
        "--read",
        type=Path,
        action="append",
        default=[],
        help="may be read beside the system, such as a tool chain below a home folder; can be repeated",
    )
    made.add_argument("--hide", type=Path, action="append", default=[], help="is never seen; can be repeated")
    made.add_argument("--in-place", action="store_true", help="work on the folder itself: no preview, no undo")
    made.add_argument(
        "--sandbox",
        choices=("required", "preferred"),
        default="required",
        help="whether to start where commands can't be confined (default: %(default)s)",
    )
    made.add_argument(
        "--scratch",
        type=Path,
        help="for copies and effects that wait, on a disk with room (default: below the cache folder of the user)",
    )
    made.add_argument("--effect-log", type=Path, help="append a line of JSON before and after each change")
    return made


def main() -> int:
    """Read the command line and serve; the exit status: 0 ended by the client, 2 it can't be served."""
    options = parser().parse_args()
    if not options.root.is_dir():
        parser().error(f"--root {options.root}: no such folder")
    import asyncio

    from interlock.model import InterlockError
    from interlock.sandbox import Means, prospect
    from interlock.servers.shell.server import Settings, serve
    from interlock.servers.shell.walls import Walls

    found = prospect()
    if found.means is Means.NONE and options.sandbox == "required":
        sys.stderr.write(
            f"shell: commands can't be confined here: {found.why}. Install bubblewrap ({INSTALL}), or decide to run "
            "them without walls (--sandbox preferred).\n"
        )
        return 2
    scratch = options.scratch or _default_scratch()
    walls = Walls(
        root=options.root.resolve(),
        means=found.means,
        network=options.network,
        memory_mb=options.memory_mb,
        processes=options.processes,
        read=tuple(options.read),
        hidden=(*options.hide, scratch),
    )
    try:
        asyncio.run(serve(Settings(walls, scratch, options.in_place, options.effect_log)))
    except (OSError, InterlockError) as error:
        said = error.message if isinstance(error, InterlockError) else f"{error.filename or ''}: {error.strerror}"
        sys.stderr.write(f"shell: {said}\n")
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def _default_scratch() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "interlock-shell"


if __name__ == "__main__":
    sys.exit(main())
