"""The composition root: wires the rooms together and offers the control plane as one object."""

from interlock.app.benchmarks.report import Effort, Order
from interlock.app.benchmarks.running import run_benchmark, usual_effort
from interlock.app.build import control_of, gateway_of, this_host, worker_of
from interlock.app.checking import check_project
from interlock.app.classifying import classify_definition
from interlock.app.control import Control
from interlock.app.examine import ServerFinding, examine_database, examine_sandbox, examine_tools
from interlock.app.exported import verify_export
from interlock.app.fleet import Fleet
from interlock.app.following import Machine, Unfit, standing_of, work, work_on
from interlock.app.gateway import Gateway, MadeCall, OfferedTool, OutsideAgent
from interlock.app.ground import Foundation, erase_embedded, foundation, prepare
from interlock.app.house import DatabaseFacts, facts_of, keep_house, wake_tools
from interlock.app.installing import InstallFinding, install_packages
from interlock.app.plane import Plane, plane_of
from interlock.app.proofs import Sent
from interlock.app.tokens import Tokens
from interlock.app.tool_host import host_tools, log_in
from interlock.app.tool_tests import ServerTest, try_tools
from interlock.app.triggers import Triggers, path_of, signed_headers
from interlock.app.versions import apply_version, compare_versions, keep_version, list_versions, roll_back

__all__ = [
    "Control",
    "DatabaseFacts",
    "Effort",
    "Fleet",
    "Foundation",
    "Gateway",
    "InstallFinding",
    "Machine",
    "MadeCall",
    "OfferedTool",
    "Order",
    "OutsideAgent",
    "Plane",
    "Sent",
    "ServerFinding",
    "ServerTest",
    "Tokens",
    "Triggers",
    "Unfit",
    "apply_version",
    "check_project",
    "classify_definition",
    "compare_versions",
    "control_of",
    "erase_embedded",
    "examine_database",
    "examine_sandbox",
    "examine_tools",
    "facts_of",
    "foundation",
    "gateway_of",
    "host_tools",
    "install_packages",
    "keep_house",
    "keep_version",
    "list_versions",
    "log_in",
    "path_of",
    "plane_of",
    "prepare",
    "roll_back",
    "run_benchmark",
    "signed_headers",
    "standing_of",
    "this_host",
    "try_tools",
    "usual_effort",
    "verify_export",
    "wake_tools",
    "work",
    "work_on",
    "worker_of",
]
