"""`interlock demo`: the promise, shown on real processes in about a minute."""

import shutil
import sys
import time
from pathlib import Path

from interlock.cli.demo_stage import Stage, check_needs, erase_database, make_folder, running
from interlock.cli.demo_steps import STEPS, StepFailed, Teller, interactive
from interlock.cli.options import Json, Yes
from interlock.cli.output import emit, paint_for, table

Result = dict[str, object]


def demo(*, keep: bool = False, yes: Yes = False, json: Json = False) -> int:
    """Show what interlock does, on real processes, in about a minute: no key, no configuration.

    Args:
        keep: leave the server running and the folder in place.
        yes: do not ask for the approval.
        json: print the results as JSON.
    """
    check_needs()
    out = sys.stderr if json else sys.stdout
    paint = paint_for(out)

    def write(text: str) -> None:
        print(text, file=out, flush=True)

    started = time.monotonic()
    folder = make_folder()
    results: list[Result] = []
    finished = False
    try:
        write(paint("interlock demo", "bold"))
        write(f"    Folder {folder}; starting PostgreSQL, the server, two workers and six tool servers …")
        with running(folder, keep=keep) as stage:
            write(f"    Ready after {time.monotonic() - started:.1f} s at {stage.url}")
            teller = Teller(write, interactive(yes) and not json)
            results = [_show(stage, teller, number) for number in range(len(STEPS))]
        finished = True
    finally:
        if not (keep and finished):
            erase_database(folder)
            shutil.rmtree(folder, ignore_errors=True)
    seconds = round(time.monotonic() - started, 1)
    failed = [result for result in results if not result["ok"]]
    document = {"steps": results, "ok": not failed, "seconds": seconds, "folder": str(folder) if keep else None}
    emit(document, _summary(results, seconds, folder if keep else None), as_json=json)
    return 1 if failed else 0


def _show(stage: Stage, teller: Teller, number: int) -> Result:
    step = STEPS[number]
    teller.out(f"\n({step.letter}) {step.title}")
    begun = time.monotonic()
    try:
        outcome, good = step.run(stage, teller), True
    except StepFailed as failure:
        outcome, good = str(failure), False
        teller.say(f"FAILED: {outcome}")
    took = round(time.monotonic() - begun, 1)
    return {"step": step.letter, "title": step.title, "ok": good, "outcome": outcome, "seconds": took}


def _summary(results: list[Result], seconds: float, kept: Path | None) -> list[str]:
    paint = paint_for(sys.stdout)
    rows = [
        (str(r["step"]), "ok" if r["ok"] else "FAILED", f"{r['seconds']} s", str(r["title"]), str(r["outcome"]))
        for r in results
    ]
    lines = [
        "",
        *table(("", "result", "time", "what", "seen"), rows, paint),
        "",
        f"{seconds} s in all. What to type next:",
    ]
    if kept is not None:
        return [
            *lines,
            f"  export INTERLOCK_HOME={kept / 'home'}; cd {kept}",
            "  interlock tasks list         then: interlock tasks show ID",
            "  interlock audit list         interlock status",
            "  interlock down               when you have seen enough",
        ]
    return [
        *lines,
        "  interlock init               a project of your own in this folder",
        "  interlock up                 start it",
        "  interlock demo --keep        the same again, left running to look around in",
    ]
