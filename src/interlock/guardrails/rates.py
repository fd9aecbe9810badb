"""Stage 5, over all workers: how often a tool, an agent and a task may make calls; token buckets in Postgres.

A bucket stays locked until its transaction ends, so tokens are best taken in a short one of their own, right before
the call is started: tokens of a call that is then not made are lost, which errs on the safe side.
"""

import math
from collections.abc import Sequence

from interlock.config import Rate, parse_rate
from interlock.guardrails.case import Subject
from interlock.model import RateLimited, TaskKind, ToolRef
from interlock.store import Bucket, Shortage, Transaction, rate_rows

_UNITS = {1.0: "a second", 60.0: "a minute", 3600.0: "an hour", 86400.0: "a day"}
TASK_IDLE_S = 86_400.0


def buckets_of(subject: Subject, ref: ToolRef, tool_rate: str | None, *, task: bool = False) -> tuple[Bucket, ...]:
    """The buckets that a call takes a token of; none when it takes something back, which no limit stops half way.

    Args:
        subject: on whose behalf.
        ref: the tool.
        tool_rate: what the operator declares of it, such as `60/m burst 10`.
        task: a bucket for `limits.calls_per_minute` too, instead of the fixed minute of the allowances.
    """
    if subject.task.kind is TaskKind.UNDO:
        return ()
    limits = subject.agent.limits
    found = []
    if tool_rate is not None:
        found.append(Bucket(f"tool:{ref}", parse_rate(tool_rate)))
    if limits.agent_rate is not None:
        found.append(Bucket(f"agent:{subject.name}", parse_rate(limits.agent_rate)))
    if task:
        a_minute = float(limits.calls_per_minute)
        found.append(Bucket(f"task:{subject.lease.task_id}", Rate(a_minute, 60.0, a_minute)))
    return tuple(found)


async def take(tx: Transaction, buckets: Sequence[Bucket]) -> None:
    """Take one token of each, or of none.

    Raises:
        RateLimited: one is empty; `retry_after_s` says for how long, and nothing was taken.
    """
    short = await rate_rows.take_all(tx, buckets)
    if short is not None:
        raise RateLimited(sentence(short), retry_after_s=short.wait_s)


async def forget_tasks(tx: Transaction) -> int:
    """Delete the buckets of tasks that have not called anything for a day; how many."""
    return await rate_rows.forget_idle(tx, "task:", TASK_IDLE_S)


def sentence(short: Shortage) -> str:
    """What the model reads: which limit, and in how many whole seconds to try again."""
    kind, _, name = short.bucket.key.partition(":")
    who = {"tool": f"{name} may be called", "agent": f"the agent '{name}' may make calls"}.get(
        kind, "the task may make calls"
    )
    scope = " by all agents together" if kind == "tool" else " in all its tasks together" if kind == "agent" else ""
    return f"{who} {spoken(short.bucket.rate)}{scope}; try again in {max(1, math.ceil(short.wait_s))} s"


def spoken(rate: Rate) -> str:
    """A rate in words: `60 times a minute, 10 at once`."""
    unit = _UNITS.get(rate.per_s, f"in {rate.per_s:g} s")
    burst = "" if rate.burst == rate.amount else f", {rate.burst:g} at once"
    return f"{rate.amount:g} {'time' if rate.amount == 1 else 'times'} {unit}{burst}"
