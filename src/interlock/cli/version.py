"""`interlock version`."""

import platform

from interlock.cli import edge
from interlock.cli.options import Json
from interlock.cli.output import emit
from interlock.model import VERSION


def version(*, json: Json = False) -> int:
    """Print the version of interlock and of Python."""
    facts = {"version": VERSION, "python": platform.python_version(), "platform": platform.platform()}
    emit(facts, [f"interlock {VERSION} (Python {facts['python']}, {facts['platform']})"], as_json=json)
    return edge.OK
