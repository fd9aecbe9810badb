"""Live backends on this machine, each with a mark in it that only it knows."""

import asyncio
import functools
import http.client
import http.server
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

_NEEDED = {  # a program, and the Debian package that brings it
    "bwrap": "bubblewrap",
    "git": "git",
    "node": "nodejs",
    "npm": "npm",
    "prometheus": "prometheus",
    "redis-server": "redis-server",
}
_START_S = 60.0


def missing() -> list[str]:
    """The Debian packages that are missing."""
    absent = [package for program, package in _NEEDED.items() if shutil.which(program) is None]
    browsers = ("chromium-headless-shell", "chromium")
    return absent if any(map(shutil.which, browsers)) else [*absent, browsers[0]]


def files(folder: Path, mark: str) -> dict[str, str]:
    """Everything that is a file: a note, a CSV file, SQLite, a knowledge graph, a repository, a page; and their facts."""
    data = folder / "data"
    data.mkdir()
    (folder / "out").mkdir()
    (data / "note.txt").write_text(f"the note says {mark}\n")
    (data / "amounts.csv").write_text(f"mark,amount\n{mark},4000\n{mark},321\nother,7\n")
    entity = {"type": "entity", "name": "planted", "entityType": "fact", "observations": [f"remembers {mark}"]}
    (data / "graph.jsonl").write_text(json.dumps(entity) + "\n")
    (data / "kube.yaml").write_text(_KUBECONFIG)
    with sqlite3.connect(data / "notes.db") as database:
        database.execute("create table notes (note text)")
        database.execute("insert into notes values (?)", (mark,))
    database.close()
    (folder / "site").mkdir()
    backwards = mark[::-1]
    (folder / "site" / "page.html").write_text(_PAGE.replace("MARK", mark))
    _repository(folder / "repository", mark)
    return {"folder": str(folder), "mark": mark, "MARK": mark.upper(), "backwards": backwards}


_KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: none, user: {}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
current-context: none
"""
# What is made by the script is there only if a browser has run it.
_PAGE = """\
<!doctype html><html lang="en"><head><title>A local page</title></head><body><main>
<h1>A local page</h1><p>On this page the mark is MARK, and nothing else is said.</p><p id="made"></p></main>
<script>document.getElementById("made").textContent = Array.from("MARK").reverse().join("")</script></body></html>
"""


def _repository(path: Path, mark: str) -> None:
    who = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t"}
    for words in (
        ["init", "-q", "-b", "main", str(path)],
        ["-C", str(path), "commit", "-q", "--allow-empty", "-m", f"keeps {mark}"],
    ):
        subprocess.run(["git", *words], check=True, timeout=30, env={**os.environ, **who})


@contextmanager
def page(site: Path) -> Iterator[dict[str, str]]:
    """A web server on the loopback interface."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            return None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield {"page_port": str(server.server_port)}
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def redis(folder: Path, mark: str) -> Iterator[dict[str, str]]:
    """A Redis that keeps nothing, with one key."""
    port = _free_port()
    folder.mkdir()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]

    def plant() -> bool:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(f"SET planted {mark}\r\n".encode())
            return connection.recv(64) == b"+OK\r\n"

    with _program(command, folder / "log", plant):
        yield {"redis_port": str(port)}


@contextmanager
def prometheus(folder: Path, mark: str) -> Iterator[dict[str, str]]:
    """A Prometheus that scrapes itself, under a label that holds the mark."""
    port = _free_port()
    folder.mkdir()
    target = {"targets": [f"127.0.0.1:{port}"], "labels": {"planted": mark}}
    config = {"scrape_configs": [{"job_name": "itself", "scrape_interval": "1s", "static_configs": [target]}]}
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]

    def has_scraped() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/api/v1/query?query=up")
            return mark.encode() in connection.getresponse().read()
        finally:
            connection.close()

    with _program(command, folder / "log", has_scraped):
        yield {"prometheus_port": str(port)}


@asynccontextmanager
async def postgres(folder: Path, superuser: str, mark: str) -> AsyncIterator[dict[str, str]]:
    """A database of a running Postgres with one row, reached through a socket in a folder of its own.

    The socket hands on what it gets: the server's own can only be opened by the account that it runs as.
    """
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("drop database if exists third_party")
        connection.execute("create database third_party")
        parts = connection.info
        target = f"{parts.host}/.s.PGSQL.{parts.port}"
        user = parts.user
    with psycopg.connect(superuser, dbname="third_party") as connection:
        connection.execute("create table planted (note text)")
        connection.execute("insert into planted values (%s)", (mark,))
    folder.mkdir(mode=0o700)

    under_way: set[asyncio.Task[None]] = set()

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_unix_connection(target)
        for source, sink in ((reader, back_writer), (back_reader, writer)):
            task = asyncio.create_task(_copy(source, sink))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

    server = await asyncio.start_unix_server(hand_on, folder / ".s.PGSQL.5432")
    try:
        yield {"postgres_folder": str(folder), "postgres_database": "third_party", "postgres_user": user}
    finally:
        server.close()
        await asyncio.wait_for(server.wait_closed(), 10)
        for task in tuple(under_way):
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute("drop database third_party with (force)")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
    finally:
        writer.close()


@contextmanager
def _program(command: list[str], log: Path, is_up: Callable[[], bool]) -> Iterator[None]:
    """A program while it is needed, once it is up."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            _wait(command[0], process, log, is_up)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(name: str, process: "subprocess.Popen[bytes]", log: Path, is_up: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            if is_up():
                return
        time.sleep(0.1)
    raise AssertionError(f"{name} did not come up: {log.read_text()[-1000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
