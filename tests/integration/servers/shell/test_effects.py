"""Commands are tried, carried out exactly as tried, and taken back."""

import datetime
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from interlock.sandbox import Means
from interlock.sandbox.machine import landlock_abi
from interlock.servers.shell import staging

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


# ---- effects --------------------


CHANGES = [
    "echo more >> src/a.txt",
    "rm -rf src",
    "mkdir -p n/m && echo new > n/m/f && ln -s f n/m/l && chmod 700 n/m/f",
    "mv src moved && echo x > moved/deep/x",
    "chmod 600 run.sh && touch -d 2001-02-03 src/a.txt",
    "rm link && ln -s run.sh link",
    "rm link && mkdir link && echo in > link/f",
    "rm -r src/deep && echo file > src/deep",
    "chmod u+w locked && rm locked/x && chmod 555 locked",
    'find . -mindepth 1 -delete 2>/dev/null; rm -rf "$PWD" 2>/dev/null; true',
    "ln src/a.txt hard && echo both >> hard",
    "tr a-z A-Z < src/a.txt > t && mv t src/a.txt",
    "mkdir d && chmod 770 d && echo x > d/x && chmod 444 d/x",
    "printf 'name with\\ttab' > 'odd name'; echo ü > ü",
    "sed -i s/alpha/beta/ src/a.txt; rm run.sh; mkdir -p deep/er/est; exit 0",
]


@pytest.mark.parametrize("command", CHANGES)
def test_what_was_tried_is_what_happens_and_can_be_taken_back(bench: Any, command: str) -> None:
    bench.fill()
    before = bench.picture()
    seen, kept, done = bench.governed(command)
    after = bench.picture()
    result = bench.good(done)
    assert after != before
    assert {key: result["effect"][key] for key in ("files", "files_changed", "diff")} == {
        key: seen["effect"][key] for key in ("files", "files_changed", "diff")
    }
    assert result["state_sha256"] == seen["state_sha256_after"]
    assert bench.good(bench.call("capture", paths=seen["touched"]))["state_sha256"] == seen["state_sha256_after"]
    assert bench.take_back(seen, kept)["restored"] is True
    assert bench.picture() == before


def test_the_effect_is_that_of_the_command_itself(bench: Any, new_bench: Any) -> None:
    """The folder afterwards is as if the command had run in it without any copy."""
    for number, command in enumerate(CHANGES):
        other = new_bench(bench.base / f"direct{number}")
        other.close()
        other.open(staged=False)
        other.fill()
        mine = new_bench(bench.base / f"staged{number}")
        mine.fill()
        other.run(command)
        mine.run(command)
        plain = {path: (mode, content) for path, (mode, _, content) in other.picture().items()}
        assert {path: (mode, content) for path, (mode, _, content) in mine.picture().items()} == plain
        other.close()
        mine.close()


def test_a_preview_changes_nothing(bench: Any) -> None:
    bench.fill()
    before = bench.picture()
    seen = bench.good(bench.preview("rm -rf src; echo gone; exit 4"))
    assert bench.picture() == before
    assert seen["touched"] == ["src"]
    assert seen["effect"]["exit_status"] == 4
    assert seen["effect"]["output"].startswith("gone\n[exit status 4")
    assert seen["effect"]["files_changed"] == 2


def test_a_repeated_preview_says_the_same_although_the_command_does_not(bench: Any) -> None:
    """An approval is bound to the whole preview, and may be used by another server, hours later."""
    command = "date +%N > now; cat now; echo $RANDOM > f$RANDOM"
    first = bench.good(bench.preview(command))
    assert bench.good(bench.preview(command)) == first
    bench.close()
    bench.open()
    assert bench.good(bench.preview(command)) == first
    done = bench.good(bench.run(command, expect=first["state_sha256"]))
    assert done["state_sha256"] == first["state_sha256_after"]
    assert (bench.folder / "now").read_text() == done["stdout"]


def test_what_was_carried_out_once_is_run_anew_the_next_time(bench: Any) -> None:
    first = bench.good(bench.run("date +%N"))["stdout"]
    assert bench.good(bench.run("date +%N"))["stdout"] != first


def test_a_command_without_effect_touches_nothing(bench: Any) -> None:
    bench.fill()
    seen, kept, done = bench.governed("cat src/a.txt; ls -R >/dev/null; grep -r alpha .")
    assert seen["touched"] == []
    assert kept["entries"] == []
    assert bench.good(done)["effect"]["files_changed"] == 0
    assert bench.take_back(seen, kept)["restored"] is True


