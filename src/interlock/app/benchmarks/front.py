"""The gateway of a real `interlock up`, in a state folder of its own, with a bearer token for each caller."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from interlock.app.benchmarks.load import Endpoint
from interlock.app.benchmarks.rounds import TASKS
from interlock.app.benchmarks.stage import AGENT, SERVER, TOOL, stop, throwaway, write_echo_project
from interlock.model import ServerUnavailable

_START_S = 120.0
_COMMAND_S = 60.0
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

    async def answer(self, *words: str) -> dict[str, object]:
        """What a command prints.

        Raises:
            ServerUnavailable: it failed.
        """
        process = await self.start(*words)
        try:
            async with asyncio.timeout(_COMMAND_S):
                out, _ = await process.communicate()
        except TimeoutError:
            out = b""
        finally:
            await stop(process)
        if process.returncode != 0 or not out:
            raise ServerUnavailable(f"`interlock {' '.join(words)}` failed: {self.last_words()}")
        found: dict[str, object] = json.loads(out)
        return found

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
    with throwaway(env, "front") as (folder, own):
        write_echo_project(folder, url)
        product = _Product(folder, own)
        process = await product.start("up", "--port", "0")
        try:
            here = await _ready(product, process)
            reached = _Product(folder, {**own, "INTERLOCK_URL": here})
            made = [await reached.answer("tokens", "create", "--agent", AGENT) for _ in range(TASKS)]
            yield Endpoint(f"{here}/mcp", [str(one["token"]) for one in made], f"{SERVER}__{TOOL}")
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
