"""Installing from a folder of wheels that the test writes: no registry, but real pip, real processes, real crashes."""

import asyncio
import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from interlock.config import ManualClock, ToolServerConfig
from interlock.model import InstallFailed
from interlock.tools.packages.ensure import ensure_installed
from interlock.tools.packages.packages import Packages
from interlock.tools.packages.spec import PackageSpec

pytestmark = pytest.mark.integration


class Shop:
    """A registry that is a folder, and a state folder."""

    def __init__(self, folder: Path) -> None:
        self.wheels = folder / "wheels"
        self.home = folder / "home"
        self.wheels.mkdir()
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
        }
        self.packages = self.again()

    def again(self) -> Packages:
        return Packages(self.home, self.env, ManualClock())

    def wheel(
        self,
        name: str,
        version: str,
        requires: tuple[str, ...] = (),
        programs: tuple[str, ...] = ("",),
        extra: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """A wheel with programs that print the version and their arguments; `""` stands for its own name."""
        module = name.replace("-", "_")
        info = f"{module}-{version}.dist-info"
        scripts = "".join(f"{program or name} = {module}:main\n" for program in programs)
        files = {
            f"{module}.py": f"import sys\ndef main():\n    print('{name} {version}', *sys.argv[1:])\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            + "".join(f"Requires-Dist: {one}\n" for one in requires),
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/entry_points.txt": f"[console_scripts]\n{scripts}" if scripts else "",
            **extra,
        }
        rows = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in files.items()]
        files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
        with zipfile.ZipFile(self.wheels / f"{module}-{version}-py3-none-any.whl", "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)

    def source(self, name: str, version: str, witness: Path) -> None:
        """A source distribution that shows by a file that its code ran."""
        backend = textwrap.dedent(
            f"""
            import pathlib, shutil
            def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
                pathlib.Path({str(witness)!r}).touch()
                name = "{name}-{version}-py3-none-any.whl"
                shutil.copy(pathlib.Path({str(self.home.parent / "hidden")!r}) / name, wheel_directory)
                return name
            """
        )
        project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        meta = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        with tarfile.open(self.wheels / f"{name}-{version}.tar.gz", "w:gz") as archive:
            for path, text in {"backend.py": backend, "pyproject.toml": project, "PKG-INFO": meta}.items():
                entry = tarfile.TarInfo(f"{name}-{version}/{path}")
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
        self.wheel(name, version)
        hidden = self.home.parent / "hidden"
        hidden.mkdir()
        (self.wheels / f"{name}-{version}-py3-none-any.whl").rename(hidden / f"{name}-{version}-py3-none-any.whl")

    def process(self, spec: PackageSpec, fault: str = "") -> "subprocess.Popen[str]":
        """Another process that installs; `fault` is where it dies."""
        code = (
            "import sys, json\n"
            "from pathlib import Path\n"
            "from interlock.config import SystemClock\n"
            "from interlock.tools.packages.packages import Packages\n"
            "from interlock.tools.packages.spec import PackageSpec\n"
            f"found = Packages(Path({str(self.home)!r}), {self.env!r}, SystemClock()).install({spec!r})\n"
            "print(found.version, found.folder.stat().st_ino)"
        )
        env = {**os.environ, "INTERLOCK_FAULT": fault}
        return subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)

    def leftovers(self) -> list[str]:
        below = self.home / "tools" / "packages" / "pypi"
        return [str(path) for path in below.glob("*/.*")]


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def output(argv: tuple[str, ...], *args: str) -> str:
    return subprocess.run([*argv, *args], capture_output=True, text=True, timeout=30, check=True).stdout.strip()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


ANY = PackageSpec("pypi", "thing")
PYTHON_LIB = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


