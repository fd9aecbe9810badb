"""interlock: a self-hosted control plane that runs autonomous AI agents in production."""

__version__ = "0.1.0"
__all__ = ["__version__"]
