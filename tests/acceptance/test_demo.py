"""The demo is the promise: it runs, every step holds, and it leaves nothing behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]


def test_the_demo_keeps_its_promise(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path), "INTERLOCK_HOME": str(tmp_path / "untouched")}
    done = subprocess.run(
        [sys.executable, "-m", "interlock", "demo", "--json"],
        cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=220, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout
    result = json.loads(done.stdout)
    assert [step["step"] for step in result["steps"]] == ["a", "b", "c", "d", "e", "f"]
    assert all(step["ok"] for step in result["steps"]), result
    assert "each exactly once" in result["steps"][4]["outcome"]
    assert not list(tmp_path.glob("interlock-demo-*"))
    assert not (tmp_path / "untouched").exists()