def test_installed_once_found_without_a_registry_and_upgraded_when_asked(shop: Shop) -> None:
    shop.wheel("part", "1.0", programs=())
    shop.wheel("thing", "1.0", requires=("part",))
    assert shop.packages.find(ANY) is None
    first = shop.packages.install(ANY)
    assert (first.version, first.argv[0]) == ("1.0", str(first.folder / "bin/python"))
    assert output(first.argv, "--a", "b") == "thing 1.0 --a b"
    assert output((str(first.folder / "bin/thing"),)) == "thing 1.0"  # its first line names the place it was moved to
    assert shop.leftovers() == []
    assert not (shop.home / "tools/packages/pypi/thing/1.0/home").exists()

    # A newer one changes nothing by itself, also not for another process, also not when the environment is lost.
    shop.wheel("thing", "2.0", requires=("part",))
    shop.wheel("part", "2.0", programs=())
    assert shop.again().find(ANY) == first
    assert shop.again().install(ANY) == first
    (first.folder / "bin/python").unlink()
    (first.folder / "bin/python").symlink_to("/nonexistent/python")
    assert shop.packages.find(ANY) is None
    again = shop.packages.install(ANY)
    assert (again.version, again.integrity) == (first.version, first.integrity)
    record = json.loads((shop.home / "packages.lock.json").read_text())["packages"][0]
    assert record["parts"]["part"] == "1.0"
    assert (record["requested"], record["version"], record["built_with"][:8]) == (None, "1.0", "python 3")

    newer = shop.packages.install(ANY, upgrade=True)
    assert output(newer.argv) == "thing 2.0"
    assert shop.again().find(ANY) == newer
    assert output(first.argv) == "thing 1.0"  # what still runs keeps its files
    assert [found.version for found in shop.packages.installed()] == ["2.0"]

    # What is pinned stays what it is; what it needs is renewed when someone asks.
    pinned = PackageSpec("pypi", "thing", "1.0")
    assert shop.packages.install(pinned) == replace(first, spec=pinned)
    shop.packages.install(pinned, upgrade=True)
    assert json.loads((first.folder / "installed.json").read_text())["parts"]["part"] == "2.0"

    assert shop.packages.remove(ANY)
    assert not newer.folder.exists()
    assert (shop.packages.find(ANY), shop.packages.remove(ANY)) == (None, False)


def test_overrides_and_entries(shop: Shop) -> None:
    for version in ("1.0", "2.0"):
        shop.wheel("part", version, programs=())
    shop.wheel("thing", "1.0", requires=("part",), programs=("one", "two"))
    spec = PackageSpec("pypi", "thing", "1.0", ("part<2",), "two")
    with pytest.raises(InstallFailed, match="not clear which program of thing to start; it has: one, two"):
        shop.packages.install(PackageSpec("pypi", "thing", "1.0", ("part<2",)))
    assert shop.packages.installed() == ()
    found = shop.packages.install(spec)
    assert found.folder.name.startswith("1.0+")
    assert output(found.argv, "x") == "thing 1.0 x"
    assert found.argv[1].endswith("/bin/two")
    parts = json.loads((found.folder / "installed.json").read_text())["parts"]
    assert parts["part"] == "1.0"
    assert shop.packages.installed()[0].argv == ()
    with pytest.raises(InstallFailed, match="thing has no program 'three'"):
        shop.packages.find(PackageSpec("pypi", "thing", "1.0", ("part<2",), "three"))
    (found.folder / "bin/extra").write_text("#!/bin/sh\necho extra $1\n")
    (found.folder / "bin/extra").chmod(0o755)
    other = shop.packages.find(PackageSpec("pypi", "thing", "1.0", ("part<2",), "extra"))
    assert other is not None
    assert output(other.argv, "x") == "extra x"
    assert not (found.folder / "bin/pip").exists()


def test_source_is_not_built_unless_it_may_be(shop: Shop, tmp_path: Path) -> None:
    witness = tmp_path / "code-ran"
    shop.source("thing", "1.0", witness)
    with pytest.raises(InstallFailed, match="exists as source only; building runs its code") as caught:
        shop.packages.install(ANY)
    assert "No matching distribution" in caught.value.message
    assert not witness.exists()
    assert (shop.leftovers(), shop.packages.installed()) == ([], ())
    found = shop.packages.install(PackageSpec("pypi", "thing", None, ("--allow-build",)))
    assert witness.exists()
    assert output(found.argv) == "thing 1.0"


@pytest.mark.parametrize("fault", ["package.built", "package.placed"])
def test_a_crash_leaves_nothing_that_counts(shop: Shop, fault: str) -> None:
    shop.wheel("thing", "1.0")
    process = shop.process(ANY, fault)
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert shop.packages.find(ANY) is None
    assert len(shop.leftovers()) == 1
    found = shop.packages.install(ANY)
    assert output(found.argv) == "thing 1.0"
    assert shop.leftovers() == []


