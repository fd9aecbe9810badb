"""The composition root: wires the rooms together and offers the control plane as one object."""

from interlock.app.build import control_of, this_host, worker_of
from interlock.app.control import Control
from interlock.app.exported import verify_export
from interlock.app.fleet import Fleet
from interlock.app.foundation import Foundation, foundation, prepare

__all__ = [
    "Control",
    "Fleet",
    "Foundation",
    "control_of",
    "foundation",
    "prepare",
    "this_host",
    "verify_export",
    "worker_of",
]
