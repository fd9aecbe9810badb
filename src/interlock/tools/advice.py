"""What to change when a confined server dies: read from its last words."""

import re
from collections.abc import Sequence

from interlock.sandbox import Confinement

_NO_NETWORK = re.compile(
    r"\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|EAFNOSUPPORT)\b"
    r"|Network is unreachable|Temporary failure in name resolution|Name or service not known|Connection refused"
    r"|nodename nor servname|Could not resolve host|Errno (?:97|101|111|-2|-3)\b",
    re.IGNORECASE,
)
_NO_WRITE = re.compile(r"\b(?:EROFS|EACCES)\b|Read-only file system|Permission denied|Errno (?:13|30)\b", re.IGNORECASE)
_NOT_THERE = re.compile(
    r"\bENOENT\b|No such file or directory|Cannot find module|can't open file|Errno 2\b", re.IGNORECASE
)
_NO_MEMORY = re.compile(
    r"\bENOMEM\b|MemoryError|heap out of memory|Cannot allocate memory|std::bad_alloc", re.IGNORECASE
)
_NO_PROCESS = re.compile(r"\bEAGAIN\b|can't start new thread|Resource temporarily unavailable", re.IGNORECASE)
_LINES = 40


def advice(server: str, stderr: Sequence[str], confinement: Confinement | None) -> str:
    """A sentence that names what would let a server start, or nothing when its last words do not tell.

    Args:
        server: its name in the configuration.
        stderr: its last lines on standard error.
        confinement: what it may do; None when it is not confined, so that the sandbox is not to blame.
    """
    if confinement is None:
        return ""
    said = "\n".join(stderr[-_LINES:])
    option = f"tools.{server}.sandbox"
    if not confinement.network and _NO_NETWORK.search(said):
        return f"it has no network: {option}.network: true would grant it"
    if confinement.memory_mb is not None and _NO_MEMORY.search(said):
        return f"it may use {confinement.memory_mb} MB of memory: a higher {option}.memory_mb would grant more"
    if confinement.processes is not None and _NO_PROCESS.search(said):
        return f"it may have {confinement.processes} processes and threads: {option}.processes would grant more"
    if _NO_WRITE.search(said):
        return f"it may change only its own home and /tmp: {option}.write: [FOLDER] would grant more"
    if _NOT_THERE.search(said):
        return f"it sees only the project, programs and its own home: {option}.read: [FOLDER] would show it more"
    return ""
