"""A scene to break out of: a project, a state folder, secrets, sockets that listen, a process to harm."""

import ast
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interlock.sandbox import Confinement, Means, confined
from interlock.sandbox.probing import _fault

ROOT = Path(__file__).resolve().parents[3]
NOBODY = 65531
HOW_TO_BE_ANOTHER = "/usr/bin/setpriv"


class Listener:
    """Sockets of the machine; `heard` says who got through."""

    def __init__(self, folder: Path, run: Path | None) -> None:
        self.heard: list[str] = []
        self.abstract = f"interlock-{os.getpid()}-{folder.name}"
        self._open: list[socket.socket] = []
        self.tcp = self._listen(socket.AF_INET, ("127.0.0.1", 0))[1]
        self.tcp6 = self._listen_on_ipv6()
        self.udp = self._udp()
        self.path = self._listen(socket.AF_UNIX, str(folder / "docker.sock"))
        self.run = self._listen(socket.AF_UNIX, str(run / "docker.sock")) if run is not None else self.path
        for path in {self.path, self.run}:
            os.chmod(path, 0o777)
        self._listen(socket.AF_UNIX, "\0" + self.abstract)

    def _listen(self, family: int, address: Any) -> Any:
        made = socket.socket(family, socket.SOCK_STREAM)
        made.bind(address)
        made.listen()
        self._open.append(made)
        threading.Thread(target=self._accept, args=(made,), daemon=True).start()
        return made.getsockname()

    def _listen_on_ipv6(self) -> int:
        try:
            return int(self._listen(socket.AF_INET6, ("::1", 0))[1])
        except OSError:
            return 1  # nobody is there

    def _accept(self, made: socket.socket) -> None:
        while True:
            try:
                link, _ = made.accept()
            except OSError:
                return
            self.heard.append(f"{made.family.name} {made.getsockname()}")
            link.close()

    def _udp(self) -> int:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("127.0.0.1", 0))
        made.settimeout(0.5)
        self._open.append(made)
        threading.Thread(target=self._receive, args=(made,), daemon=True).start()
        return int(made.getsockname()[1])

    def _receive(self, made: socket.socket) -> None:
        while made.fileno() >= 0:
            try:
                self.heard.append(f"UDP {made.recv(100)!r}")
            except TimeoutError:
                continue
            except OSError:
                return

    def close(self) -> None:
        for made in self._open:
            with suppress(OSError):
                made.shutdown(socket.SHUT_RDWR)
            made.close()


