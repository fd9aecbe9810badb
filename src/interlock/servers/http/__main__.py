"""`python -m interlock.servers.http --allow HOST`: send HTTP requests to allowed hosts, over MCP on stdio."""

import argparse
import os
import sys
from pathlib import Path

from interlock.model import ConfigError


def main() -> int:
    """Read the command line and serve; the exit status: 0 ended by the client, 2 the options can't be used."""
    parser = argparse.ArgumentParser(
        prog="python -m interlock.servers.http",
        description="MCP server for HTTP requests to allowed hosts, over standard input and output.",
    )
    parser.add_argument(
        "--allow",
        action="append",
        required=True,
        metavar="HOST",
        help="api.example.com, *.example.com, localhost:8080, 10.0.0.0/8, or * for all public hosts; may be repeated",
    )
    parser.add_argument("--allow-private", action="store_true", help="allowed names may lead to private networks")
    parser.add_argument("--ca-file", type=Path, help="certificates (PEM) to trust besides those of this machine")
    parser.add_argument("--effect-log", type=Path, help="append a line of JSON before and after each call")
    parser.add_argument(
        "--header-env",
        action="append",
        default=[],
        metavar="HOST=HEADER=VARIABLE",
        help="send a header, its value from an environment variable, to one host only; may be repeated",
    )
    options = parser.parse_args()
    from interlock.servers.http.allow import AllowList
    from interlock.servers.http.credentials import Vault

    try:
        allow = AllowList.parse(options.allow, private=options.allow_private)
        vault = Vault.parse(options.header_env, os.environ, allow)
    except ConfigError as error:
        parser.error(error.message)
    import asyncio

    from interlock.servers.http.server import Options, serve

    try:
        asyncio.run(serve(Options(allow, vault, options.ca_file, options.effect_log)))
    except OSError as error:
        sys.stderr.write(f"http: {error.filename or options.ca_file}: {error.strerror or error}\n")
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
