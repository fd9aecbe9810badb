"""The command line: `interlock …`, one module per command or group of commands, loaded when it is typed."""

from interlock.cli.entry import main

__all__ = ["main"]
