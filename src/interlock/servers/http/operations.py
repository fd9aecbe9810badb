"""One call from start to end: check, note, send, follow, note, answer."""

import asyncio
from collections.abc import Mapping
from typing import Any

from interlock.model import InterlockError
from interlock.servers.http.arguments import read_arguments
from interlock.servers.http.exchange import Egress, Request
from interlock.servers.http.fetch import Trip, fetch
from interlock.servers.http.rendering import render
from interlock.servers.shared.calls import Outcome
from interlock.servers.shared.journal import Journal


class HttpCalls:
    """The calls of the server's tools; any number may be under way."""

    def __init__(self, egress: Egress, journal: Journal) -> None:
        self._egress = egress
        self._journal = journal

    async def call(self, tool: str, args: Mapping[str, Any], key: str | None) -> Outcome:
        """Do a call; everything that goes wrong becomes a failed outcome with a plain sentence."""
        try:
            asked = read_arguments(tool, args, key)
            self._journal.begin(tool, key, [_noted(asked.request)])
        except InterlockError as error:
            return Outcome(f"Not sent: {error.message}", {"status": None, "fault": error.message}, failed=True)
        except OSError:
            return Outcome("Not sent: the log of effects can't be written.", failed=True)
        trip = await fetch(self._egress, asked.request, follow=asked.follow, timeout_s=asked.timeout_s)
        self._journal.end(tool, key, _facts(trip))
        return await asyncio.to_thread(render, trip, self._egress.vault, raw=asked.raw)  # long pages take a while


def _noted(request: Request) -> str:
    """Method and place for the log; the query stays out of it, where people put keys."""
    return f"{request.method} {request.target.url.partition('?')[0]}"


def _facts(trip: Trip) -> dict[str, Any]:
    return {
        "sent": trip.sent,
        "status": None if trip.answer is None else trip.answer.status,
        "requests": len(trip.hops),
        "in_doubt": trip.in_doubt is not None,
    }
