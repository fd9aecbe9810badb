import platform
import struct
from pathlib import Path
from typing import Any

import pytest

from interlock.model import ToolUnavailable
from interlock.sandbox import Confinement, Means, Prospect, confined, confining, probing, prospect
from interlock.sandbox.machine import Bubblewrap
from interlock.sandbox.restrict import Order, main
from interlock.sandbox.seccomp import base_filter, landlock_filter, supported

ARGV = ("/bin/cat", "x y")
BWRAP = Bubblewrap("/usr/bin/bwrap", True, True)


@pytest.fixture(autouse=True)
def _bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confining, "bubblewrap", lambda: BWRAP)


def command(means: Means, **asked: Any) -> tuple[str, ...]:
    return confined(ARGV, Confinement(**asked), cwd=Path("/usr"), means=means)


def test_without_means_the_command_is_what_it_was() -> None:
    assert command(Means.NONE, processes=5, memory_mb=100) == ARGV


@pytest.mark.parametrize("means", [Means.BUBBLEWRAP, Means.LANDLOCK])
def test_the_program_comes_last_with_its_arguments(means: Means) -> None:
    words = command(means)
    assert words[-3:] == ("--", *ARGV)
    assert words[0].startswith("/")


def test_bubblewrap_is_asked_for_everything() -> None:
    words = command(Means.BUBBLEWRAP)
    assert {"--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-user"} <= set(words)
    assert {"--die-with-parent", "--new-session", "--proc", "--dev"} <= set(words)
    assert "--cap-drop ALL" in " ".join(words)
    assert "--remount-ro /proc" in " ".join(words)
    assert "--unshare-net" not in command(Means.BUBBLEWRAP, network=True)


def test_limits_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confining, "is_root", lambda: False)
    for means in (Means.BUBBLEWRAP, Means.LANDLOCK):
        said = " ".join(command(means, memory_mb=100, processes=7))
        assert f"--data-bytes {100 << 20}" in said
        assert "--processes 7" in said
    assert "--own-count" in command(Means.BUBBLEWRAP, processes=7)
    assert "--own-count" not in command(Means.LANDLOCK, processes=7)


def test_a_copy_in_the_place_of_a_folder_takes_bubblewrap() -> None:
    binds = ((Path("/usr"), Path("/srv")),)
    assert "--bind /usr /srv" in " ".join(command(Means.BUBBLEWRAP, binds=binds))
    for means in (Means.LANDLOCK, Means.NONE):
        with pytest.raises(ToolUnavailable, match="only bubblewrap"):
            command(means, binds=binds)


def test_bubblewrap_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confining, "bubblewrap", lambda: None)
    with pytest.raises(ToolUnavailable, match="not installed") as caught:
        command(Means.BUBBLEWRAP)
    assert caught.value.next_step == "apt-get install bubblewrap"


def test_the_prospect_is_the_best_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    broken: set[Means] = set()
    monkeypatch.setattr(probing, "_fault", lambda means: f"no {means}" if means in broken else None)
    monkeypatch.setattr(probing, "supported", lambda: True)
    monkeypatch.setattr(probing, "landlock_abi", lambda: 7)
    monkeypatch.setattr(probing, "_uncounted", lambda: "")
    best = prospect.__wrapped__
    assert best() == Prospect(Means.BUBBLEWRAP, "")
    broken.add(Means.BUBBLEWRAP)
    assert best() == Prospect(Means.LANDLOCK, "no bubblewrap")
    monkeypatch.setattr(probing, "landlock_abi", lambda: 3)
    assert "signals" in best().why
    broken.add(Means.LANDLOCK)
    assert best() == Prospect(Means.NONE, "no bubblewrap; no landlock")
    monkeypatch.setattr(probing, "supported", lambda: False)
    assert "leaves the network open" in best().why


# ---- the filter, run on a machine of our own --------------------


