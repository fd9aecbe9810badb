"""One child process that speaks lines over its pipes, from its start to the last of its group being gone."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import cast

from interlock.resilience import Deadline
from interlock.tools.commands import MIB, Launch
from interlock.tools.stderr import StderrTail

_STDIN, _STDOUT = 0, 1
_QUEUED_LINES = 256  # above this the server's output is left in the pipe
_STEP_S = 2.0  # how long each of: closed input, SIGTERM, SIGKILL may take to end it
_DRAIN_S = 0.3  # for answers still in the pipe when the process is gone already


class ServerProcess(asyncio.SubprocessProtocol):
    """A running server: lines out, lines in, its last words, its end.

    `over` is set once no more lines will come; `verdict` says why, when it was we who ended it.
    """

    def __init__(self, launch: Launch, on_over: Callable[[], None]) -> None:
        self.stderr = StderrTail(launch.secrets)
        self.credentials = launch.credentials
        self.over = False
        self.verdict: str | None = None
        self._line_bytes = launch.line_bytes
        self._on_over = on_over
        self._transport: asyncio.SubprocessTransport | None = None
        self._partial = bytearray()
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()  # bounded by pausing the pipe
        self._paused = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._exited = asyncio.Event()
        self._disconnected = asyncio.Event()

    @classmethod
    async def spawn(cls, launch: Launch, on_over: Callable[[], None]) -> "ServerProcess":
        """Start the program in a session of its own, tied to the life of this process.

        Raises:
            OSError: it can't be started.
        """
        loop = asyncio.get_running_loop()
        _, process = await loop.subprocess_exec(
            lambda: cls(launch, on_over),
            *launch.launched,
            env=dict(launch.env),
            cwd=launch.cwd,
            start_new_session=True,
        )
        return process

    # ---- what the event loop tells --------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The process runs."""
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """The process wrote something."""
        if fd != _STDOUT:
            self.stderr.feed(data)
            return
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._partial += piece
            self._lines.put_nowait(bytes(self._partial))
            self._partial.clear()
        self._partial += rest
        if len(self._partial) > self._line_bytes:
            self.kill(f"sent a message longer than {self._line_bytes // MIB} MiB")
        elif self._lines.qsize() > _QUEUED_LINES and not self._paused:
            self._paused = True
            self._output().pause_reading()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """The process closed its end of a pipe; without one of these two it can't be talked to."""
        del exc
        if fd in (_STDIN, _STDOUT):
            self._finish()

    def process_exited(self) -> None:
        """The process is gone and reaped."""
        self._exited.set()
        # A grandchild may hold the pipe open for ever.
        asyncio.get_running_loop().call_later(_DRAIN_S, self._finish)

    def connection_lost(self, exc: Exception | None) -> None:
        """All pipes are closed and the process is gone."""
        del exc
        self._finish()
        self._disconnected.set()

    def pause_writing(self) -> None:
        """The process does not read; the next message waits."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The process reads again."""
        self._writable.set()

    def _finish(self) -> None:
        if self.over:
            return
        self.over = True
        self._lines.put_nowait(None)
        self._writable.set()
        self._on_over()

    # ---- lines --------------------

    async def next_line(self) -> bytes | None:
        """The next line that the server wrote, or None when there will be no more."""
        line = await self._lines.get()
        if line is None:
            self._lines.put_nowait(None)
        elif self._paused and self._lines.qsize() < _QUEUED_LINES // 2 and not self.over:
            self._paused = False
            self._output().resume_reading()
        return line

    @property
    def broken(self) -> bool:
        """Whether it can no longer be talked to, in one direction at least."""
        pipe = self._pipe(_STDIN)
        return self.over or pipe is None or pipe.is_closing()

    async def writable(self, deadline: Deadline) -> bool:
        """Wait until the server has read enough for another line; False when it does not in time."""
        try:
            async with asyncio.timeout(deadline.remaining_s):
                await self._writable.wait()
        except TimeoutError:
            return False
        return not self.over

    def write_line(self, line: bytes) -> bool:
        """Hand a whole line over; False means that not a byte of it can have reached the server."""
        if self.broken:
            return False
        pipe = cast(asyncio.WriteTransport, self._pipe(_STDIN))
        first = pipe.get_write_buffer_size() == 0
        pipe.write(line + b"\n")
        # With nothing queued before it, it was written at once: a pipe that broke now took none of it.
        return not (first and pipe.is_closing())

    # ---- its end --------------------

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return None if self._transport is None or self._exited.is_set() else self._transport.get_pid()

    @property
    def ending(self) -> str | None:
        """How it ended, as the rest of a sentence, or None while it runs."""
        if self.verdict is not None:
            return self.verdict
        status = self._transport.get_returncode() if self._transport is not None else None
        if status is None:
            return "closed its output" if self.over else None
        if status < 0 or status > 128:  # what runs it in the sandbox reports a death by signal as 128 and more
            known = {number.value: number.name for number in signal.Signals}
            number = -status if status < 0 else status - 128
            if status < 0 or number in known:
                return f"was killed by {known.get(number, f'signal {number}')}"
        return f"exited with status {status}"

    def kill(self, verdict: str | None = None) -> None:
        """Send SIGKILL to it and its group; `verdict` says why, as the rest of a sentence."""
        if self.verdict is None and not self._exited.is_set():
            self.verdict = verdict
        self._signal_group(signal.SIGKILL)

    async def exited_within(self, seconds: float) -> bool:
        """Wait for the end of the process; whether it came in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._exited.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """End it and all of its group: close its input, then SIGTERM, then SIGKILL; every wait is bounded."""
        pipe = self._pipe(_STDIN)
        if pipe is not None:
            pipe.close()
        if self._paused and not self.over:
            self._output().resume_reading()  # a server stuck writing can't notice that its input is closed
        if not await self.exited_within(_STEP_S):
            self._signal_group(signal.SIGTERM)
            if not await self.exited_within(_STEP_S):
                self._signal_group(signal.SIGKILL)
                await self.exited_within(_STEP_S)
        self._signal_group(signal.SIGKILL)  # what it started and left behind
        if self._transport is not None:
            self._transport.close()
            try:
                async with asyncio.timeout(_STEP_S):
                    await self._disconnected.wait()
            except TimeoutError:
                self._finish()

    def _signal_group(self, number: signal.Signals) -> None:
        # The child leads its own group, so its pid names the group as long as anyone is in it.
        if self._transport is None:
            return
        try:
            os.killpg(self._transport.get_pid(), number)
        except (ProcessLookupError, PermissionError):
            return

    def _pipe(self, fd: int) -> asyncio.BaseTransport | None:
        return self._transport.get_pipe_transport(fd) if self._transport is not None else None

    def _output(self) -> asyncio.ReadTransport:
        return cast(asyncio.ReadTransport, self._pipe(_STDOUT))
