"""ContextForge, started as its README says, with a token; the server that is measured is registered as its gateway.

    $ python bench/peers/contextforge.py --upstream http://127.0.0.1:8000/mcp

Its log is turned down, its console and its limits on calls are off; all else is as it comes, on SQLite.
"""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from venvs import Endpoint, free_port, main, request, running

REQUIREMENT = "mcp-contextforge-gateway==1.0.7"
ADMIN = "admin@example.com"
TOOLS_S = 60.0


@contextmanager
def gateway(upstream: str, binaries: Path, folder: Path) -> Iterator[Endpoint]:
    """The gateway in a process of its own, on a database of its own."""
    port, secret = free_port(), secrets.token_urlsafe(48)
    env = {
        **os.environ,
        "JWT_SECRET_KEY": secret,
        "AUTH_ENCRYPTION_SECRET": secrets.token_urlsafe(48),
        "DATABASE_URL": f"sqlite:///{folder}/gateway.db",
        "PLATFORM_ADMIN_EMAIL": ADMIN,
        "PLATFORM_ADMIN_PASSWORD": secrets.token_urlsafe(24) + "aA1!",
        "BASIC_AUTH_PASSWORD": secrets.token_urlsafe(24) + "aA1!",
        "MCPGATEWAY_UI_ENABLED": "false",
        "SSRF_ALLOW_LOCALHOST": "true",
        "RATE_LIMITING_ENABLED": "false",
        "LOG_LEVEL": "ERROR",
    }
    token = _token(binaries, secret, env, folder)
    command = [str(binaries / "mcpgateway"), "--host", "127.0.0.1", "--port", str(port)]
    with running(command, port, folder, env):
        here = f"http://127.0.0.1:{port}"
        body = {"name": "upstream", "url": upstream, "transport": "STREAMABLEHTTP"}
        request("POST", f"{here}/gateways", token, body)
        tool = _tool(here, token)
        served = {"server": {"name": "measured", "associated_tools": [tool["id"]]}}
        server = request("POST", f"{here}/servers", token, served)
        yield Endpoint(f"{here}/servers/{server['id']}/mcp", [token], tool["name"])


def _token(binaries: Path, secret: str, env: dict[str, str], folder: Path) -> str:
    command = [str(binaries / "python"), "-m", "mcpgateway.utils.create_jwt_token"]
    command += ["--username", ADMIN, "--exp", "120", "--secret", secret]
    made = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if made.returncode != 0:
        raise SystemExit(f"it makes no token: {made.stderr[-500:]}")
    return made.stdout.split()[-1]


def _tool(here: str, token: str) -> dict[str, str]:
    """The tool of the upstream as the gateway knows it."""
    deadline_s = time.monotonic() + TOOLS_S
    while time.monotonic() < deadline_s:
        found: list[dict[str, str]] = request("GET", f"{here}/tools", token)
        if found:
            return found[0]
        time.sleep(0.5)
    raise SystemExit("it does not find the tool of the upstream")


if __name__ == "__main__":
    sys.exit(main("contextforge", REQUIREMENT, gateway))
