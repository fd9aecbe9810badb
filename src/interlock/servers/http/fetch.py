"""A call from its first request to its last answer, over redirects, within one deadline."""

import asyncio
from collections.abc import AsyncIterable
from dataclasses import dataclass, field

from interlock.model import InterlockError, UserError
from interlock.servers.http.body import Body, read_body
from interlock.servers.http.dialing import Flight
from interlock.servers.http.exchange import Egress, Request, answered
from interlock.servers.http.headers import Received
from interlock.servers.http.limits import REDIRECTS
from interlock.servers.http.media import is_text
from interlock.servers.http.redirects import SAFE, TO_GET, method_after, redirected

_BAD_REQUEST, _SERVER_ERROR = 400, 500
_NOT_DONE = frozenset({501, 505})  # answers by which a server says that it does not even try


@dataclass(frozen=True)
class Answer:
    """The last answer."""

    status: int
    headers: Received
    body: Body = field(default_factory=Body)


@dataclass
class Hop:
    """One request of a trip; `status` is None when it got no answer."""

    method: str
    url: str
    flight: Flight = field(default_factory=Flight)
    status: int | None = None


@dataclass
class Trip:
    """What happened in a call.

    Attributes:
        hops: the requests in order.
        answer: to the last one that was answered.
        fault: why it ended there, when it should have gone on.
    """

    hops: list[Hop] = field(default_factory=list)
    answer: Answer | None = None
    fault: str | None = None

    @property
    def sent(self) -> bool:
        """Whether any server may have seen anything."""
        return any(hop.flight.sent for hop in self.hops)

    @property
    def in_doubt(self) -> str | None:
        """The method of the request that may have changed something, although nobody said that it did."""
        changing = [hop for hop in self.hops if hop.method not in SAFE]
        if not changing:
            return None
        last = changing[-1]
        if last.status is None:
            open_ended = last.flight.sent
        elif last.status >= _SERVER_ERROR:
            open_ended = last.status not in _NOT_DONE
        else:  # it may have been answered with "look there", and there was no good answer to be found
            led_on = last.status in TO_GET and method_after(last.method, last.status) in SAFE
            open_ended = led_on and (self.fault is not None or self._refused)
        return last.method if open_ended else None

    @property
    def failed(self) -> bool:
        """Whether the call is an error. A change whose answer was good is none, even if its body did not come whole."""
        if self.answer is None or self.fault is not None or self._refused or self.in_doubt is not None:
            return True
        return self.answer.body.fault is not None and self.hops[0].method in SAFE

    @property
    def _refused(self) -> bool:
        return self.answer is not None and self.answer.status >= _BAD_REQUEST


async def fetch(egress: Egress, request: Request, *, follow: bool, timeout_s: float) -> Trip:
    """Make a request and follow where it leads; never raises for what the outside does."""
    until_s = asyncio.get_running_loop().time() + timeout_s
    trip = Trip()
    following: Request | None = request
    while following is not None:
        try:
            following = await _hop(egress, following, trip, until_s=until_s, follow=follow)
        except InterlockError as error:
            trip.fault = _not_followed(trip, error.message) if len(trip.hops) > 1 else error.message
            return trip
    return trip


async def _hop(egress: Egress, request: Request, trip: Trip, *, until_s: float, follow: bool) -> Request | None:
    """Make one request; the next one, if there is one."""
    hop = Hop(request.method, request.target.url)
    trip.hops.append(hop)
    async with answered(egress, request, hop.flight, until_s) as response:
        received = Received.read(response.headers)
        hop.status = response.status
        trip.answer = Answer(response.status, received)
        following = _following(request, trip, received) if follow else None
        if following is None and trip.fault is None and isinstance(response.stream, AsyncIterable):
            coding = received.one("content-encoding") or ""
            text = is_text(received.one("content-type"))
            body = await read_body(response.stream, coding, text=text, until_s=until_s)
            trip.answer = Answer(response.status, received, body)
    return following


def _following(request: Request, trip: Trip, received: Received) -> Request | None:
    """What a redirect asks for; one that is not made is the trip's fault."""
    hop = trip.hops[-1]
    try:
        following = redirected(request, hop.status or 0, received)
        if following is not None and len(trip.hops) > REDIRECTS:
            raise UserError(f"There are more than {REDIRECTS} of them.")
        if following is not None and any(
            (h.method, h.url) == (following.method, following.target.url) for h in trip.hops
        ):
            raise UserError("They go in a circle.")
    except UserError as error:
        trip.fault = _not_followed(trip, error.message)
        return None
    return following


def _not_followed(trip: Trip, why: str) -> str:
    answered_hops = [hop for hop in trip.hops if hop.status is not None]
    return f"The redirect of {answered_hops[-1].url} could not be followed: {why}"
