"""After the storm: the tool server's log, the ledger, the audit and the counters must tell the same story."""

import json
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.torture.kill_storm import Plan, Story
from tests.torture.stage import AGENTS, Stage

from interlock.app import Control
from interlock.store import Row

TAKEOVER_P50_S = 2.0
TAKEOVER_MAX_S = 5.0
SHARE = 0.3
SHOWN = 20


@dataclass
class Books:
    """Everything that was written down, by four hands."""

    effects: list[dict[str, Any]]
    tasks: list[Row]
    calls: list[Row]
    records: list[dict[str, Any]]
    counters: list[Row]
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def of_event(self, event: str) -> list[dict[str, Any]]:
        """Audit records of one kind, in order."""
        return [record for record in self.records if record["event"] == event]

    def per_call(self, event: str) -> Counter[str]:
        """How many records of one kind each call has."""
        return Counter(record["subject"]["call"] for record in self.of_event(event))


async def read(stage: Stage, control: Control) -> Books:
    """Read all four."""
    async with control.database.transaction() as tx:
        tasks = await tx.rows("select id::text, agent, state, crashes from task")
        calls = await tx.rows(
            "select id::text, task_id::text, run_no, call_no, tool, state, class, started_at from call order by call_no"
        )
        bodies = await tx.rows("select body from audit_record order by at, id")
        counters = await tx.rows("select name, labels, value from metric_counter")
    records = [json.loads(bytes(row["body"])) for row in bodies]
    return Books(stage.effects(), tasks, calls, records, counters)


def check_effects(books: Books, story: Story) -> None:
    """Every expected effect once, and none that nobody asked for."""
    times = Counter(effect["key"] for effect in books.effects)
    wanted = {f"{key}/{place}" for agent, key in story.tasks.values() for _, place in AGENTS[agent]}
    books.problems["lost"] += [key for key in sorted(wanted) if times[key] == 0]
    books.problems["doubled"] += [f"{key}: {n} times" for key, n in sorted(times.items()) if n > 1]
    books.problems["uncalled_for"] += [key for key in sorted(times) if key not in wanted]


def check_tasks(books: Books, story: Story) -> None:
    """Every task ended once, and well."""
    finals = Counter(
        record["subject"]["task"]
        for record in books.of_event("task.state")
        if record["detail"]["to"] in ("completed", "failed", "cancelled", "timed_out", "rejected")
    )
    for task in books.tasks:
        if task["state"] != "completed":
            books.problems["not_completed"].append(f"{task['id']} is {task['state']}")
        if finals[task["id"]] != 1:
            books.problems["final_states"].append(f"{task['id']} ended {finals[task['id']]} times")
    missing = set(story.tasks) - {task["id"] for task in books.tasks}
    books.problems["tasks_gone"] += sorted(missing)


def check_ledger(books: Books) -> None:
    """The ledger says `done` exactly of what the server did, and leaves nothing open."""
    done_by_key = Counter(effect["idempotency_key"] for effect in books.effects)
    for call in books.calls:
        key = f"{call['task_id']}:{call['run_no']}:{call['call_no']}"
        name = f"{call['id']} ({call['tool']}, {call['state']})"
        if call["state"] in ("started", "in_doubt", "held", "approved", "proposed"):
            books.problems["left_open"].append(name)
        if (call["state"] == "done") != (done_by_key.pop(key, 0) == 1):
            books.problems["ledger_and_log"].append(name)
    books.problems["ledger_and_log"] += [f"no call has the key {key}" for key in done_by_key]


def check_audit(books: Books, story: Story) -> None:
    """One intent for each start, one end for each call, every doubt reported and resolved once."""
    intents, outcomes = books.per_call("call.intent"), books.per_call("call.outcome")
    doubts, resolved = books.per_call("call.in_doubt"), books.per_call("call.resolved")
    again: Counter[str] = Counter(
        record["subject"]["call"]
        for record in books.of_event("call.resolved")
        if record["detail"]["outcome"] == "not_done"
    )
    unmade = books.per_call("call.unavailable")  # its tool was not there, so it was closed without a start
    said_done = {
        record["subject"]["call"] for record in books.of_event("call.resolved") if record["detail"]["outcome"] == "done"
    }
    for call in books.calls:
        wrong = []
        if intents[call["id"]] != 1 + again[call["id"]] - unmade[call["id"]]:
            wrong.append(f"{intents[call['id']]} intents, {again[call['id']]} times not done")
        if outcomes[call["id"]] != (0 if call["id"] in said_done else 1 - unmade[call["id"]]):
            wrong.append(f"{outcomes[call['id']]} outcomes")
        if doubts[call["id"]] != resolved[call["id"]]:
            wrong.append(f"{doubts[call['id']]} times in doubt, {resolved[call['id']]} times resolved")
        books.problems["ledger_and_audit"] += [f"{call['id']} ({call['tool']}): {text}" for text in wrong]
    ids = {call["id"] for call in books.calls}
    books.problems["ledger_and_audit"] += [f"{call}: intent without a call" for call in set(intents) - ids]
    seen = Counter({call: len(found) for call, found in story.doubts.items()})
    books.problems["doubts_not_reported"] += [call for call in doubts if doubts[call] != seen[call]]
    books.problems["doubts_not_reported"] += story.unnamed


