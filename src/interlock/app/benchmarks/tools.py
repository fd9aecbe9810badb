"""`tools`: what a governed call costs, beside the same call made directly, and by way of other gateways."""

from dataclasses import dataclass, field, replace

from interlock.app.benchmarks.front import front
from interlock.app.benchmarks.governed import governed
from interlock.app.benchmarks.kills import KillsFound, measure_kills
from interlock.app.benchmarks.load import Endpoint, Remote, remote
from interlock.app.benchmarks.report import Bar, Order, Report, Row, load_1m, machine
from interlock.app.benchmarks.rivals import CONTEXTFORGE, FASTMCP, rival
from interlock.app.benchmarks.rounds import Lane, Measured, added_ms, p50_ratio, take_turns, throughput_ratio
from interlock.app.benchmarks.stage import throwaway, upstream, write_echo_project
from interlock.model import InterlockError

DIRECT, FRONT = "direct, the SDK's client held open", "front, /mcp of `interlock up`"
_PEER_ROUNDS = 3


@dataclass
class _Found:
    """What was measured so far; None was not."""

    rows: list[Row] = field(default_factory=list)
    inprocess: Measured | None = None
    inprocess_direct: Measured | None = None
    front: Measured | None = None
    front_direct: Measured | None = None
    peers: dict[str, tuple[Measured, Measured]] = field(default_factory=dict)


async def bench_tools(order: Order) -> Report:
    """Measure governed calls, the gateway, the peers if asked for, and kills; whatever can't be is null."""
    here, found = machine(), _Found()
    async with upstream() as url, remote(DIRECT, Endpoint(url)) as direct:
        await _in_process(order, url, direct, found)
        await _front(order, url, direct, found)
    order.tell("kills")
    kills = await measure_kills(order)
    found.rows.append(kills.row)
    return Report("tools", {**here, "load_1m_after": load_1m()}, found.rows, _bars(found, kills))


async def _in_process(order: Order, url: str, direct: Remote, found: _Found) -> None:
    order.tell("direct, and through the gate in this process")
    async with throwaway(order.env, "gate") as (folder, env):
        write_echo_project(folder, url)
        try:
            async with governed(folder, env, folder.parent / "servers") as (bare, hosted, own):
                measured = await take_turns([direct, hosted, bare, own], order.effort, order.tell)
        except InterlockError as error:
            found.rows.append({"name": "in-process", "note": error.message})
            return
    found.inprocess_direct, found.inprocess = measured[0], measured[1]
    found.rows += [{"part": "in-process", **one.row()} for one in measured]


async def _front(order: Order, url: str, direct: Remote, found: _Found) -> None:
    order.tell("direct, and through the gateway of `interlock up`")
    try:
        async with front(url, order.env) as endpoint, remote(FRONT, endpoint) as ours:
            measured = await take_turns([direct, ours], order.effort, order.tell)
            found.front_direct, found.front = measured
            found.rows += [{"part": "front", **one.row()} for one in measured]
            for name in (FASTMCP, CONTEXTFORGE) if order.effort.peers else ():
                await _peer(order, url, name, ours, found)
    except InterlockError as error:
        found.rows.append({"part": "front", "name": FRONT, "note": error.message})


async def _peer(order: Order, url: str, name: str, ours: Lane, found: _Found) -> None:
    """Our gateway and another one take turns."""
    order.tell(f"the peer {name}")
    effort = replace(order.effort, rounds=min(_PEER_ROUNDS, order.effort.rounds), calls=order.effort.calls // 4 or 1)
    try:
        async with rival(name, url) as endpoint, remote(name, endpoint) as theirs:
            mine, other = await take_turns([ours, theirs], effort, order.tell)
    except InterlockError as error:
        found.rows.append({"part": "peers", "name": name, "note": error.message})
        return
    found.peers[name] = (mine, other)
    found.rows += [{"part": "peers", **one.row()} for one in (mine, other)]


def _bars(found: _Found, kills: KillsFound) -> list[Bar]:
    inside, beside = found.inprocess, found.inprocess_direct
    fastmcp, contextforge = (found.peers.get(name, (None, None)) for name in (FASTMCP, CONTEXTFORGE))
    return [
        Bar("inprocess_p50_ratio", p50_ratio(inside, beside), "<=", 2),
        Bar("inprocess_added_ms", added_ms(inside, beside), "<=", 2),
        Bar("inprocess_c32_throughput", throughput_ratio(inside, beside), ">=", 0.6),
        Bar("front_p50_ratio", p50_ratio(found.front, found.front_direct), "<=", 5),
        Bar("front_c32_throughput", throughput_ratio(found.front, found.front_direct), ">=", 0.35),
        Bar("vs_fastmcp_proxy", throughput_ratio(*fastmcp), ">=", 10),
        Bar("vs_contextforge", throughput_ratio(*contextforge), ">=", 10),
        Bar("kill_ready_s_max", kills.ready_s_max, "<=", 5),
        Bar("leaked_processes", kills.leaked_processes, "==", 0),
        Bar("leaked_descriptors", kills.leaked_descriptors, "==", 0),
        Bar("other_server_errors", kills.other_errors, "==", 0),
    ]
