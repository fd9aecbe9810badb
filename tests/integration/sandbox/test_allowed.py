"""What a confined program can do: the sandbox must not be in the way of honest work."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from interlock.config import ToolServerConfig
from interlock.sandbox import Confinement, Means, confined
from interlock.tools.commands import prepare
from interlock.tools.surroundings import Surroundings

pytestmark = pytest.mark.integration

HONEST = """
import json, os, pathlib, socket, subprocess, sys, tempfile, threading
home, project, granted = map(pathlib.Path, sys.argv[1:4])
done = {}
(home / "cache").mkdir(); (home / "cache" / "x").write_text("1"); done["home"] = (home / "cache" / "x").read_text()
with tempfile.TemporaryDirectory() as folder:
    pathlib.Path(folder, "x").write_text("2"); done["tmp"] = pathlib.Path(folder, "x").read_text()
done["project"] = (project / "plan.txt").read_text()
(granted / "made").mkdir(); (granted / "made" / "x").write_text("3"); os.rename(granted / "made" / "x", granted / "y")
done["granted"] = (granted / "y").read_text()
done["child"] = subprocess.run(["sh", "-c", "echo child | tr a-z A-Z"], capture_output=True, text=True).stdout
ours, theirs = socket.socketpair(); ours.send(b"pair"); done["pair"] = theirs.recv(9).decode()
thread = threading.Thread(target=lambda: done.update(thread="ran")); thread.start(); thread.join()
done["null"] = open("/dev/null", "w").write("x"); done["random"] = len(os.urandom(4) + open("/dev/urandom", "rb").read(4))
done["self"] = open("/proc/self/comm").read().strip() != ""; done["cpus"] = os.cpu_count() > 0
print(json.dumps(done))
"""


def test_an_honest_program_works(scene: Any) -> None:
    ended = scene.run(scene.python, "-c", HONEST, str(scene.home), str(scene.project), str(scene.granted))
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {
        "home": "1", "tmp": "2", "project": "the plan", "granted": "3", "child": "CHILD\n", "pair": "pair",
        "thread": "ran", "null": 1, "random": 8, "self": True, "cpus": True,
    }  # fmt: skip
    assert (scene.granted / "y").read_text() == "3"


def test_git_works_in_a_folder_that_is_granted(scene: Any) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("no git: apt-get install git")
    repository = scene.granted / "repository"
    for command in (["init", "-q", str(repository)], ["-C", str(repository), "config", "core.filemode", "false"]):
        subprocess.run([*scene.switch, git, *command], check=True, timeout=20, env=scene.env, cwd=scene.base)
    (repository / "a.txt").write_text("a")
    if scene.uid is not None:
        os.chown(repository / "a.txt", scene.uid, scene.uid)
    who = ["-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["add", "a.txt"], [*who, "commit", "-qm", "first"], ["log", "--oneline"]):
        ended = scene.run(git, "-C", str(repository), *command)
        assert ended.returncode == 0, ended.stderr
    assert "first" in ended.stdout


def test_node_works(scene: Any) -> None:
    node = shutil.which("node", path=os.defpath) if scene.uid is not None else shutil.which("node")
    if node is None:
        pytest.skip("no node: apt-get install nodejs")
    script = (
        "const fs=require('fs'),os=require('os');const d=fs.mkdtempSync(os.tmpdir()+'/x');fs.writeFileSync(d+'/f','1');"
    )
    script += (
        "console.log(fs.readFileSync(d+'/f','utf8'), require('child_process').execSync('echo 2').toString().trim())"
    )
    ended = scene.run(node, "-e", script, memory_mb=512)
    assert (ended.stdout, ended.returncode) == ("1 2\n", 0), ended.stderr


def test_the_exit_status_and_the_output_come_through(scene: Any) -> None:
    ended = scene.run("/bin/sh", "-c", "echo out; echo err >&2; exit 7")
    assert (ended.stdout, ended.stderr, ended.returncode) == ("out\n", "err\n", 7)


def test_a_network_of_its_own_is_there_with_bubblewrap(scene: Any) -> None:
    code = (
        "import socket; s=socket.create_server(('127.0.0.1', 0));"
        "c=socket.create_connection(s.getsockname(), timeout=5); print('fine')"
    )
    ended = scene.run(scene.python, "-c", code)
    if scene.means is Means.BUBBLEWRAP:
        assert ended.stdout == "fine\n", ended.stderr
    else:
        assert "Network is unreachable" in ended.stderr


def test_names_are_looked_up_with_the_network(scene: Any) -> None:
    code = "import socket; print(socket.getaddrinfo('localhost', 80)[0][4][0])"
    ended = scene.run(scene.python, "-c", code, network=True)
    assert ended.stdout.strip() in ("127.0.0.1", "::1"), ended.stderr


def test_a_copy_is_shown_in_the_place_of_a_folder(tmp_path: Path, means: Means) -> None:
    if means is not Means.BUBBLEWRAP:
        pytest.skip("only bubblewrap can")
    real, copy = tmp_path / "real", tmp_path / "copy"
    for folder in (real, copy):
        folder.mkdir()
        (folder / "x").write_text(folder.name)
    argv = ("/bin/sh", "-c", f"cat {real}/x; echo changed > {real}/x")
    command = confined(argv, Confinement(binds=((copy, real),)), cwd=real, means=means)
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout == "copy"
    assert ((real / "x").read_text(), (copy / "x").read_text()) == ("real", "changed\n")


def test_a_folder_is_reached_by_the_link_that_named_it(tmp_path: Path, means: Means) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").write_text("found")
    link = tmp_path / "link"
    link.symlink_to("real")
    command = confined(("/bin/cat", f"{link}/x"), Confinement(read=(link,)), cwd=link, means=means)
    assert subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout == "found"


STARTS = """
import json, subprocess, sys
from pathlib import Path
from interlock.config import ToolServerConfig
from interlock.tools.commands import prepare
from interlock.tools.surroundings import Surroundings
folder = Path(sys.argv[1])
script = f"sh -c 'sleep 1000; : grandchild {folder}/mark' & exec sh -c 'sleep 999; : {folder}/mark'"
config = ToolServerConfig(command="sh", args=["-c", script])
launch = prepare("s", config, Surroundings(folder, folder.parent / "state", {"PATH": "/usr/bin:/bin"}))
child = subprocess.Popen(launch.launched, env=dict(launch.env), cwd=launch.cwd, start_new_session=True)
print(child.pid, flush=True)
child.wait()
"""


def marked(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if mark.encode() in words:
            found.append(int(entry.name))
    return found


async def test_a_server_and_all_that_it_started_die_with_us(tmp_path: Path, means: Means) -> None:
    if means is not Means.BUBBLEWRAP:
        pytest.skip("without a process namespace, only the server itself dies with us")
    folder = tmp_path / "project"
    folder.mkdir()
    mark = f"{folder}/mark"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTS, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    async with asyncio.timeout(20):
        while len(marked(f"-c\0sleep 1000; : grandchild {mark}")) < 1:
            await asyncio.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    async with asyncio.timeout(5):
        while marked(mark):
            await asyncio.sleep(0.02)


def test_a_confined_server_is_what_prepare_makes(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    where = Surroundings(tmp_path / "project", tmp_path / "state", dict(os.environ))
    config = ToolServerConfig(command="sh", args=["-c", "echo $HOME; ls -A $HOME/.. | wc -l; touch x"])
    launch = prepare("s", config, where)
    ended = subprocess.run(
        launch.launched, env=dict(launch.env), cwd=launch.cwd, capture_output=True, text=True, check=False
    )
    assert ended.stdout.splitlines() == [str(tmp_path / "state" / "s" / "home"), "1"]
    assert "Read-only file system" in ended.stderr or "Permission denied" in ended.stderr
    assert launch.sandbox.startswith(("bubblewrap", "landlock"))
