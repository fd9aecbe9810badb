"""A command under its keeper, without any walls: when it is over, all that it started is over."""

import os
import threading
import time
from pathlib import Path

import pytest

from interlock.servers.shell import running
from interlock.servers.shell.running import Ended, Order, run


def do(
    script: str, tmp_path: Path, *, timeout_s: float = 20.0, stdin: str = "", stop: threading.Event | None = None
) -> Ended:
    env = {"PATH": os.environ["PATH"]}
    order = Order(("/bin/sh", "-c", script), env, tmp_path, stdin, timeout_s, tmp_path)
    return run(order, stop or threading.Event())


def running_with(mark: str) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                line = (process / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if mark in line and process.name != str(os.getpid()):
                found.append(line)
    return found


def test_output_and_status(tmp_path: Path) -> None:
    ended = do("echo out; echo err >&2; exit 7", tmp_path)
    assert (ended.exit_status, ended.stdout, ended.stderr, ended.cut_short) == (7, "out\n", "err\n", None)
    assert do("kill -9 $$", tmp_path).exit_status == 128 + 9
    assert do("kill -15 $$", tmp_path).exit_status == 128 + 15


def test_standard_input_may_be_large_or_nothing(tmp_path: Path) -> None:
    assert do("wc -c", tmp_path, stdin="x" * 1_000_000).stdout.strip() == "1000000"
    assert do("wc -c", tmp_path).stdout.strip() == "0"
    assert do("head -c 1", tmp_path, stdin="y" * 1_000_000).stdout == "y"


@pytest.mark.parametrize(
    "background",
    [
        "sleep 3141.51 &",
        "nohup sleep 3141.51 >/dev/null 2>&1 &",
        "setsid sleep 3141.51 >/dev/null 2>&1 &",
        "(setsid sh -c 'setsid sleep 3141.51 & setsid sleep 3141.51 &' &) ; sleep 0.2;",
        "sh -c 'trap \"\" TERM HUP INT; sleep 3141.51' & sleep 0.1;",
    ],
)
def test_nothing_that_was_started_survives(tmp_path: Path, background: str) -> None:
    began_s = time.monotonic()
    ended = do(f"{background} echo done", tmp_path)
    assert ended.exit_status == 0
    assert ended.stdout == "done\n"
    assert running_with("3141.51") == []
    assert time.monotonic() - began_s < 10


def test_the_end_of_its_time(tmp_path: Path) -> None:
    began_s = time.monotonic()
    ended = do("echo begun; trap '' TERM; setsid sleep 3141.52 & sleep 3141.52; sleep 3141.52", tmp_path, timeout_s=0.7)
    assert time.monotonic() - began_s < 0.7 + 2.5
    assert (ended.exit_status, ended.stdout, ended.cut_short) == (None, "begun\n", "time")
    assert running_with("3141.52") == []


def test_a_stop_from_outside(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    began_s = time.monotonic()
    ended = do("sleep 3141.53", tmp_path, stop=stop)
    assert ended.cut_short == "stop"
    assert time.monotonic() - began_s < 0.5 + 2.5
    assert running_with("3141.53") == []


def test_a_disk_that_gets_full_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "FREE_BYTES", 1 << 60)
    assert do("sleep 3141.54", tmp_path).cut_short == "disk"


def test_no_file_may_get_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "FILE_BYTES", 100_000)
    ended = do("head -c 1000000 /dev/zero > big; echo $?", tmp_path)
    assert ended.stdout.strip() != "0"
    assert (tmp_path / "big").stat().st_size == 100_000


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    ended = run(Order(("/no/such/program",), {}, tmp_path, "", 5.0, tmp_path), threading.Event())
    assert ended.exit_status == 126
    assert "can't run /no/such/program" in ended.stderr
