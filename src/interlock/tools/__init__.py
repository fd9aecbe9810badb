"""MCP tools: one supervised client per server, what they offer, pins, snapshots.

Where to look: `toolbox` (the face to the gate), `supervisor` (one actor per server: start, die, start again),
`commands` (from configuration to a command line), `launch` (ties a child to our life), `process` (pipes, end),
`wire` (was a call sent?), `client` (handshake and calls, on the MCP SDK), `expectation` (what must still hold),
`catalogue` (definitions), `results` (answers, bounded), `pins` (are they still the accepted ones?), `snapshots`
(preview, capture, restore). `host` puts all of it into one process per host, for all workers.
"""

from interlock.tools.catalogue import granted
from interlock.tools.delivery import Delivery, Tools
from interlock.tools.expectation import Expectation
from interlock.tools.host.hosted import HostedTools, HostProgram
from interlock.tools.host.place import Place
from interlock.tools.host.serving import ToolHost
from interlock.tools.pins import PinReport, compare
from interlock.tools.snapshots import Snapshots
from interlock.tools.supervisor import Pace
from interlock.tools.toolbox import Toolbox

__all__ = [
    "Delivery",
    "Expectation",
    "HostProgram",
    "HostedTools",
    "Pace",
    "PinReport",
    "Place",
    "Snapshots",
    "ToolHost",
    "Toolbox",
    "Tools",
    "compare",
    "granted",
]