def verdict(program: bytes, number: int, *args: int) -> int:
    """What a classic BPF program says: 0 allows, else the error number."""
    audit = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[platform.machine()]
    words = [value & 0xFFFFFFFFFFFFFFFF for value in (*args, *(0 for _ in range(6 - len(args))))]
    data = struct.pack("=iIQ6Q", number, audit, 0, *words)
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at = held = 0
    while True:
        kind, hit, miss, value = code[at]
        at += 1
        if kind == 0x20:
            held = struct.unpack_from("=I", data, value)[0]
        elif kind == 0x06:
            return value & 0xFFFF if value & 0xFFFF0000 == 0x00050000 else 0
        else:
            true = {0x15: held == value, 0x45: bool(held & value), 0x35: held >= value}[kind]
            at += hit if true else miss


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers below are those of x86_64")
def test_the_filter_refuses_what_it_says_and_nothing_else() -> None:
    program = base_filter()
    assert len(program) < 8 * 4096
    read, clone, socket, chmod, openat, unshare, ioctl = 0, 56, 41, 90, 257, 272, 16
    assert verdict(program, read) == 0
    assert verdict(program, 165) == 1  # mount
    assert verdict(program, 425) == 38  # io_uring_setup
    assert (verdict(program, clone, 0x01200011), verdict(program, clone, 0x10000011)) == (0, 1)
    assert (verdict(program, unshare, 0x400), verdict(program, unshare, 0x20000)) == (0, 1)
    assert [verdict(program, socket, family) for family in (1, 2, 10, 16)] == [0, 0, 0, 0]
    assert [verdict(program, socket, family) for family in (17, 38, 40)] == [97, 97, 97]
    assert (verdict(program, chmod, 0, 0o755), verdict(program, chmod, 0, 0o4755)) == (0, 1)
    assert verdict(program, openat, 0, 0, 0o101, 0o4755) == 1
    assert verdict(program, openat, 0, 0, 0, 0o4755) == 0  # nothing is made, so the mode is whatever was there
    assert (verdict(program, ioctl, 0, 0x5401), verdict(program, ioctl, 0, 0x5412)) == (0, 1)
    assert verdict(program, ioctl, 0, 0xFFFF00005412) == 1  # the kernel looks at the lower half only
    assert verdict(program, 0x40000000 | read) == 38  # x32


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers below are those of x86_64")
def test_the_filter_beside_landlock_closes_what_landlock_leaves_open() -> None:
    closed = landlock_filter(network=False, unix=False, truncate=False, modes=False, root=True)
    open_ = landlock_filter(network=True, unix=True, truncate=True, modes=True, root=False)
    socket, chmod, fchmod, truncate, prlimit = 41, 90, 91, 76, 302
    assert [verdict(closed, socket, family) for family in (1, 2, 10, 17)] == [13, 101, 101, 101]
    assert [verdict(open_, socket, family) for family in (1, 2, 10, 17)] == [0, 0, 0, 101]
    assert (verdict(closed, socket, 16, 3, 0), verdict(closed, socket, 16, 3, 15)) == (0, 13)
    assert [verdict(closed, number) for number in (chmod, fchmod, truncate)] == [1, 1, 1]
    assert [verdict(open_, number) for number in (chmod, fchmod, truncate)] == [0, 0, 0]
    assert (verdict(closed, prlimit, 0), verdict(closed, prlimit, 42)) == (0, 1)


def test_another_processor_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not supported()
    assert base_filter() == b""


# ---- the script --------------------


def test_the_options_of_the_script_are_read() -> None:
    order = Order(
        ["--scoped", "--read", "/a", "--except", "/a/b", "--except", "/a/c", "--write", "/d", "--processes", "9"]
    )
    assert order.rules == [("--read", "/a", {"/a/b", "/a/c"}), ("--write", "/d", set())]
    assert order.flags == {"--scoped"}
    assert order.values == {"--processes": "9"}


def test_the_script_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--nope", "--", "/bin/true"]) == 124
    assert main(["/bin/true"]) == 2
    assert main(["--"]) == 2
    assert "no such option: --nope" in capsys.readouterr().err
