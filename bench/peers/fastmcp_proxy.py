"""FastMCP's `create_proxy`, as its documentation shows it, before the server that is measured.

python bench/peers/fastmcp_proxy.py --upstream http://127.0.0.1:8000/mcp
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from venvs import Endpoint, free_port, main, running

REQUIREMENT = "fastmcp==4.1.2"
PROXY = """
import sys
from fastmcp.server import create_proxy

create_proxy(sys.argv[1], name="proxy").run(
    transport="http", host="127.0.0.1", port=int(sys.argv[2]), show_banner=False, log_level="ERROR",
    json_response=True, stateless_http=True,
)
"""


@contextmanager
def proxy(upstream: str, binaries: Path, folder: Path) -> Iterator[Endpoint]:
    """The proxy in a process of its own."""
    program, port = folder / "proxy.py", free_port()
    program.write_text(PROXY, encoding="utf-8")
    command = [str(binaries / "python"), str(program), upstream, str(port)]
    with running(command, port, folder, os.environ):
        yield Endpoint(f"http://127.0.0.1:{port}/mcp", [], "echo")


if __name__ == "__main__":
    sys.exit(main("fastmcp", REQUIREMENT, proxy))
