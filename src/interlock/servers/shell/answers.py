"""What a call answers: the output and the effect as text for a model, and as a structure that is not too large."""

import json
from typing import Any

from interlock.servers.shell.limits import ANSWER_BYTES, ANSWER_DIFF_BYTES, ANSWER_FILES
from interlock.servers.shell.output import last_of
from interlock.servers.shell.running import Ended

WHY_CUT = {
    "time": "It did not end within its time and was ended.",
    "stop": "It was stopped by the caller.",
    "disk": "It was ended because the disk is nearly full.",
}


def text_of(ended: Ended, summary: str) -> str:
    """Output, exit status and changes as a model reads them."""
    parts = [ended.stdout.rstrip("\n")] if ended.stdout.strip() else []
    if ended.stderr.strip():
        parts.append(f"[stderr]\n{ended.stderr.rstrip()}")
    if ended.cut_short:
        parts.append(f"[{WHY_CUT[ended.cut_short]}]")
    else:
        parts.append(f"[exit status {ended.exit_status}, {ended.duration_s:.1f} s]")
    if summary:
        parts.append(f"[files]\n{summary}")
    return "\n".join(parts)


def structured_of(ended: Ended, effect: dict[str, Any]) -> dict[str, Any]:
    """Shape `{exit_status, stdout, stderr, timed_out, duration_s, effect}`; bounded."""
    return {
        "exit_status": ended.exit_status,
        "stdout": ended.stdout,
        "stderr": ended.stderr,
        "timed_out": ended.cut_short == "time",
        "duration_s": ended.duration_s,
        "effect": shortened(effect),
    }


def shortened(effect: dict[str, Any]) -> dict[str, Any]:
    """An effect with at most so many files one by one (`files_left_out` says how many more there are), and less diff."""
    files = effect.get("files", [])
    short = {**effect, "files": files[:ANSWER_FILES]} if "files" in effect else dict(effect)
    if len(files) > ANSWER_FILES:
        short["files_left_out"] = len(files) - ANSWER_FILES
    diff = effect.get("diff", "").encode()
    if len(diff) > ANSWER_DIFF_BYTES:
        short["diff"] = f"{diff[:ANSWER_DIFF_BYTES].decode(errors='ignore')}\n... cut here ...\n"
    return short


def fitting(structured: dict[str, Any]) -> dict[str, Any]:
    """The same, small enough to be read: first the diff goes, then files, then more and more of the output."""
    while _size(structured) > ANSWER_BYTES:
        effect = structured.get("effect", {})
        if effect.get("diff"):
            structured = {**structured, "effect": {**effect, "diff": ""}}
        elif effect.get("files"):
            more = effect.get("files_left_out", 0) + len(effect["files"])
            structured = {**structured, "effect": {**effect, "files": [], "files_left_out": more}}
        else:
            limit = max(len(structured["stdout"].encode()), len(structured["stderr"].encode())) // 2
            out, err = last_of(structured["stdout"], limit), last_of(structured["stderr"], limit)
            structured = {**structured, "stdout": out, "stderr": err}
    return structured


def _size(structured: dict[str, Any]) -> int:
    return len(json.dumps(structured, ensure_ascii=False).encode(errors="replace"))
