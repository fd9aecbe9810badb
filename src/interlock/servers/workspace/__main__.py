"""`python -m interlock.servers.workspace --root DIR [--effect-log FILE]`: serve one folder over MCP on stdio."""

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Read the command line and serve; the exit status: 0 ended by the client, 2 a folder or file can't be opened."""
    parser = argparse.ArgumentParser(
        prog="python -m interlock.servers.workspace",
        description="MCP server for the files of one folder, over standard input and output.",
    )
    parser.add_argument("--root", type=Path, required=True, help="the folder; nothing outside it can be reached")
    parser.add_argument("--effect-log", type=Path, help="append a line of JSON before and after each change")
    options = parser.parse_args()
    if not options.root.is_dir():
        parser.error(f"--root {options.root}: no such folder")
    import asyncio

    from interlock.servers.workspace.server import serve

    try:
        asyncio.run(serve(options.root, options.effect_log))
    except OSError as error:
        sys.stderr.write(f"workspace: {error.filename or options.root}: {error.strerror}\n")
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
