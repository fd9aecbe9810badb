"""What is asked about was tried first: in a copy, in a transaction that is rolled back, by a dry run, or at a twin."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.model import Held, InDoubt
from interlock.sandbox import Means, prospect
from interlock.store import approval_rows

from .conftest import Build, Scene, faulty

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
WRITE = {"class": "write", "egress": False, "output": "trusted", "control": ["key"]}

needs_walls = pytest.mark.skipif(
    shutil.which("bwrap") is None or prospect().means is not Means.BUBBLEWRAP,
    reason="bubblewrap is not there, or can't be used: apt-get install bubblewrap",
)


async def shown(scene: Scene, held: Held) -> dict[str, Any]:
    async with scene.database.transaction() as tx:
        return (await approval_rows.get(tx, held.approval_id)).shown


@needs_walls
async def test_a_shell_command_is_shown_by_what_it_did_in_a_copy_and_then_does_exactly_that(
    scene: Build, tmp_path: Path
) -> None:
    root = tmp_path / "work"
    root.mkdir()
    (root / "old.txt").write_text("old\n")
    made = await scene({"shell": {"builtin": "shell", "root": "work", "call_timeout": 90}}, ["shell.run"])
    command = {"command": "date +%N > new.txt; rm old.txt"}
    held = await made.held("shell.run", command)
    assert (root / "old.txt").exists()
    assert not (root / "new.txt").exists()
    effect = (await shown(made, held))["effect"]
    assert effect["files_changed"] == 2
    await made.decide(held, "approve")
    done = await made.done("shell.run", command, 1)
    assert done.observation.ok, done.observation.text
    assert not (root / "old.txt").exists()
    assert (root / "new.txt").read_text().strip() in json.dumps(effect)  # what was shown, to the nanosecond


async def test_a_statement_is_shown_by_the_rows_it_changed_before_it_was_rolled_back(
    scene: Build, tmp_path: Path
) -> None:
    file = tmp_path / "data" / "shop.db"
    file.parent.mkdir()
    with sqlite3.connect(file) as db:
        db.execute("create table item (id integer primary key, name text)")
        db.executemany("insert into item (name) values (?)", [("a",), ("b",), ("c",)])
    db.close()
    made = await scene({"db": {"builtin": "sql", "database": f"sqlite:{file}"}}, ["db.*"])
    statement = {"statement": "delete from item where name <> 'a'"}
    held = await made.held("db.execute", statement)
    assert (await shown(made, held))["effect"]["rows_changed"] == 2
    counted = {"statement": "select count(*) as n from item"}
    assert "3" in (await made.done("db.query", counted)).observation.text
    await made.decide(held, "approve")
    with sqlite3.connect(file) as db:
        db.execute("insert into item (name) values ('d')")
    db.close()
    again = await made.act("db.execute", statement, 1)  # another row would go now: that was not agreed to
    assert isinstance(again, Held), again
    assert (await shown(made, again))["effect"]["rows_changed"] == 3
    await made.decide(again, "approve")
    assert (await made.done("db.execute", statement, 1)).observation.ok
    assert "1" in (await made.done("db.query", counted)).observation.text


async def test_a_query_that_writes_is_refused_by_the_server(scene: Build, tmp_path: Path) -> None:
    made = await scene({"db": {"builtin": "sql", "database": f"sqlite:{tmp_path}/x.db"}}, ["db.*"])
    assert not (await made.done("db.query", {"statement": "create table t (a int)"})).observation.ok


async def test_a_dry_run_and_a_twin_are_made_once_and_shown(scene: Build, tmp_path: Path) -> None:
    dry = faulty(tmp_path / "dry", contracts={"append": {**WRITE, "dry_run": {"key": "only-tried"}}})
    real = faulty(tmp_path / "real", contracts={"append": WRITE}, staging="twin")
    twin = faulty(tmp_path / "twin", contracts={"append": WRITE})
    made = await scene({"dry": dry, "real": real, "twin": twin}, ["dry.*", "real.*"])
    for number, (tool, log, tried) in enumerate(
        (("dry.append", "dry", ["only-tried"]), ("real.append", "twin", ["k"])), start=1
    ):
        held = await made.held(tool, {"key": "k", "text": "x"})
        assert "appended" in json.dumps((await shown(made, held))["effect"])
        assert keys(tmp_path / log) == tried
        await made.decide(held, "approve")
        assert (await made.done(tool, {"key": "k", "text": "x"}, number)).observation.ok
    assert keys(tmp_path / "dry") == ["only-tried", "k"]
    assert keys(tmp_path / "twin") == keys(tmp_path / "real") == ["k"]


async def test_a_twin_that_is_another_tool_is_not_tried_and_a_person_is_told(scene: Build, tmp_path: Path) -> None:
    inverse = {"tool": "real.append", "args": {"key": "u", "text": "u"}}
    real = faulty(tmp_path / "real", contracts={"append": {**WRITE, "inverse": inverse}}, staging="twin")
    made = await scene({"real": real, "twin": faulty(tmp_path / "twin", "changed")}, ["real.*"])
    outcome = await made.act("real.append", {"key": "k", "text": "x"})
    if isinstance(outcome, Held):
        assert any("not the same tool" in reason for reason in (await shown(made, outcome))["reasons"])
        assert keys(tmp_path / "twin") == []


@pytest.fixture
def bad_gateway(tmp_path: Path) -> Iterator[int]:
    """The port of a server that answers everything with 502."""
    script = tmp_path / "bad_gateway.py"
    script.write_text(BAD_GATEWAY)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


async def test_a_server_that_does_not_know_whether_it_acted_leaves_the_call_in_doubt(
    scene: Build, bad_gateway: int
) -> None:
    made = await scene({"web": {"builtin": "http", "allow": [f"127.0.0.1:{bad_gateway}"]}}, ["web.*"])
    got = await made.done("web.get", {"url": f"http://127.0.0.1:{bad_gateway}/"})
    assert not got.observation.ok
    args = {"method": "POST", "url": f"http://127.0.0.1:{bad_gateway}/orders", "body": "x"}
    held = await made.held("web.request", args)
    await made.decide(held, "approve")
    assert isinstance(await made.act("web.request", args, 2), InDoubt)
    refused = await made.done("web.get", {"url": "http://169.254.169.254/latest/"})
    assert not refused.observation.ok


BAD_GATEWAY = """
import http.server

class Always502(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(502); self.send_header("Content-Length", "0"); self.end_headers()
    do_POST = do_GET
    def log_message(self, *args):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Always502)
print(server.server_port, flush=True)
server.serve_forever()
"""


def keys(log: Path) -> list[str]:
    return [json.loads(line)["key"] for line in log.read_text().splitlines()] if log.exists() else []
