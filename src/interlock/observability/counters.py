"""Metric names and the exposition: counters are rows in Postgres, written in the transaction of the fact they count.

So they survive every crash, are the same on every machine, and equal the audit.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.store import Count, Database, Row, Transaction, backlog_rows, catalog_rows, task_rows

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

TASKS = "agent_tasks"
TASK_SECONDS = "agent_task_duration_seconds"
TOKENS = "agent_tokens_used"
TOOL_CALLS = "agent_tool_calls"
COST_USD = "agent_cost_usd"
TRIGGERS = "interlock_triggers"
TASK_BUCKETS_S = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
STATUSES = ("completed", "failed", "cancelled", "timed_out", "rejected", "escalated")
LABEL_CHARS = 64
OTHER = "other"


def label(value: str) -> str:
    """A label value that can't grow without bound: odd or long ones become `other`."""
    return value if re.fullmatch(r"[A-Za-z0-9_.:/-]{1,64}", value) else OTHER


async def count_task(tx: Transaction, status: str, agent: str, seconds: float | None) -> None:
    """Count a task that reached a final state, or was escalated (then without `seconds`)."""
    await catalog_rows.count(tx, *task_counts(status, agent, seconds))


def task_counts(status: str, agent: str, seconds: float | None) -> list[Count]:
    """What such a task counts in."""
    counts: list[Count] = [(TASKS, {"status": status, "agent": label(agent)}, 1.0)]
    if seconds is not None:
        bucket = next((f"{edge:g}" for edge in TASK_BUCKETS_S if seconds <= edge), "+Inf")
        counts.append((f"{TASK_SECONDS}_bucket", {"agent": label(agent), "le": bucket}, 1.0))
        counts.append((f"{TASK_SECONDS}_sum", {"agent": label(agent)}, seconds))
    return counts


def call_counter(server: str, action: str, outcome: str) -> tuple[str, dict[str, str]]:
    """Name and labels of the counter of calls that ended: outcome `ok`, `error`, `denied`, `timeout`, `in_doubt`."""
    return TOOL_CALLS, {"tool": label(server), "action": action, "outcome": outcome}


async def count_call(tx: Transaction, server: str, action: str, outcome: str) -> None:
    """Count a tool call that ended."""
    await catalog_rows.count(tx, (*call_counter(server, action, outcome), 1.0))


async def count_tokens(tx: Transaction, model: str, tokens: dict[str, int], cost_usd: float) -> None:
    """Count a model call; shape of tokens `{direction: n}`."""
    counts: list[Count] = []
    for direction, number in tokens.items():
        if number:
            counts.append((TOKENS, {"model": label(model), "direction": direction}, number))
    if cost_usd:
        counts.append((COST_USD, {"model": label(model)}, cost_usd))
    if counts:
        await catalog_rows.count(tx, *counts)


async def count_trigger(tx: Transaction, trigger: str, outcome: str, number: int) -> None:
    """Count what became of deliveries: `fired` and `duplicate` tasks, else deliveries that started nothing."""
    await catalog_rows.count(tx, (TRIGGERS, {"trigger": label(trigger), "outcome": outcome}, number))


async def trigger_counts(tx: Transaction) -> dict[str, dict[str, int]]:
    """What became of the deliveries of each trigger; shape `{trigger: {outcome: n}}`."""
    found: dict[str, dict[str, int]] = {}
    for row in await catalog_rows.counters(tx, TRIGGERS):
        found.setdefault(row["labels"]["trigger"], {})[row["labels"]["outcome"]] = int(row["value"])
    return found


async def exposition(database: Database, version: str) -> bytes:
    """The text that Prometheus scrapes."""
    from prometheus_client import CollectorRegistry, generate_latest

    async with database.transaction() as tx:
        rows = await catalog_rows.counters(tx)
        gauges = _Gauges(await task_rows.state_counts(tx), await backlog_rows.by_agent(tx))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Rows(rows, gauges, version))
    return generate_latest(registry)


@dataclass(frozen=True)
class _Gauges:
    """What is so now: tasks by state, and those that wait for each agent."""

    states: dict[str, int]
    backlog: dict[str, int]


class _Rows:
    """A collector over rows that were read beforehand."""

    def __init__(self, rows: list[Row], gauges: _Gauges, version: str) -> None:
        self._rows = rows
        self._gauges = gauges
        self._version = version

    def collect(self) -> "list[Metric]":
        """All families."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        families: list[Metric] = []
        for name, help_text, names in (
            (TASKS, "Tasks by final state; escalated ones are counted when they escalate.", ("status", "agent")),
            (TOKENS, "Tokens by model and direction.", ("model", "direction")),
            (TOOL_CALLS, "Tool calls that ended.", ("tool", "action", "outcome")),
            (COST_USD, "Money spent on models, in US dollars.", ("model",)),
            (TRIGGERS, "Tasks that deliveries started, and deliveries that started none.", ("trigger", "outcome")),
        ):
            family = CounterMetricFamily(name, help_text, labels=names)
            for row in self._named(name):
                family.add_metric([row["labels"][label_name] for label_name in names], row["value"])
            families.append(family)
        families.append(self._durations())
        states = GaugeMetricFamily("interlock_tasks", "Tasks that are not final, by state.", labels=("state",))
        for state, number in sorted(self._gauges.states.items()):
            states.add_metric([state], number)
        backlog = GaugeMetricFamily("interlock_backlog", "Tasks that wait to be begun.", labels=("agent",))
        for agent, number in sorted(self._gauges.backlog.items()):
            backlog.add_metric([agent], number)
        info = GaugeMetricFamily("interlock_build_info", "Always 1; the version is a label.", labels=("version",))
        info.add_metric([self._version], 1)
        return [*families, states, backlog, info]

    def _named(self, name: str) -> list[Row]:
        rows = [row for row in self._rows if row["name"] == name]
        if name == TASKS:  # a status that was never seen must be there as 0, or rate() misses its first one
            agents = sorted({row["labels"]["agent"] for row in rows})
            seen = {(row["labels"]["agent"], row["labels"]["status"]) for row in rows}
            rows += [
                {"labels": {"agent": agent, "status": status}, "value": 0}
                for agent in agents
                for status in STATUSES
                if (agent, status) not in seen
            ]
        return rows

    def _durations(self) -> "Metric":
        from prometheus_client.core import HistogramMetricFamily

        family = HistogramMetricFamily(
            TASK_SECONDS, "From submission to the final state, waiting included.", labels=("agent",)
        )
        sums = {row["labels"]["agent"]: row["value"] for row in self._named(f"{TASK_SECONDS}_sum")}
        counts = {
            (row["labels"]["agent"], row["labels"]["le"]): row["value"] for row in self._named(f"{TASK_SECONDS}_bucket")
        }
        for agent, total in sorted(sums.items()):
            running, buckets = 0.0, []
            for edge in [f"{value:g}" for value in TASK_BUCKETS_S] + ["+Inf"]:
                running += counts.get((agent, edge), 0.0)
                buckets.append((edge, running))
            family.add_metric([agent], buckets, total)
        return family