def check_counters(books: Books) -> None:
    """The metrics are the audit, counted."""
    calls: Counter[tuple[str, str]] = Counter()
    for record in books.of_event("call.outcome"):
        calls[record["detail"]["tool"].partition(".")[0], record["detail"]["outcome"]] += 1
    for record in books.of_event("call.in_doubt"):
        calls[record["detail"]["tool"].partition(".")[0], "in_doubt"] += 1
    for record in books.of_event("call.denied"):
        calls[record["detail"]["tool"].partition(".")[0], "denied"] += 1
    for record in books.of_event("call.unavailable"):
        calls[record["detail"]["tool"].partition(".")[0], "error"] += 1
    states = Counter(
        record["detail"]["to"]
        for record in books.of_event("task.state")
        if record["detail"]["to"] in ("completed", "failed", "cancelled", "timed_out", "escalated")
    )
    counted_calls: Counter[tuple[str, str]] = Counter()
    counted_states: Counter[str] = Counter()
    for row in books.counters:
        if row["name"] == "agent_tool_calls":
            counted_calls[row["labels"]["tool"], row["labels"]["outcome"]] += int(row["value"])
        if row["name"] == "agent_tasks":
            counted_states[row["labels"]["status"]] += int(row["value"])
    if calls != counted_calls:
        books.problems["counters"].append(f"calls: audit {dict(calls)}, counters {dict(counted_calls)}")
    if states != counted_states:
        books.problems["counters"].append(f"tasks: audit {dict(states)}, counters {dict(counted_states)}")


@dataclass(frozen=True)
class Takeovers:
    """Seconds from a kill until the tasks that the dead worker held were given up, and were claimed again."""

    noticed_s: list[float]
    claimed_s: list[float]


def takeovers(books: Books, story: Story) -> Takeovers:
    """Follow every task that a killed worker held."""
    moves: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for record in books.of_event("task.state"):
        moves[record["subject"]["task"]].append((datetime.fromisoformat(record["at"]), record["detail"]["to"]))
    noticed, claimed = [], []
    for kill in story.kills:
        for task in kill.held:
            later = [(at, to) for at, to in moves[task] if at > kill.at]
            if later:
                noticed.append((later[0][0] - kill.at).total_seconds())
            running = next((at for at, to in later if to == "running"), None)
            if running is not None and later[0][1] == "queued":
                claimed.append((running - kill.at).total_seconds())
    return Takeovers(sorted(noticed), sorted(claimed))


def middle(values: list[float]) -> float | None:
    """The median, or None."""
    return round(statistics.median(values), 2) if values else None


def highest(values: list[float]) -> float | None:
    """The highest value, or None."""
    return round(max(values), 2) if values else None


def bar(name: str, value: float | None, op: str, target: float) -> dict[str, Any]:
    """One bar of the report."""
    holds = value is not None and {">=": value >= target, "<=": value <= target, "==": value == target}[op]
    return {"name": name, "value": value, "target": target, "op": op, "holds": holds}


async def reckon(plan: Plan, stage: Stage, control: Control, story: Story) -> dict[str, Any]:
    """Compare the books; shape `{…, facts, problems, bars}`."""
    verdict = await control.verify_audit()
    books = await read(stage, control)
    check_effects(books, story)
    check_tasks(books, story)
    check_ledger(books)
    check_audit(books, story)
    check_counters(books)
    books.problems["audit_chain"] += verdict["problems"]
    books.problems["strange"] += [*story.strange, *(f"worker {pid} did not drain" for pid in story.late_workers)]
    times = takeovers(books, story)
    kills = len(story.kills)
    zero = [
        bar(name, len(books.problems[name]), "==", 0)
        for name in (
            "lost", "doubled", "uncalled_for", "not_completed", "final_states", "tasks_gone", "left_open",
            "ledger_and_log", "ledger_and_audit", "doubts_not_reported", "counters", "audit_chain", "strange",
        )
    ]  # fmt: skip
    return {
        "bench": "kill_storm",
        "seed": plan.seed,
        "kills": kills,
        "tasks": len(story.tasks),
        "effects": len(books.effects),
        "seconds": round(story.seconds, 1),
        "facts": facts(books, story, times),
        "problems": {name: found[:SHOWN] for name, found in books.problems.items() if found},
        "bars": [
            bar("kills", kills, "==", plan.kills),
            bar("kills_in_a_call_share", round(story.in_flight_kills / max(1, kills), 3), ">=", SHARE),
            *zero,
            bar("takeover_s_p50", middle(times.claimed_s), "<=", TAKEOVER_P50_S),
            bar("takeover_s_max", highest(times.claimed_s), "<=", TAKEOVER_MAX_S),
        ],
    }


def facts(books: Books, story: Story, times: Takeovers) -> dict[str, Any]:
    """Numbers that say how hard the storm was."""
    resent = [r for r in books.of_event("call.taken_over") if r["detail"]["tool"].endswith("append_keyed")]
    return {
        "kills_in_a_call": story.in_flight_kills,
        "calls_hit": sum(kill.open_calls for kill in story.kills),
        "segments_hit": sum(len(kill.held) for kill in story.kills),
        "in_doubt": sum(len(found) for found in story.doubts.values()),
        "in_doubt_had_happened": sum(found.count("done") for found in story.doubts.values()),
        "probed": len(books.of_event("call.probe")),
        "idempotent_resent": len(resent),
        "taken_over": len(books.of_event("call.taken_over")),
        "late_outcomes": len(books.of_event("call.late_outcome")),
        "set_aside": story.set_aside,
        "approved": story.approved,
        "workers_lost": len(books.of_event("worker.lost")),
        "noticed_s_p50": middle(times.noticed_s),
        "noticed_s_max": highest(times.noticed_s),
        "takeovers_measured": len(times.claimed_s),
    }
