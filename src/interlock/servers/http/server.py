"""The MCP side: lists the tools and answers calls, a bounded number of them at a time."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpcore
from mcp.server.lowlevel.server import Server

from interlock.config import SystemClock
from interlock.servers.http.allow import AllowList
from interlock.servers.http.credentials import Vault
from interlock.servers.http.exchange import Egress
from interlock.servers.http.limits import CALLS_AT_ONCE
from interlock.servers.http.operations import HttpCalls
from interlock.servers.http.tools import TOOLS
from interlock.servers.shared.calls import CallNotes, Outcome
from interlock.servers.shared.journal import Journal
from interlock.servers.shared.serving import build_server as mcp_server
from interlock.servers.shared.serving import speak


@dataclass(frozen=True)
class Options:
    """How the server was started.

    Attributes:
        ca_file: certificates to trust besides those that this machine trusts.
        effect_log: the file that calls are noted in.
    """

    allow: AllowList
    vault: Vault
    ca_file: Path | None = None
    effect_log: Path | None = None


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Settings that verify certificates and names.

    Raises:
        OSError: the file can't be read, or holds no certificate.
    """
    context = httpcore.default_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def build_server(calls: HttpCalls) -> Server[dict[str, Any]]:
    """The server for these calls; a bounded number of them is under way at one time."""
    places = asyncio.Semaphore(CALLS_AT_ONCE)

    async def call(tool: str, args: Mapping[str, Any], notes: CallNotes) -> Outcome:
        async with places:
            return await calls.call(tool, args, notes.key)

    return mcp_server("http", "HTTP requests to the hosts that the operator allows.", TOOLS.values(), call)


async def serve(options: Options) -> None:
    """Serve over standard input and output until the input ends.

    Raises:
        OSError: a file that was named can't be opened.
    """
    tls = cache(lambda: tls_context(options.ca_file))
    if options.ca_file is not None:
        tls()  # a file that can't be used must stop the start, not the first call
    journal = Journal(options.effect_log, SystemClock())
    try:
        server = build_server(HttpCalls(Egress(options.allow, options.vault, tls), journal))
        await speak(server)
    finally:
        journal.close()
