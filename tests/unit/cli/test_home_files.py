"""The lock and `server.json`: how commands find what `up` started."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.cli.home_files import (
    Running,
    already_running,
    holder_of,
    only_one,
    read_running,
    remove_running,
    url_from,
    write_running,
)
from interlock.model import Conflict

HERE = Running("http://127.0.0.1:4242", 4242, "/p", {"ready_s": 1.0})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_running(tmp_path) is None
    write_running(tmp_path, HERE)
    assert read_running(tmp_path) == HERE
    assert stat.S_IMODE((tmp_path / "server.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["server.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": 3}', '{"url": "u", "pid": "x", "folder": "f"}', "\x00"])
def test_a_broken_file_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "server.json").write_text(content)
    assert read_running(tmp_path) is None


def test_only_its_own_process_removes_it(tmp_path: Path) -> None:
    write_running(tmp_path, HERE)
    remove_running(tmp_path, pid=1)
    assert read_running(tmp_path) == HERE
    remove_running(tmp_path, pid=4242)
    assert read_running(tmp_path) is None
    remove_running(tmp_path)


def test_one_up_at_a_time(tmp_path: Path) -> None:
    assert holder_of(tmp_path) is None
    with only_one(tmp_path):
        assert holder_of(tmp_path) == os.getpid()
        with pytest.raises(Conflict), only_one(tmp_path):
            pass
        assert holder_of(tmp_path) == os.getpid()
    assert holder_of(tmp_path) is None


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time\n"
        "from interlock.cli.home_files import only_one\n"
        f"with only_one(pathlib.Path({str(tmp_path)!r})):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert holder_of(tmp_path) == process.pid
        process.kill()
        process.wait(10)
    assert holder_of(tmp_path) is None


def test_a_second_up_is_told_where_the_first_is(tmp_path: Path) -> None:
    assert "is still starting" in already_running(tmp_path).message
    write_running(tmp_path, HERE)
    assert "http://127.0.0.1:4242 for /p (process 4242)" in already_running(tmp_path).message


def test_where_the_server_is(tmp_path: Path) -> None:
    default = "http://127.0.0.1:7440"
    assert url_from(tmp_path, {}, default) == default
    write_running(tmp_path, HERE)
    assert url_from(tmp_path, {}, default) == HERE.url
    assert url_from(tmp_path, {"INTERLOCK_URL": "http://elsewhere"}, "http://elsewhere") == "http://elsewhere"
