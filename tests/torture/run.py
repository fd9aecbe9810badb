"""The entry of `scripts/torture`: one kill storm, a table, and exit status 1 when a bar does not hold."""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.torture.kill_storm import Plan, weather
from tests.torture.stage import ROOT, Stage

FULL = {"kills": 200, "tasks": 400}
CUT = {"kills": 20, "tasks": 60}
TIMES = ("takeover_s_p50", "takeover_s_max")  # the short form shows them and judges only what is right or wrong


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    parser.add_argument("--cut", action="store_true", help=f"the short storm of CI: {CUT}")
    parser.add_argument("--seed", type=int, default=1, help="when and whom to kill (default 1)")
    parser.add_argument("--kills", type=int, help=f"default {FULL['kills']}")
    parser.add_argument("--tasks", type=int, help=f"default {FULL['tasks']}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work there, and leave everything to look at")
    return parser.parse_args(argv)


def plan_of(given: argparse.Namespace) -> Plan:
    """How big it is to be."""
    size = CUT if given.cut else FULL
    return Plan(given.seed, given.kills or size["kills"], given.tasks or size["tasks"])


def machine() -> str:
    """What it ran on, in one line."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def commit() -> str | None:
    """The revision of this clone, with a mark when files were changed since; None outside a clone."""
    git = ["git", "-C", str(ROOT)]
    found = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=30)
    if found.returncode:
        return None
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False, timeout=30)
    return found.stdout.strip() + ("+changes" if changed.stdout.strip() else "")


def show(report: dict[str, Any]) -> None:
    """The table."""
    print(f"kill storm, seed {report['seed']}: {report['kills']} kills, {report['tasks']} tasks,"
          f" {report['effects']} effects, {report['seconds']} s, load {report['load']}")  # fmt: skip
    for name, value in report["facts"].items():
        print(f"  {name:<24} {value}")
    print()
    for bar in report["bars"]:
        mark = "ok  " if bar["holds"] else "FAIL"
        print(f"  {mark} {bar['name']:<24} {bar['value']!s:>8}  {bar['op']} {bar['target']}")
    for name, found in report["problems"].items():
        print(f"\n{name}:")
        for line in found:
            print(f"  {line}")


def main(argv: list[str]) -> int:
    """Run it; 0 when every bar holds (in the short form: every bar but those of time)."""
    given = parse(argv)
    folder = given.keep or Path(tempfile.mkdtemp(prefix="interlock-torture-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        report = asyncio.run(weather(plan_of(given), Stage(folder.resolve())))
    finally:
        if given.keep is None:
            Stage(folder.resolve()).clear()
    report = {**report, "commit": commit(), "machine": machine(), "load": [round(n, 1) for n in os.getloadavg()]}
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=1) + "\n")
    show(report)
    judged = [bar for bar in report["bars"] if not (given.cut and bar["name"] in TIMES)]
    return 0 if all(bar["holds"] for bar in judged) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
