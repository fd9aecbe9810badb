"""`interlock down`: stops what `up` started, and waits until it is gone."""

import os
import signal
import time

from interlock.cli import edge
from interlock.cli.connecting import connected
from interlock.cli.home_files import holder_of, read_running, remove_running
from interlock.cli.options import Json
from interlock.cli.output import emit, progress
from interlock.config import Settings
from interlock.model import InterlockError, Unavailable

PATIENCE_S = 90.0
LOOK_EVERY_S = 0.1


def down(*, json: Json = False) -> int:
    """Stop what `up` started for this state folder.

    Workers finish or hand over what they have in hand, which can take up to 40 seconds.
    """
    home = Settings.from_env(os.environ).home
    pid = holder_of(home)
    if pid is None:
        remove_running(home)
        emit({"stopped": False, "running": False}, [f"nothing runs for {home}"], as_json=json)
        return edge.OK
    found = read_running(home)
    if not json:
        progress(f"stopping{f' {found.url}' if found else ''}…")
    if not (found and _asked_by_http(found.url)):
        _ask_by_signal(pid)
    deadline = time.monotonic() + PATIENCE_S
    while holder_of(home) is not None:
        if time.monotonic() > deadline:
            raise Unavailable(f"process {pid} still runs after {PATIENCE_S:.0f} s", hint=f"kill {pid}")
        time.sleep(LOOK_EVERY_S)
    emit({"stopped": True, "running": False}, ["stopped"], as_json=json)
    return edge.OK


def _asked_by_http(url: str) -> bool:
    """Ask the server to stop; False if it can't be asked, as when it hangs or the token is another one."""
    try:
        with connected(url) as client:
            client.shutdown()
    except InterlockError:
        return False
    return True


def _ask_by_signal(pid: int) -> None:
    if pid <= 1:
        raise Unavailable("interlock runs, but does not say as which process", hint="interlock status")
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise Unavailable(f"process {pid} belongs to another user", hint=f"sudo kill {pid}") from error
