"""The HTTP API: every route but the two health checks needs the token, and it listens on the loopback interface only.

FastAPI and uvicorn are loaded on first use, so that a command that starts no server does not pay for them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interlock.server.application import OPEN_PATHS, create_app
    from interlock.server.serving import listen, serve

__all__ = ["OPEN_PATHS", "create_app", "listen", "serve"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Load a name that needs FastAPI or uvicorn, and keep it."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from interlock.server import application, serving

        for module in (application, serving):
            if name in vars(module):
                globals()[name] = vars(module)[name]
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
