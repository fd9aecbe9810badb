"""Short-term memory of a task: what the next run must know of the one that failed, so that it does not repeat it."""

from interlock.model import Call, CallState

_MAX_CALLS = 5
_TEXT_CHARS = 300


def note_of_failure(run_no: int, reason: str, calls: list[Call]) -> str:
    """A note for the next run: why the last one failed, and which of its calls went wrong with what answer."""
    lines = [f"Run {run_no} failed: {reason}"]
    wrong = [call for call in calls if call.run_no == run_no and call.state in (CallState.FAILED, CallState.DENIED)]
    for call in wrong[-_MAX_CALLS:]:
        answer = str((call.result or {}).get("text", ""))[:_TEXT_CHARS]
        lines.append(f"- {call.tool} was {call.state}: {answer}")
    return "\n".join(lines)
