"""The internal tools of servers that can say beforehand what a call does, keep a state, and go back to it."""

from collections.abc import Iterable
from typing import Any

from interlock.model import ToolRef, UserError
from interlock.tools.delivery import SNAPSHOT_S, Delivery, Tools

PREVIEW, CAPTURE, RESTORE = "preview", "capture", "restore"


class Snapshots:
    """Thin: the gate decides what to keep and when to go back, the server does it."""

    def __init__(self, toolbox: Tools) -> None:
        self._toolbox = toolbox

    async def supported(self, server: str) -> bool:
        """Whether a server offers all three internal tools.

        Raises:
            NotFound: no server has that name.
            ToolUnavailable: it is not ready.
        """
        offered = {found.ref.name for found in await self._toolbox.definitions(server) if found.internal}
        return {PREVIEW, CAPTURE, RESTORE} <= offered

    async def preview(self, ref: ToolRef, args: dict[str, Any]) -> dict[str, Any]:
        """What a call would do, without doing it; shape `{effect, touched, state_sha256, state_sha256_after}`.

        Or `{staged: false, why}`: this call can't be tried first.

        Raises:
            UserError: the call would fail, and why.
            ToolUnavailable, ToolLost, ToolTimeout: the server does not answer.
        """
        return await self._ask(ref.server, PREVIEW, {"tool": ref.name, "args": args})

    async def capture(self, server: str, paths: Iterable[str], content: bool = True) -> dict[str, Any]:
        """The present state of paths and of everything below them; shape `{entries, state_sha256}`.

        Args:
            server: its name.
            paths: below the server's folder.
            content: also the bytes of files, which `restore` needs.

        Raises:
            UserError: it can't be recorded, and why.
            ToolUnavailable, ToolLost, ToolTimeout: the server does not answer.
        """
        return await self._ask(server, CAPTURE, {"paths": list(paths), "content": content})

    async def restore(
        self, server: str, entries: list[dict[str, Any]], expect_state_sha256: str | None, paths: Iterable[str]
    ) -> dict[str, Any]:
        """Bring paths back to a captured state, if they are still as expected.

        Returns:
            What the server measured, with `restored`; or `{conflict: true, state_sha256, …}` when the present state
            is not the expected one, in which case nothing was done.

        Raises:
            UserError: it can't be done, and why.
            ToolUnavailable: nothing was sent.
            ToolLost, ToolTimeout: whether it was done is unknown.
        """
        args: dict[str, Any] = {"entries": entries, "paths": list(paths)}
        if expect_state_sha256 is not None:
            args["expect_state_sha256"] = expect_state_sha256
        return await self._ask(server, RESTORE, args)

    async def _ask(self, server: str, tool: str, args: dict[str, Any]) -> dict[str, Any]:
        definitions = await self._toolbox.definitions(server)
        if not any(found.internal and found.ref.name == tool for found in definitions):
            raise UserError(f"the server '{server}' can't {tool}", hint="interlock tools list")
        result = await self._toolbox.call(ToolRef(server, tool), args, Delivery(SNAPSHOT_S))
        # A restore that went wrong says in its structured answer how far it came.
        # A preview that can't be made says so there, too.
        told = result.structured
        if told is not None and (result.ok or tool == RESTORE or told.get("staged") is False):
            return told
        raise UserError(result.text, hint="interlock tools list")
