"""Where logins to remote servers are kept; who has a database brings one."""

from typing import Any, Protocol


class TokenShelf(Protocol):
    """One JSON object per server; it holds tokens, so it must be kept encrypted."""

    async def load(self, server: str) -> dict[str, Any] | None:
        """What was kept last, or None.

        Raises:
            InterlockError: it can't be read now.
        """

    async def save(self, server: str, data: dict[str, Any]) -> None:
        """Keep it, instead of what was there.

        Raises:
            InterlockError: it can't be kept.
        """
