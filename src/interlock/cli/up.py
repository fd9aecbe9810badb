"""`interlock up`: the database, the tool servers, the HTTP server and the workers, in the foreground or detached."""

import os
import sys
from typing import Annotated

from cyclopts import Parameter

from interlock.cli import edge
from interlock.cli.home_files import already_running, holder_of
from interlock.cli.logs import log_to_stderr
from interlock.cli.options import Json, Project, WholeNumber, folder_of
from interlock.cli.output import emit, paint_for, progress
from interlock.cli.views.status import up_lines
from interlock.config import Settings, ensure_home
from interlock.model import UserError

MAX_WORKERS = 64


def up(
    *,
    port: Annotated[WholeNumber | None, Parameter(help="Port on 127.0.0.1; 0 takes any free one.")] = None,
    workers: Annotated[WholeNumber | None, Parameter(help="How many worker processes.")] = None,
    detach: Annotated[bool, Parameter(negative="", help="Go to the background as soon as it is ready.")] = False,
    project: Project = None,
    json: Json = False,
) -> int:
    """Start the database, the server and the workers.

    Runs in the foreground until SIGTERM, Ctrl-C or `interlock down`; workers then finish or hand over what they have
    in hand. What it starts belongs to the state folder INTERLOCK_HOME.
    """
    if workers is not None and not 1 <= workers <= MAX_WORKERS:
        raise UserError(f"--workers: {workers} is not between 1 and {MAX_WORKERS}", hint="interlock up --workers 2")
    if port is not None and not 0 <= port <= 65_535:
        raise UserError(f"--port: {port} is not between 0 and 65535", hint="interlock up --port 7440")
    settings = Settings.from_env(os.environ)
    home = ensure_home(settings)
    if holder_of(home) is not None:
        raise already_running(home)
    folder = folder_of(project)
    if detach:
        from interlock.cli.detaching import start_detached

        summary = start_detached(home, _command(folder, port, workers, as_json=json), os.environ)
        if isinstance(summary, int):
            return summary
        emit(summary, up_lines(summary, paint_for(sys.stdout)), as_json=json)
        return edge.OK
    log_to_stderr(as_json=json)
    from interlock.cli.running import Wanted, run

    def announce(summary: dict[str, object]) -> None:
        emit(summary, up_lines(summary, paint_for(sys.stdout)), as_json=json)
        sys.stdout.flush()

    if not json:
        progress("starting…")
    run(Wanted(settings, folder, port, workers, as_json=json), os.environ, announce)
    if not json:
        progress("stopped")
    return edge.OK


def _command(folder: os.PathLike[str], port: int | None, workers: int | None, *, as_json: bool) -> list[str]:
    command = [sys.executable, "-m", "interlock", "up", "--project", os.fspath(folder)]
    command += ["--port", str(port)] if port is not None else []
    command += ["--workers", str(workers)] if workers is not None else []
    return [*command, "--json"] if as_json else command
