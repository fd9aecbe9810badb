"""What is not let out of the copy, crashes, and commands on the folder itself."""

import os
from pathlib import Path
from typing import Any

import pytest

from interlock.servers.shell import operations, shadow
from interlock.servers.shell.scratch import Scratch
from interlock.servers.workspace.apply import Disk

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


# ---- what is not let through --------------------


def test_pipes_sockets_and_devices_are_not_kept(bench: Any) -> None:
    command = (
        "mkfifo pipe d/pipe 2>/dev/null; mkdir d; mkfifo d/pipe; mknod dev c 1 3 2>/dev/null; echo kept > d/file;"
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")' 2>/dev/null; true"
    )
    done = bench.good(bench.run(command))
    assert sorted(str(path.relative_to(bench.folder)) for path in bench.folder.rglob("*")) == ["d", "d/file"]
    assert "pipe" in done["left_out"]


def test_a_pipe_that_was_there_stays(bench: Any) -> None:
    os.mkfifo(bench.folder / "pipe")
    assert "a pipe or the like" in bench.bad(bench.run("rm pipe; echo x > other"))
    assert sorted(path.name for path in bench.folder.iterdir()) == ["pipe"]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("cp /bin/true tool; chmod 4755 tool; [ -u tool ]", "owner's rights"),
        ("mkdir -p .git/hooks; echo x > .git/hooks/pre-commit", "git runs code"),
        ("mkdir .git; printf '[core]\\nfsmonitor=x\\n' > .git/config", "git runs code"),
        ("touch \"$(printf 'bad\\377name')\"", "UTF-8"),
        ("for i in $(seq 120); do mkdir d; cd d; done", "below each other"),
    ],
)
def test_effects_that_are_refused(bench: Any, command: str, why: str) -> None:
    (bench.folder / "keep").write_text("x")
    done = bench.run(command)
    if why == "owner's rights" and done.structured is not None:
        assert done.structured["exit_status"] != 0  # the sandbox refused it before we could
        return
    assert why in bench.bad(done)
    assert [path.name for path in bench.folder.iterdir()] == ["keep"]
    assert bench.good(bench.run("ls -A"))["stdout"] == "keep\n"


def test_git_works(bench: Any) -> None:
    command = (
        "git init -q . && git config user.email a@b.c && git config user.name n && echo x > f && git add f &&"
        " git commit -q -m one && git log --oneline | wc -l"
    )
    assert bench.good(bench.governed(command)[2])["stdout"].strip() == "1"
    assert bench.governed("git status --short")[0]["touched"] == []
    bench.good(bench.governed("echo y >> f; git commit -q -a -m two")[2])
    assert bench.good(bench.run("git log --oneline | wc -l"))["stdout"].strip() == "2"


def test_hidden_places_inside_the_folder(tmp_path: Path, new_bench: Any) -> None:
    hidden = tmp_path / "root" / "state"
    hidden.mkdir(parents=True)
    (hidden / "key").write_text("secret")
    bench = new_bench(tmp_path, hidden=(hidden,))
    assert bench.good(bench.run("ls -A; cat state/key 2>/dev/null; true"))["stdout"] == ""
    assert "can't be changed here" in bench.bad(bench.run("mkdir state; echo x > state/key"))
    assert (hidden / "key").read_text() == "secret"
    bench.close()


# ---- crashes --------------------


def test_a_crash_before_the_end_of_an_effect_is_made_good_by_the_next_server(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill()
    command = "rm -rf src; echo one > n1; mkdir n2; echo two > n2/f; echo more >> run.sh"
    seen = bench.good(bench.preview(command))
    done_steps = 0

    class Crash(BaseException):
        pass

    def stumble(self: Disk, step: Any) -> None:
        nonlocal done_steps
        done_steps += 1
        if done_steps == 5:
            raise Crash
        real(self, step)

    real = Disk.apply
    monkeypatch.setattr(Disk, "apply", stumble)
    monkeypatch.setattr(Path, "unlink", _no_unlink(Path.unlink))
    with pytest.raises(Crash):
        bench.run(command, expect=seen["state_sha256"])
    monkeypatch.undo()
    half = bench.good(bench.call("capture", paths=seen["touched"]))["state_sha256"]
    assert half not in (seen["state_sha256"], seen["state_sha256_after"])
    bench.close()
    bench.open()
    assert bench.good(bench.call("capture", paths=seen["touched"]))["state_sha256"] == seen["state_sha256_after"]


def _no_unlink(real: Any) -> Any:
    """A process that is gone does not remove its mark either."""

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.name != "begun":
            real(self, missing_ok)

    return unlink


def test_what_a_killed_server_left_behind_is_removed(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "scratch", tmp_path)
    (scratch.own / "tree").mkdir()
    os.close(scratch._lock)  # as the end of its process does
    other = Scratch(tmp_path / "scratch", tmp_path)
    third = Scratch(tmp_path / "scratch", tmp_path)
    assert not scratch.own.exists()
    assert other.own.exists()
    other.close()
    third.close()


def test_a_disk_error_says_what_was_done(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fill()

    def fails(self: Disk, step: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Disk, "apply", fails)
    before = bench.picture()
    done = bench.run("rm -rf src")
    assert "the disk is full" in bench.bad(done)
    assert bench.picture() == before


# ---- without a copy --------------------


def test_in_place_is_measured_and_can_not_be_previewed(bench: Any) -> None:
    bench.fill()
    bench.close()
    bench.open(staged=False)
    refused = bench.preview("rm -r src")
    assert refused.structured is not None
    assert refused.structured["staged"] is False
    done = bench.good(bench.run("rm -r src; echo x > new; echo y >> run.sh"))
    assert done["effect"]["in_place"] is True
    assert {(file["path"], file["change"]) for file in done["effect"]["files"]} == {
        ("src", "deleted"),
        ("src/a.txt", "deleted"),
        ("src/deep", "deleted"),
        ("src/deep/b.bin", "deleted"),
        ("new", "created"),
        ("run.sh", "modified"),
    }
    assert (bench.folder / "new").read_text() == "x\n"
    assert "no longer possible" in bench.bad(bench.run("echo z > z", expect="0" * 64))
    assert not (bench.folder / "z").exists()


def test_a_folder_that_is_too_large_is_worked_on_in_place(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fill()
    monkeypatch.setattr(shadow, "COPY_ENTRIES", 3)
    refused = bench.preview("echo x > new")
    assert "more than 3 files" in bench.bad(refused)
    assert refused.structured is not None
    assert refused.structured["staged"] is False
    assert "no longer possible" in bench.bad(bench.run("echo x > new", expect="0" * 64))
    done = bench.good(bench.run("echo x > new"))
    assert done["effect"]["in_place"] is True
    assert done["effect"]["files_changed"] == 1


def test_with_network_there_is_no_preview_but_still_all_or_nothing(tmp_path: Path, new_bench: Any) -> None:
    bench = new_bench(tmp_path, network=True)
    assert "depends on the network" in bench.bad(bench.preview("echo x > f"))
    bench.good(bench.run("echo x > f"))
    assert (bench.folder / "f").read_text() == "x\n"
    bench.run("echo y > g; sleep 50", timeout_s=1)
    assert not (bench.folder / "g").exists()
    bench.close()


def test_a_preview_that_would_take_too_long(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "PREVIEW_S", 1)
    refused = bench.preview("sleep 20", timeout_s=300)
    assert refused.structured is not None
    assert refused.structured["staged"] is False
    plain = bench.preview("sleep 20", timeout_s=1)
    assert plain.structured is None
    assert "did not end within its time" in bench.bad(plain)
