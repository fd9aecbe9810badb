"""Programs that install: what they may know, how they end, and what is repeated of what they say."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from interlock.model import InstallFailed
from interlock.tools.packages.locks import held
from interlock.tools.packages.running import Workshop, install_env, redacted, said


def workshop(folder: Path, seconds: float = 20.0, stop: threading.Event | None = None, **env: str) -> Workshop:
    return Workshop(folder, {"PATH": os.defpath, **env}, time.monotonic() + seconds, stop or threading.Event())


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


def test_the_environment_of_an_install(tmp_path: Path) -> None:
    user = tmp_path / "user"
    (user / ".config/pip").mkdir(parents=True)
    (user / ".config/pip/pip.conf").touch()
    (user / ".npmrc").touch()
    (user / ".netrc").touch()
    given = {
        "HOME": str(user), "PATH": "/bin", "PIP_INDEX_URL": "i", "PIP_USER": "1", "UV_INDEX": "u", "UV_PYTHON": "3",
        "npm_config_registry": "r", "npm_config_global": "true", "https_proxy": "p", "SSL_CERT_FILE": "c",
        "NODE_EXTRA_CA_CERTS": "n", "OPENAI_API_KEY": "k", "INTERLOCK_TOKEN": "t", "PYTHONPATH": "x", "NODE_OPTIONS": "y",
    }  # fmt: skip
    found = install_env(given, tmp_path / "home")
    assert found == {
        "HOME": str(tmp_path / "home"), "PATH": "/bin", "PIP_INDEX_URL": "i", "UV_INDEX": "u", "npm_config_registry": "r",
        "https_proxy": "p", "SSL_CERT_FILE": "c", "NODE_EXTRA_CA_CERTS": "n", "PYTHONNOUSERSITE": "1", "NO_COLOR": "1",
        "PIP_CONFIG_FILE": str(user / ".config/pip/pip.conf"), "NPM_CONFIG_USERCONFIG": str(user / ".npmrc"),
        "NETRC": str(user / ".netrc"),
    }  # fmt: skip
    assert "PIP_CONFIG_FILE" not in install_env({"HOME": str(tmp_path)}, tmp_path)
    assert (
        install_env({"HOME": str(user), "npm_config_userconfig": "/mine"}, tmp_path)["npm_config_userconfig"] == "/mine"
    )
    assert "NPM_CONFIG_USERCONFIG" not in install_env({"HOME": str(user), "npm_config_userconfig": "/mine"}, tmp_path)


def test_a_program_runs_in_its_folder_with_its_environment(tmp_path: Path) -> None:
    workshop(tmp_path, A="b").run(python("import os; open('x', 'w').write(os.environ['A'])"), "it")
    assert (tmp_path / "x").read_text() == "b"


def test_a_failure_is_told_with_the_last_lines(tmp_path: Path) -> None:
    code = "import sys; print('x' * 200_000); [print('line', n) for n in range(50)]; print('ERROR: no'); sys.exit(3)"
    with pytest.raises(InstallFailed, match="pip install a failed with exit status 3") as caught:
        workshop(tmp_path).run(python(code), "pip install a")
    lines = caught.value.message.splitlines()
    assert lines[-1] == "  ERROR: no"
    assert len(lines) == 13
    assert all(len(line) <= 302 for line in lines[1:])


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InstallFailed, match="it failed with exit status 126"):
        workshop(tmp_path).run(["/nonexistent/pip"], "it")


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('pid', 'w').write(str(child.pid))\n"
        "time.sleep(60)"
    )
    with pytest.raises(InstallFailed, match="it took longer than"):
        workshop(tmp_path, seconds=2).run(python(code), "it")
    assert gone(int((tmp_path / "pid").read_text()))


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return True
        if status.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_program_can_be_stopped(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(InstallFailed, match="it was stopped"):
        workshop(tmp_path, stop=stop).run(python("import time; time.sleep(60)"), "it")
    assert time.monotonic() - begun < 5


def test_no_address_and_no_secret_is_repeated() -> None:
    env = {"PIP_INDEX_URL": "https://user:hunter2@r.example/simple", "NPM_TOKEN": "npm_abcdef", "PATH": "/usr/bin:/bin"}
    text = (
        "Looking in indexes: https://user:hunter2@r.example/simple, file:///srv/x\n"
        "GET git+ssh://git@r.example/x failed; token npm_abcdef\n"
        "HTTPSConnectionPool(host='r.example', port=443): refused\n"
        "//r/:_authToken=zzz-1 _auth = 'yyy' Authorization: Bearer zzz-2\n"
        "\x1b[31mERROR\x1b[0m see /usr/bin:/bin\x07"
    )
    found = redacted(text, env)
    for secret in ("hunter2", "r.example", "npm_abcdef", "zzz", "yyy", "\x1b", "\x07", "/srv/x"):
        assert secret not in found
    assert "ERROR see /usr/bin:/bin" in found
    assert "port=443" in found


def test_nothing_said_is_nothing_shown() -> None:
    assert said(" \n\n", {}) == ""
    assert said("10 %\r100 %\ndone\n", {}) == "\n  10 %\n  100 %\n  done"


def test_a_lock_waits_and_gives_up(tmp_path: Path) -> None:
    path, order = tmp_path / "a/lock", []
    with held(path, time.monotonic() + 5, threading.Event()):

        def wait() -> None:
            with held(path, time.monotonic() + 5, threading.Event()):
                order.append("second")

        thread = threading.Thread(target=wait)
        thread.start()
        with (
            pytest.raises(InstallFailed, match="does not come to an end"),
            held(path, time.monotonic() + 0.3, threading.Event()),
        ):
            order.append("never")
        stop = threading.Event()
        stop.set()
        with pytest.raises(InstallFailed, match="was stopped"), held(path, time.monotonic() + 5, stop):
            order.append("never")
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