def test_a_kill_in_the_middle_ends_pip_too(shop: Shop) -> None:
    shop.wheel("thing", "1.0")
    process = shop.process(ANY)
    deadline = time.monotonic() + 30
    while not (begun := shop.leftovers()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.kill()
    process.communicate(timeout=10)
    deadline = time.monotonic() + 10
    while _running(begun[0]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert shop.packages.find(ANY) is None
    assert output(shop.packages.install(ANY).argv) == "thing 1.0"
    assert shop.leftovers() == []


def _running(text: str) -> bool:
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and text.encode() in (entry / "cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False


def test_two_processes_at_once_build_once(shop: Shop) -> None:
    shop.wheel("thing", "1.0")
    processes = [shop.process(ANY) for _ in range(2)]
    said = [process.communicate(timeout=100)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert said[0] == said[1]  # the same folder, so the second one built none of its own
    assert said[0].startswith("1.0 ")
    assert shop.leftovers() == []


def test_other_files_under_the_same_version_are_refused(shop: Shop) -> None:
    shop.wheel("thing", "1.0")
    first = shop.packages.install(ANY)
    (first.folder / "installed.json").unlink()
    shop.wheel("thing", "1.0", programs=("", "backdoor"))
    with pytest.raises(InstallFailed, match=r"thing 1\.0 is not what was installed before") as caught:
        shop.packages.install(ANY)
    assert "--upgrade" in caught.value.next_step
    accepted = shop.packages.install(ANY, upgrade=True)
    assert accepted.integrity != first.integrity


def test_a_compiled_program_of_a_wheel_can_be_run(shop: Shop) -> None:
    shop.wheel("thing", "1.0", extra={"thing_bin/tool": "\x7fELF and so on", "thing_bin/text": "no program"})
    site = shop.packages.install(ANY).folder / PYTHON_LIB
    modes = {name: (site / "thing_bin" / name).stat().st_mode & 0o111 for name in ("tool", "text")}
    assert modes == {"tool": 0o111, "text": 0}


async def test_ensuring_waits_in_a_thread_and_stops_with_its_caller(shop: Shop) -> None:
    shop.wheel("thing", "1.0")
    config = ToolServerConfig(command="uvx", args=["thing"])
    await ensure_installed(shop.packages, "plain", ToolServerConfig(command="anything"))

    waiting = asyncio.create_task(ensure_installed(shop.packages, "thing", config))
    beats = 0
    while not shop.leftovers():
        await asyncio.sleep(0.01)
        beats += 1
    waiting.cancel()
    begun = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.to_thread(shop.packages.workers.shutdown)
    assert time.monotonic() - begun < 8
    assert shop.leftovers() == []

    packages = shop.again()
    await asyncio.gather(*(ensure_installed(packages, "thing", config) for _ in range(3)))
    assert packages.find(ANY) is not None
    packages.workers.shutdown()


async def test_what_failed_is_not_tried_again_at_once(shop: Shop) -> None:
    config = ToolServerConfig(package="pypi:absent==1")
    with pytest.raises(InstallFailed, match="there is no absent==1 that fits") as caught:
        await ensure_installed(shop.packages, "mine", config)
    assert caught.value.next_step == "check the name and the version in the configuration"
    begun = time.monotonic()
    with pytest.raises(InstallFailed, match="there is no absent==1 that fits"):
        await ensure_installed(shop.packages, "mine", config)
    assert time.monotonic() - begun < 0.5
    shop.packages.workers.shutdown()


def test_npm_without_npm(shop: Shop, tmp_path: Path) -> None:
    packages = Packages(shop.home, {**shop.env, "PATH": str(tmp_path)}, ManualClock())
    with pytest.raises(InstallFailed, match="node and npm are needed") as caught:
        packages.install(PackageSpec("npm", "x"))
    assert caught.value.next_step == "apt-get install nodejs npm"


def test_an_installation_can_be_stopped_while_it_waits(shop: Shop) -> None:
    stop = threading.Event()
    stop.set()
    shop.wheel("thing", "1.0")
    with pytest.raises(InstallFailed, match="was stopped"):
        shop.packages.install(ANY, stop=stop)
    assert shop.leftovers() == []
