"""What a confined program must not be able to do, tried out for each means, as this user and as an ordinary one."""

import json
import os
import pty
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from interlock.sandbox import Means
from interlock.sandbox.cgroups import group_folder
from interlock.sandbox.machine import landlock_abi

pytestmark = pytest.mark.integration

SOURCE = Path(__file__).with_name("escapes.py").read_text()
LIMITS = ("fork_bomb", "fill_memory", "fill_tmp")
WITH_HANDS = ("write_inherited_fd", "push_into_terminal")
ATTEMPTS: list[str] = re.findall(r"^def ([a-z]\w+)\(\) -> str:", SOURCE, re.MULTILINE)
PLAIN = [name for name in ATTEMPTS if name not in (*LIMITS, *WITH_HANDS)]
SIGNALS = ("kill_another_process", "probe_another_process", "abstract_socket")


@pytest.fixture(scope="module")
def outcomes(scene: Any) -> dict[str, str]:
    scene.listener.heard.clear()
    return dict(scene.attempts(PLAIN))


@pytest.mark.parametrize("name", PLAIN)
def test_there_is_no_way_out(scene: Any, outcomes: dict[str, str], name: str) -> None:
    if name in SIGNALS and scene.means is Means.LANDLOCK and landlock_abi() < 6:
        pytest.skip("before Linux 6.12 Landlock leaves signals and abstract sockets open, as `prospect` says")
    assert outcomes[name].startswith("held: "), outcomes[name]


def test_nothing_was_harmed_and_nobody_heard_of_it(scene: Any, outcomes: dict[str, str]) -> None:
    assert len(outcomes) == len(PLAIN)
    assert scene.listener.heard == []
    scene.unharmed()


def test_most_of_the_corpus_is_there() -> None:
    assert len(ATTEMPTS) > 60
    assert {"fork_bomb", "read_data_key", "push_into_terminal"} <= set(ATTEMPTS)


def test_the_attempts_work_without_a_sandbox(scene: Any) -> None:
    """Else they would prove nothing."""

    readings = [name for name in ATTEMPTS if name.startswith("read_")]
    for_root = ("read_shadow", "read_run", "read_proc_1_root")
    others = ("tcp", "unix_socket", "abstract_socket", "probe_another_process", "clone_into_namespace")
    names = [*(name for name in readings if name not in for_root), *others]
    script = [scene.python, str(scene.project / "escapes.py"), ",".join([*names, "udp"]), json.dumps(scene.places)]
    said = subprocess.run(
        [*scene.switch, *script], capture_output=True, text=True, check=True, timeout=60, cwd="/"
    ).stdout
    outcomes = scene.parsed(said)
    assert [name for name in names if not outcomes[name].startswith("out: ")] == []
    assert any("UDP" in heard for heard in scene.listener.heard)
    scene.listener.heard.clear()


def test_no_descriptor_is_inherited(scene: Any) -> None:
    fd = os.open(scene.outside / "victim", os.O_WRONLY | os.O_APPEND)
    try:
        assert scene.attempt("write_inherited_fd", fds=(fd,)).startswith("held: ")
    finally:
        os.close(fd)
    scene.unharmed()


def test_nothing_is_pushed_into_a_terminal(scene: Any) -> None:
    ours, theirs = pty.openpty()
    try:
        assert scene.attempt("push_into_terminal", stdin=theirs).startswith("held: ")
    finally:
        os.close(ours)
        os.close(theirs)


def test_processes_are_limited(scene: Any) -> None:
    if scene.uid is None and os.geteuid() == 0 and group_folder() is None:
        pytest.skip("root's processes are only limited by a control group, and there is none to use")
    assert re.match(r"held: .*stopped after \d\d:", scene.attempt("fork_bomb", processes=64))


def test_memory_is_limited(scene: Any) -> None:
    assert scene.attempt("fill_memory", memory_mb=128).startswith("held: MemoryError")
    assert scene.attempt("fill_tmp", memory_mb=128).startswith("held: ")


def test_what_is_hidden_stays_hidden_when_all_around_it_is_granted(scene: Any) -> None:
    everything = {"read": (Path("/"), scene.base, scene.state), "write": (scene.granted, scene.state)}
    hidden = ["read_data_key", "read_home_of_another_server", "read_key_in_a_home_folder", "write_state"]
    outcomes = scene.attempts([*hidden, "read_outside"], **everything)
    assert [name for name in hidden if not outcomes[name].startswith("held: ")] == []
    assert outcomes["read_outside"].startswith("out: ")
    scene.unharmed()


def test_the_network_may_be_granted(scene: Any) -> None:
    scene.attempts(["tcp", "unix_socket", "udp"], network=True)
    heard = " ".join(scene.listener.heard)
    scene.listener.heard.clear()
    assert "AF_INET" in heard
    assert "UDP" in heard
    assert "AF_UNIX" not in heard
