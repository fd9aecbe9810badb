"""MCP tools: one supervised client per server, what they offer, pins, snapshots.

Where to look: `toolbox` (the face to the gate), `supervisor` (one actor per server: start, die, start again),
`commands` (from configuration to a command line), `launch` (ties a child to our life), `process` (pipes, end),
`sending` (was a call sent?), `wire` (over pipes), `remote` and `remote_*` (over HTTP; both are a `peer`), `session`
(handshake and list, on the MCP SDK), `client` (calls), `upkeep` (idle, old, changed?), `oauth` and `login` (tokens of
remote servers), `fitting` (does a result fit its schema?), `expectation` (what must still hold),
`catalogue` (definitions), `results` (answers, bounded), `pins` (are they still the accepted ones?), `snapshots`
(preview, capture, restore). `host` puts all of it into one process per host, for all workers.
"""

from interlock.tools.catalogue import granted
from interlock.tools.delivery import Delivery, Tools
from interlock.tools.expectation import Expectation
from interlock.tools.host.hosted import HostedTools, HostProgram
from interlock.tools.host.place import Place
from interlock.tools.host.serving import ToolHost
from interlock.tools.login import LoginPrompt
from interlock.tools.login import login as login_to
from interlock.tools.packages.packages import Installed, Packages
from interlock.tools.packages.spec import PackageSpec, spec_of
from interlock.tools.pins import PinReport, compare
from interlock.tools.shelf import TokenShelf
from interlock.tools.snapshots import Snapshots
from interlock.tools.supervisor import Pace
from interlock.tools.surroundings import Surroundings
from interlock.tools.toolbox import Toolbox

__all__ = [
    "Delivery",
    "Expectation",
    "HostProgram",
    "HostedTools",
    "Installed",
    "LoginPrompt",
    "Pace",
    "PackageSpec",
    "Packages",
    "PinReport",
    "Place",
    "Snapshots",
    "Surroundings",
    "TokenShelf",
    "ToolHost",
    "Toolbox",
    "Tools",
    "compare",
    "granted",
    "login_to",
    "spec_of",
]
