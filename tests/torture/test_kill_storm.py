"""The short kill storm, as part of the tests; `scripts/torture` runs the long one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.torture
@pytest.mark.timeout(400)
def test_twenty_kills_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    report_file = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.torture.run", "--cut", "--json", str(report_file)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=380, check=False)
    assert report_file.exists(), ended.stdout + ended.stderr
    bars = {bar["name"]: bar for bar in json.loads(report_file.read_text())["bars"]}
    judged = [bar for name, bar in bars.items() if not name.startswith("takeover_s_")]
    assert [bar for bar in judged if not bar["holds"]] == [], ended.stdout
    assert ended.returncode == 0
