"""The gateway of a real `interlock up`, in a state folder of its own, with a bearer token for each caller."""

import asyncio
import contextlib
import json
import sys
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from interlock.app.benchmarks.load import Endpoint
from interlock.app.benchmarks.rounds import TASKS
from interlock.app.benchmarks.stage import AGENT, SERVER, TOOL, stop, throwaway, write_echo_project
from interlock.config import Settings, read_token
from interlock.model import ServerUnavailable

_START_S = 120.0
_REQUEST_S = 30.0
_SHOWN_CHARS = 300


@dataclass(frozen=True)
class _Product:
    """The command line of the product, in one project and one environment."""

    folder: Path
    env: Mapping[str, str]

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        """Begin a command; its log goes to a file beside the project."""
        with (self.folder.parent / "log").open("ab") as log:
            pipe = asyncio.subprocess.PIPE
            command = [sys.executable, "-m", "interlock", *words, "--json"]
            return await asyncio.create_subprocess_exec(
                *command, cwd=self.folder, env=dict(self.env), stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=log
            )

    def last_words(self) -> str:
        """The end of the log."""
        text = (self.folder.parent / "log").read_text(encoding="utf-8", errors="replace").strip()
        return text[-_SHOWN_CHARS:] or "it said nothing"


@asynccontextmanager
async def front(url: str, env: Mapping[str, str]) -> AsyncIterator[Endpoint]:
    """Start the product before the server at a URL, with the settings that it has by itself.

    Raises:
        ServerUnavailable: it does not start, or there is no gateway.
    """
    async with throwaway(env, "front") as (folder, own):
        write_echo_project(folder, url)
        product = _Product(folder, own)
        process = await product.start("up", "--port", "0")
        try:
            here = await _ready(product, process)
            ours = await asyncio.to_thread(read_token, Settings.from_env(own).home)
            tokens = [await asyncio.to_thread(_new_token, here, ours) for _ in range(TASKS)]
            yield Endpoint(f"{here}/mcp", tokens, f"{SERVER}__{TOOL}")
        finally:
            await stop(process)


async def _ready(product: _Product, process: asyncio.subprocess.Process) -> str:
    """Wait until `up` says where it is."""
    line = b""
    with contextlib.suppress(TimeoutError):
        if process.stdout is not None:
            line = await asyncio.wait_for(process.stdout.readline(), _START_S)
    if not line:
        raise ServerUnavailable(f"`interlock up` does not start: {product.last_words()}")
    return str(json.loads(line)["url"])


def _new_token(here: str, ours: str | None) -> str:
    """What `interlock tokens create` does, without a process for each.

    Raises:
        ServerUnavailable: no token is made.
    """
    headers = {"authorization": f"Bearer {ours}", "content-type": "application/json"}
    asked = urllib.request.Request(f"{here}/api/v1/tokens", json.dumps({"agent": AGENT}).encode(), headers)
    try:
        with urllib.request.urlopen(asked, timeout=_REQUEST_S) as answer:
            return str(json.loads(answer.read())["token"])
    except (OSError, ValueError, KeyError) as error:
        raise ServerUnavailable(f"`interlock up` makes no token for an agent outside: {error}") from error