def test_an_effect_beyond_the_preview_is_refused(bench: Any) -> None:
    bench.fill()
    command = "if [ -e flag ]; then rm -rf src; else echo small >> run.sh; fi"
    seen = bench.good(bench.preview(command))
    assert seen["touched"] == ["run.sh"]
    (bench.folder / "flag").write_text("now it does something else\n")
    before = bench.picture()
    done = bench.run(command, expect=seen["state_sha256"])
    assert "'src', which was not in the preview" in bench.bad(done)
    assert done.structured is not None
    assert done.structured["beyond_preview"] == ["src"]
    assert bench.picture() == before


def test_less_than_was_previewed_is_let_through(bench: Any) -> None:
    bench.fill()
    command = "[ -e flag ] || rm -rf src; echo y >> run.sh"
    seen = bench.good(bench.preview(command))
    (bench.folder / "flag").write_text("")
    bench.good(bench.run(command, expect=seen["state_sha256"]))
    assert (bench.folder / "src").exists()
    assert (bench.folder / "run.sh").read_text().endswith("y\n")


def test_a_state_that_is_not_the_previewed_one_is_refused(bench: Any) -> None:
    bench.fill()
    command = "echo mine >> src/a.txt"
    seen = bench.good(bench.preview(command))
    (bench.folder / "src" / "a.txt").write_text("theirs\n")
    done = bench.run(command, expect=seen["state_sha256"])
    assert "Nothing was changed" in bench.bad(done)
    assert done.structured is not None
    assert done.structured["conflict"] is True
    assert (bench.folder / "src" / "a.txt").read_text() == "theirs\n"


def test_a_change_by_others_while_the_command_runs_is_not_overwritten(bench: Any) -> None:
    bench.fill()
    target = bench.folder / "src" / "a.txt"
    threading.Timer(0.7, lambda: target.write_text("theirs\n")).start()
    assert "changed by something else" in bench.bad(bench.run("sleep 1.5; echo mine >> src/a.txt"))
    assert target.read_text() == "theirs\n"


# ---- size --------------------


def test_ten_thousand_files(bench: Any) -> None:
    for number in range(10_000):
        folder = bench.folder / f"d{number % 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{number}").write_bytes(os.urandom(100))
    bench.good(bench.preview("true"))
    began_s = time.monotonic()
    seen, kept, done = bench.governed("rm -r d7; for f in d8/*; do echo x >> $f; done; find . -type f | wc -l")
    took_s = time.monotonic() - began_s
    result = bench.good(done)
    assert result["stdout"].strip() == "9900"
    assert result["effect"]["files_changed"] == 200
    assert bench.take_back(seen, kept)["restored"] is True
    assert len(list((bench.folder / "d7").iterdir())) == 100
    assert took_s < 20


def test_too_many_changes_are_refused(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "TOUCHED_PATHS", 5)
    assert "more than 5 paths" in bench.bad(bench.run("for i in 1 2 3 4 5 6 7; do echo > f$i; done"))
    assert list(bench.folder.iterdir()) == []
    assert "can't be recorded" in bench.bad(bench.run("mkdir d; cd d; seq 10050 | xargs touch"))
    assert list(bench.folder.iterdir()) == []


def test_an_effect_waits_no_longer_than_it_may(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bench.good(bench.preview("date +%N > f"))
    monkeypatch.setattr("interlock.servers.shell.held.LONG_AGO", -datetime.timedelta(days=1))
    assert bench.good(bench.preview("date +%N > f"))["effect"] != first["effect"]


@pytest.mark.parametrize("means", [Means.LANDLOCK, Means.NONE])
def test_other_means_work_in_place_and_leave_nothing_running(tmp_path: Path, means: Means, new_bench: Any) -> None:
    if means is Means.LANDLOCK and landlock_abi() == 0:
        pytest.skip("the kernel has no Landlock")
    bench = new_bench(tmp_path, means=means)
    bench.close()
    bench.open(staged=False)
    refused = bench.preview("true")
    assert refused.structured is not None
    assert "apt-get install bubblewrap" in refused.structured["why"]
    command = "(setsid sh -c 'while :; do date > beat; sleep 0.05; done' >/dev/null 2>&1 &); sleep 0.4; touch ~/x; pwd"
    done = bench.good(bench.run(command))
    assert done["stdout"].strip() == str(bench.folder)
    assert done["effect"]["in_place"] is True
    before = (bench.folder / "beat").stat().st_mtime_ns
    time.sleep(0.3)
    assert (bench.folder / "beat").stat().st_mtime_ns == before
    if means is Means.LANDLOCK:
        assert bench.run(f"touch {tmp_path}/outside").failed
        assert not (tmp_path / "outside").exists()
    bench.close()
