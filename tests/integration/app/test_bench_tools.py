"""`interlock bench tools`, as small as it can be: all of its parts run, and its output has its shape."""

import os

import pytest

from interlock.app import Effort, Order, run_benchmark
from interlock.app.benchmarks.processes import command_lines

BARS = {
    "inprocess_p50_ratio": ("<=", 2),
    "inprocess_added_ms": ("<=", 2),
    "inprocess_c32_throughput": (">=", 0.6),
    "front_p50_ratio": ("<=", 5),
    "front_c32_throughput": (">=", 0.35),
    "vs_fastmcp_proxy": (">=", 10),
    "vs_contextforge": (">=", 10),
    "kill_ready_s_max": ("<=", 5),
    "leaked_processes": ("==", 0),
    "leaked_descriptors": ("==", 0),
    "other_server_errors": ("==", 0),
}
PEERS = {"vs_fastmcp_proxy", "vs_contextforge"}

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


async def test_everything_is_measured_but_the_peers_and_nothing_is_left_over() -> None:
    order = Order(Effort(seconds=0.4, calls=4, rounds=2, kills=4), os.environ, lambda _: None)
    document = (await run_benchmark("tools", order)).to_json()
    assert set(document) == {"bench", "machine", "rows", "bars"}
    assert document["bench"] == "tools"
    assert {"cpu", "cpus", "python", "load_1m", "load_1m_after"} <= set(document["machine"])
    assert [row["note"] for row in document["rows"] if row["note"]] == []
    bars = {bar["name"]: bar for bar in document["bars"]}
    assert {name: (bar["op"], bar["target"]) for name, bar in bars.items()} == BARS
    assert {name for name, bar in bars.items() if bar["value"] is None} == PEERS
    assert not any(bars[name]["holds"] for name in PEERS)
    assert all(bars[name]["value"] == 0 for name in ("leaked_processes", "leaked_descriptors", "other_server_errors"))
    assert document["rows"][-1]["kills"] == 4
    assert not [line for line in command_lines().values() if "interlock-bench-" in line]
