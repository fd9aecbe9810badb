"""Packages of the public registries, installed as their pages say and then used over MCP."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from interlock.config import Secrets, SystemClock, ToolServerConfig
from interlock.model import InstallFailed, ServerHealth, ServerState, ToolRef
from interlock.tools import Delivery, Packages, PackageSpec, Surroundings, Toolbox

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is missing: apt-get install nodejs npm")


def packages_of(folder: Path) -> Packages:
    return Packages(folder / "home", os.environ, SystemClock())


@asynccontextmanager
async def box_of(folder: Path, **servers: ToolServerConfig) -> AsyncIterator[Toolbox]:
    """A toolbox that installs what it needs and confines what it starts, as well as this machine can."""
    secrets = Secrets(folder / "home", os.environ)
    where = Surroundings(folder, folder / "state", os.environ, secrets, packages=packages_of(folder))
    box = Toolbox(servers, where, SystemClock())
    try:
        yield box
    finally:
        await box.stop()


async def test_servers_of_pypi_with_environments_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    time = ToolServerConfig(command="uvx", args=["mcp-server-time", "--local-timezone=${ZONE:-UTC}"], start_timeout=30)
    sqlite = ToolServerConfig.model_validate(
        {
            "package": "pypi:mcp-server-sqlite==2025.4.25",
            "overrides": ["mcp<2"],
            "args": ["--db-path", "data/x.db"],
            "sandbox": {"write": ["data"]},
        }
    )
    async with box_of(tmp_path, time=time, sqlite=sqlite) as box:
        health = await start(box)
        assert [entry.state for entry in health] == [ServerState.READY] * 2, health
        answer = await box.call(ToolRef("time", "get_current_time"), {"timezone": "Asia/Tokyo"}, Delivery(20))
        assert "Asia/Tokyo" in answer.text
        answer = await box.call(ToolRef("sqlite", "create_table"), {"query": "create table t (a int)"}, Delivery(20))
        assert answer.ok
        assert (tmp_path / "data/x.db").stat().st_size > 0
    found = {entry.spec.name: entry for entry in packages_of(tmp_path).installed()}
    assert found["mcp-server-time"].folder.parent == tmp_path / "home/tools/packages/pypi/mcp-server-time"
    assert found["mcp-server-sqlite"].folder.name.startswith("2025.4.25+")
    assert all(entry.integrity.startswith("record-sha256:") for entry in found.values())


@needs_npm
async def test_a_server_of_npm(tmp_path: Path) -> None:
    every = ToolServerConfig(command="npx", args=["-y", "@modelcontextprotocol/server-everything"])
    async with box_of(tmp_path, every=every) as box:
        health = await start(box)
        assert [entry.state for entry in health] == [ServerState.READY], health
        answer = await box.call(ToolRef("every", "echo"), {"message": "hello"}, Delivery(20))
        assert "hello" in answer.text
    (found,) = packages_of(tmp_path).installed()
    assert found.folder.parent == tmp_path / "home/tools/packages/npm/@modelcontextprotocol/server-everything"
    assert found.integrity.startswith("sha512-")
    assert found.argv[0].endswith("/node")
    assert list(found.folder.parent.glob(".*")) == []


async def start(box: Toolbox) -> tuple[ServerHealth, ...]:
    """Start all, and wait until none is starting: an installation may take longer than a start."""
    async with asyncio.timeout(300):
        while True:
            health = await box.start()
            if all(entry.state is not ServerState.STARTING for entry in health):
                return health


@needs_npm
def test_a_package_that_npm_has_not(tmp_path: Path) -> None:
    spec = PackageSpec("npm", "@modelcontextprotocol/server-everything", "0.0.0-never")
    with pytest.raises(InstallFailed, match=r"server-everything@0\.0\.0-never failed") as caught:
        packages_of(tmp_path).install(spec)
    assert "://" not in caught.value.message
    assert packages_of(tmp_path).installed() == ()


async def test_what_can_not_be_installed_is_told_by_the_server_s_health(tmp_path: Path) -> None:
    absent = ToolServerConfig(package="pypi:mcp-server-time==0.0.0.1")
    async with box_of(tmp_path, absent=absent) as box:
        (health,) = await start(box)
        assert health.state in (ServerState.DEGRADED, ServerState.PARKED)
        assert "there is no mcp-server-time==0.0.0.1 that fits" in health.reason
        assert "hint: check the name and the version" in health.reason