class Scene:
    """The places, and how to run something in the sandbox, as this user or as another one."""

    def __init__(self, base: Path, means: Means, uid: int | None) -> None:
        self.base, self.means, self.uid = base, means, uid
        self.project, self.granted = base / "project", base / "project" / "granted"
        self.state, self.outside = base / "state", base / "outside"
        self.home, self.other_home = self.state / "tools" / "x" / "home", self.state / "tools" / "y" / "home"
        for folder in (self.granted, self.outside, self.state / "keys", self.home, self.other_home):
            folder.mkdir(parents=True)
        self.files = {
            self.project / "plan.txt": "the plan",
            self.outside / "victim": "not yours",
            self.state / "keys" / "data.key": "the key",
            self.state / "token": "the token",
            self.other_home / "secret": "of another",
            self.project / "escapes.py": (Path(__file__).with_name("escapes.py")).read_text(),
        }
        for path, text in self.files.items():
            path.write_text(text)
        (self.project / "link").symlink_to(self.outside)
        self.confinement = Confinement(
            read=(self.project,), write=(self.granted,), home=self.home, hidden=(self.state,), processes=64
        )
        self.python = sys.executable if uid is None else "/usr/bin/python3"
        self.victim: subprocess.Popen[bytes] | None = None
        self.listener: Listener | None = None
        self.places: dict[str, Any] = {}

    def own(self) -> None:
        """Give all of it to the user that is confined."""
        if self.uid is not None:
            for path in (self.base, *self.base.rglob("*")):
                os.chown(path, self.uid, self.uid, follow_symlinks=False)

    @property
    def switch(self) -> list[str]:
        if self.uid is None:
            return []
        return [HOW_TO_BE_ANOTHER, f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"] if self.uid is None else os.defpath, "HOME": str(self.home)}

    def command(self, argv: tuple[str, ...], confinement: Confinement) -> list[str]:
        """The command line; that of another user is worked out by that user."""
        if self.uid is None:
            return list(confined(argv, confinement, cwd=self.project, means=self.means))
        given = {
            "argv": argv,
            "means": self.means,
            "cwd": str(self.project),
            "read": [str(path) for path in confinement.read],
            "write": [str(path) for path in confinement.write],
            "hidden": [str(path) for path in confinement.hidden],
            "home": str(confinement.home),
            "network": confinement.network,
            "memory_mb": confinement.memory_mb,
            "processes": confinement.processes,
        }
        code = (
            "import json,sys; from pathlib import Path as P; from interlock.sandbox import *; g=json.loads(sys.argv[1]);"
            "p=lambda n: tuple(map(P, g[n]));"
            "c=Confinement(read=p('read'),write=p('write'),hidden=p('hidden'),home=P(g['home']),network=g['network'],"
            "memory_mb=g['memory_mb'],processes=g['processes']);"
            "print(json.dumps(confined(g['argv'], c, cwd=P(g['cwd']), means=Means(g['means']))))"
        )
        said = subprocess.run(
            [*self.switch, self.python, "-c", code, json.dumps(given)],
            capture_output=True,
            check=True,
            timeout=30,
            env={**self.env, "PYTHONPATH": str(self.base / "lib"), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        return [*self.switch, *json.loads(said.stdout)]

    def run(self, *argv: str, **changes: Any) -> "subprocess.CompletedProcess[str]":
        """Run a program in the sandbox; `fds` and `stdin` go to it, all else changes the confinement."""
        fds, stdin = changes.pop("fds", ()), changes.pop("stdin", subprocess.DEVNULL)
        command = self.command(argv, replace(self.confinement, **changes))
        return subprocess.run(
            command,
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.project,
            env=self.env,
            pass_fds=fds,
        )

    def attempts(self, names: list[str], **changes: Any) -> dict[str, str]:
        """How each attempt went; one that said nothing, because it was killed, is not there."""
        ended = self.run(
            self.python, str(self.project / "escapes.py"), ",".join(names), json.dumps(self.places), **changes
        )
        assert ended.returncode == 0, ended.stderr
        return self.parsed(ended.stdout)

    def parsed(self, said: str) -> dict[str, str]:
        lines = (line.partition("\t") for line in said.splitlines())
        return {name: ast.literal_eval(outcome) for name, _, outcome in lines}

    def attempt(self, name: str, **changes: Any) -> str:
        return self.attempts([name], **changes)[name]

    def unharmed(self) -> None:
        """All files are what they were, and the other process lives."""
        for path, text in self.files.items():
            assert path.read_text() == text, path
        assert self.victim is None or self.victim.poll() is None
        strange = [path for path in (Path("/etc/interlock-escape"), Path("/usr/interlock-escape")) if path.exists()]
        assert strange == []


def _library(base: Path) -> None:
    """What another user needs of interlock, as that user can't read where it is developed."""
    library = base / "lib"
    shutil.copytree(ROOT / "src" / "interlock", library / "interlock", ignore=shutil.ignore_patterns("__pycache__"))
    import rfc8785

    shutil.copytree(Path(rfc8785.__file__).parent, library / "rfc8785")


@contextmanager
def _people(uid: int | None) -> Iterator[Path]:
    """A key in a home folder of somebody."""
    where = Path("/home") if uid is not None else Path.home()
    folder = Path(tempfile.mkdtemp(prefix="interlock-", dir=where))
    try:
        key = folder / ".ssh" / "id_ed25519"
        key.parent.mkdir()
        key.write_text("a private key")
        if uid is not None:
            for path in (folder, key.parent, key):
                os.chown(path, uid, uid)
        yield key
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module", params=["bubblewrap", "landlock"])
def means(request: pytest.FixtureRequest) -> Means:
    made = Means(request.param)
    fault = _fault(made)
    if fault is not None:
        pytest.skip(f"{made} is not there: {fault}; apt-get install bubblewrap")
    return made


@pytest.fixture(scope="module", params=["self", "another user"])
def scene(request: pytest.FixtureRequest, means: Means) -> Iterator[Scene]:
    uid = None
    if request.param != "self":
        if os.geteuid() != 0:
            pytest.skip("an ordinary user runs this already")
        if not Path(HOW_TO_BE_ANOTHER).exists() or not Path("/usr/bin/python3").exists():
            pytest.skip(
                "to be another user takes setpriv and a Python for everyone: apt-get install util-linux python3"
            )
        uid = NOBODY
    with tempfile.TemporaryDirectory(prefix="interlock-sandbox-") as folder, _people(uid) as people:
        base = Path(folder).resolve()
        base.chmod(0o755)
        made = Scene(base, means, uid)
        if uid is not None:
            _library(base)
        made.own()
        run = Path(tempfile.mkdtemp(prefix="interlock-", dir="/run")) if os.access("/run", os.W_OK) else None
        if run is not None:
            run.chmod(0o755)
        listener = Listener(made.outside, run)
        made.victim = subprocess.Popen(
            [*made.switch, "/bin/sleep", "600"], env={"TOP_SECRET": "of-another-process"}, cwd=made.outside
        )
        made.places = {
            "ssh_key": str(people),
            "data_key": str(made.state / "keys" / "data.key"),
            "state": str(made.state),
            "home": str(made.home),
            "other_home": str(made.other_home),
            "victim": str(made.outside / "victim"),
            "link": str(made.project / "link"),
            "project": str(made.project),
            "granted": str(made.granted),
            "pid": made.victim.pid,
            "tcp": listener.tcp,
            "tcp6": listener.tcp6,
            "udp": listener.udp,
            "socket": listener.path,
            "run_socket": listener.run,
            "abstract": listener.abstract,
            "processes": 64,
            "memory_mb": 128,
        }
        made.listener = listener
        try:
            yield made
        finally:
            made.victim.kill()
            made.victim.wait()
            listener.close()
            if run is not None:
                shutil.rmtree(run)
