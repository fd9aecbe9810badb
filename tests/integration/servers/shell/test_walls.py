"""What a command sees and may do in a real sandbox, and how it ends."""

import threading
import time
from typing import Any

import pytest

from interlock.servers.shared.calls import CallNotes

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


# ---- what a command sees --------------------


def test_output_status_and_surroundings(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hidden-value")
    done = bench.run("echo out; echo err >&2; pwd; env | cut -d= -f1 | sort | tr '\\n' ' '; exit 3")
    assert done.failed
    assert done.structured is not None
    assert done.structured["exit_status"] == 3
    assert done.structured["stderr"] == "err\n"
    out, where, names = done.structured["stdout"].splitlines()
    assert (out, where) == ("out", str(bench.folder))
    assert set(names.split()) <= {"PATH", "LANG", "HOME", "TERM", "TMPDIR", "GIT_OPTIONAL_LOCKS", "PWD", "SHLVL", "_"}
    assert "[exit status 3" in done.text
    assert done.structured["effect"]["files_changed"] == 0


def test_only_the_folder_and_private_places_can_be_written(bench: Any) -> None:
    (bench.base / "twin").mkdir()
    command = (
        f"for p in /etc/x /usr/x {bench.base}/twin/x {bench.base}/scratch/x; do touch $p 2>/dev/null && echo LEAK $p; done;"
        " touch inside ~/x /tmp/x && echo fine; ls ~ /tmp"
    )
    done = bench.good(bench.run(command))
    assert (bench.folder / "inside").exists()
    assert list((bench.base / "twin").iterdir()) == []
    assert not (bench.base / "scratch" / "x").exists()
    assert "fine" in done["stdout"]
    again = bench.good(bench.run("ls -A ~ /tmp | grep -c '^x$'; true"))
    assert again["stdout"].strip() == "0"  # each command has its own


def test_there_is_no_network(bench: Any) -> None:
    command = (
        "(exec 3<>/dev/tcp/127.0.0.1/22) 2>&1 | grep -o -i 'refused\\|unreachable'; cat /proc/net/dev | tail -n +3"
    )
    assert "eth" not in bench.good(bench.run(command))["stdout"]


@pytest.mark.parametrize("cwd", ["..", "/etc", "out", "loop", "file", "none", "a/../..", "in/../.."])
def test_a_folder_to_start_in_lies_inside(bench: Any, cwd: str) -> None:
    (bench.folder / "a").mkdir()
    (bench.folder / "out").symlink_to("/etc")
    (bench.folder / "in").symlink_to("a")
    (bench.folder / "loop").symlink_to("loop")
    (bench.folder / "file").write_text("x")
    text = bench.bad(bench.run("pwd", cwd=cwd))
    assert "root:" not in text


def test_a_folder_to_start_in_may_be_named_through_a_link(bench: Any) -> None:
    (bench.folder / "a").mkdir()
    (bench.folder / "in").symlink_to("a")
    assert bench.good(bench.run("pwd", cwd="in"))["stdout"].strip() == str(bench.folder / "a")


def test_standard_input(bench: Any) -> None:
    assert bench.good(bench.run("wc -c", stdin="ü" * 500_000))["stdout"].strip() == "1000000"
    assert bench.good(bench.run("cat"))["stdout"] == ""


def test_wrong_arguments_are_refused(bench: Any) -> None:
    for args in ({}, {"command": ""}, {"command": "x", "timeout_s": 0}, {"command": "x", "timeout_s": 601}):
        assert "Wrong arguments" in bench.bad(bench.call("run", **args))
    assert "no field" in bench.bad(bench.run("x", shell="zsh"))
    assert "NUL" in bench.bad(bench.run("a\0b"))
    assert "the tool is: run" in bench.bad(bench.call("exec"))


def test_a_flood_is_bounded(bench: Any) -> None:
    done = bench.good(bench.run("echo first; yes | head -c 1G; echo last", timeout_s=100))
    assert done["stdout"].startswith("first\n")
    assert done["stdout"].endswith("last\n")
    assert "bytes left out" in done["stdout"]
    assert len(done["stdout"]) < 70_000


def test_binary_output(bench: Any) -> None:
    done = bench.good(bench.run("head -c 300000 /dev/urandom; printf '\\0\\1\\2end' >&2"))
    assert "\0" not in done["stdout"] + done["stderr"]
    assert done["stderr"].endswith("end")


# ---- its life and its end --------------------


@pytest.mark.parametrize(
    "background",
    [
        "(while :; do date > beat; sleep 0.05; done) &",
        "nohup sh -c 'while :; do date > beat; sleep 0.05; done' >/dev/null 2>&1 &",
        "(setsid sh -c 'while :; do date > beat; sleep 0.05; done' >/dev/null 2>&1 &)&",
    ],
)
def test_what_a_command_leaves_running_is_gone(bench: Any, background: str) -> None:
    bench.good(bench.run(f"{background} sleep 0.3"))
    assert (bench.folder / "beat").exists()
    copy = bench.staging._shadow.place / "beat"
    before = [path.lstat().st_mtime_ns for path in (bench.folder / "beat", copy) if path.exists()]
    time.sleep(0.3)
    assert [path.lstat().st_mtime_ns for path in (bench.folder / "beat", copy) if path.exists()] == before


def test_a_command_that_takes_too_long_changes_nothing(bench: Any) -> None:
    bench.fill()
    before = bench.picture()
    began_s = time.monotonic()
    done = bench.run("rm -rf src; trap '' TERM; setsid sleep 100 & echo going; sleep 100", timeout_s=1)
    assert time.monotonic() - began_s < 1 + 2.5
    assert done.failed
    assert done.structured is not None
    assert done.structured["timed_out"] is True
    assert done.structured["exit_status"] is None
    assert done.structured["stdout"] == "going\n"
    assert bench.picture() == before
    assert bench.good(bench.run("ls src"))["stdout"] == "a.txt\ndeep\n"  # the copy is as the folder again


def test_a_stopped_command_changes_nothing(bench: Any) -> None:
    stop = threading.Event()
    threading.Timer(0.6, stop.set).start()
    done = bench.shell.call("run", {"command": "touch made; sleep 50"}, CallNotes(), stop)
    assert done.failed
    assert "stopped" in done.text
    assert list(bench.folder.iterdir()) == []


def test_too_many_processes_and_too_much_memory_hurt_nobody(bench: Any) -> None:
    bomb = bench.run(":(){ :|:& };:; sleep 1; echo over", timeout_s=20)
    assert bomb.structured is not None
    eater = bench.run("python3 -c 'x = bytearray(8 << 30)'")
    assert eater.failed
    assert bench.good(bench.run("echo alive"))["stdout"] == "alive\n"
