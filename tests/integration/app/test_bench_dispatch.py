"""`interlock bench dispatch`, as small as it can be: all of its parts run, and its output has its shape."""

import json
import os
import subprocess
import sys

import pytest
from tests.unit.app.test_bench_dispatch import BARS

from interlock.app.benchmarks.processes import command_lines

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
FEW = ["--tasks", "12", "--rounds", "1", "--backlog", "300", "--kills", "1", "--seconds", "1"]


def test_all_parts_run_and_what_was_too_little_is_not_judged() -> None:
    command = [sys.executable, "-m", "interlock", "bench", "dispatch", "--json", *FEW]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=os.environ, check=False)
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert set(document) == {"v", "bench", "machine", "rows", "bars"}
    assert document["bench"] == "dispatch"
    assert {bar["name"]: (bar["op"], bar["target"]) for bar in document["bars"]} == BARS
    assert not [bar["name"] for bar in document["bars"] if bar["holds"] or bar["value"] is not None]
    rows = {row["name"]: row for row in document["rows"]}
    assert [note for row in rows.values() if (note := row["note"]) and not note.startswith("not judged")] == []
    assert rows["interlock"]["tasks"] == rows["100 queued"]["tasks"] == rows["300 queued"]["tasks"] == 12
    assert rows["one idle worker"]["transactions_per_s"] > 0
    assert rows["submit to start"]["tasks"] == 12
    assert rows["SIGKILL of one of two workers"]["runs"] >= 4
    waiting = rows["tasks that wait for an approval"]
    assert waiting["waiting_when_a_further_one_ran"] >= 12 > waiting["slots"]
    assert waiting["further_one_started_after_ms"] is not None
    assert not [line for line in command_lines().values() if "interlock-bench-" in line]
