"""The HTTP API, on the loopback interface only.

Every route needs the token, but the two health checks, and those for agents outside and for deliveries of triggers,
which have proofs of their own.

FastAPI and uvicorn are loaded on first use, so that a command that starts no server does not pay for them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interlock.server.application import OPEN_PATHS, create_app, replace_control
    from interlock.server.assistant import assistant_server, serve_assistant
    from interlock.server.gateway.protocol import Patience
    from interlock.server.serving import listen, serve

__all__ = [
    "OPEN_PATHS",
    "Patience",
    "assistant_server",
    "create_app",
    "listen",
    "replace_control",
    "serve",
    "serve_assistant",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Load a name that needs FastAPI, uvicorn or MCP, and keep it."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name in ("assistant_server", "serve_assistant"):
            from interlock.server import assistant as module
        elif name in ("listen", "serve"):
            from interlock.server import serving as module
        else:
            from interlock.server import application as module
        globals()[name] = vars(module)[name]
        return globals()[name]
