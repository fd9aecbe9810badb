"""interlock: a self-hosted control plane that runs autonomous AI agents in production.

`Client`, `AsyncClient` and the version are loaded on first use, so that importing the package costs next to nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interlock.client import AsyncClient, Client

    __version__: str

__all__ = ["AsyncClient", "Client", "__version__"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Load what was asked for, and keep a client."""
        if name == "__version__":
            from interlock.model import VERSION

            return VERSION
        if name not in ("AsyncClient", "Client"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from interlock import client

        globals()[name] = getattr(client, name)
        return globals()[name]
