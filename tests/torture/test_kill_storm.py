"""The short kill storm, as part of the tests; `scripts/torture` runs the long one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TAKEOVER_MAX_S = 30.0  # on a machine that others use as well; `scripts/torture` demands 5


@pytest.mark.torture
@pytest.mark.timeout(400)
def test_twenty_kills_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    report_file = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.torture.run", "--cut", "--json", str(report_file)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=380, check=False)
    assert report_file.exists(), ended.stdout + ended.stderr
    bars = {bar["name"]: bar for bar in json.loads(report_file.read_text())["bars"]}
    assert bars.pop("takeover_s_max")["value"] <= TAKEOVER_MAX_S
    bars.pop("takeover_s_p50")
    assert [bar for bar in bars.values() if not bar["holds"]] == [], ended.stdout
