"""For those who start servers: install without blocking, ended when the caller is cancelled; then find what to run."""

import asyncio
import time
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from interlock.model import InstallFailed
from interlock.tools.packages.packages import Installed, Packages
from interlock.tools.packages.spec import spec_of

if TYPE_CHECKING:
    from interlock.config import ToolServerConfig

_LONGEST_S = 3600.0
_QUIET_S = 60.0


def installed_for(packages: Packages | None, config: "ToolServerConfig") -> Installed | None:
    """The package of a server, ready to be started; None if it has none. Fetches nothing and blocks nobody.

    Raises:
        InstallFailed: it is not installed, or can't be started.
        ConfigError: its command would fetch code at each start and can't be read as a package.
    """
    spec = spec_of(config)
    if spec is None:
        return None
    found = packages.find(spec) if packages is not None else None
    if found is None:
        raise InstallFailed(f"{spec.requirement} is not installed")
    return found


async def ensure_installed(packages: Packages | None, server_name: str, config: "ToolServerConfig") -> None:
    """Install the package of a server unless it is there, or it has none; may take minutes.

    What failed is not tried again for a minute, so that a server that is started again and again asks no registry
    each time.

    Args:
        packages: those of the state folder; None where there is none, and then nothing is installed.
        server_name: of the server, for hints.
        config: of the server.

    Raises:
        InstallFailed: it can't be installed.
        ConfigError: its command would fetch code at each start and can't be read as a package.
    """
    spec = spec_of(config)
    if spec is None or packages is None or packages.find(spec) is not None:
        return
    failed_at, failure = packages.failures.get(spec.key, (0.0, None))
    if failure is not None and time.monotonic() < failed_at + _QUIET_S:
        raise failure
    stop = Event()
    try:
        async with asyncio.timeout(_LONGEST_S):
            await asyncio.get_running_loop().run_in_executor(
                packages.workers, partial(packages.install, spec, stop=stop)
            )
    except TimeoutError:
        raise InstallFailed(f"{spec.requirement} was not installed within {_LONGEST_S:g} s") from None
    except InstallFailed as error:
        hint = error.next_step if error.next_step != InstallFailed.hint else f"interlock tools install {server_name}"
        failure = InstallFailed(error.message, hint=hint)
        packages.failures[spec.key] = (time.monotonic(), failure)
        raise failure from error
    finally:
        stop.set()
