"""What the kernel says of processes: who belongs to whom, how much memory they have, whom they talk to."""

import re
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """A process and all below it, as they are now, the outer ones first."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    below = [root]
    for pid in below:
        below += children.get(pid, [])
    return below


def _parent(entry: Path) -> int | None:
    try:
        words = (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] == "Z" else int(words[1])


def alive(pid: int) -> bool:
    """Whether it runs; one that only waits to be reaped does not."""
    return _parent(_PROC / str(pid)) is not None


def pss_mb(pids: Iterable[int]) -> float:
    """Their memory; what several processes share is divided between them."""
    total_kb = 0
    for pid in pids:
        try:
            text = (_PROC / str(pid) / "smaps_rollup").read_text()
        except OSError:
            continue
        found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        total_kb += int(found[1]) if found else 0
    return total_kb / 1024


def interfaces(pid: int) -> set[str]:
    """The network interfaces that a process sees."""
    lines = (_PROC / str(pid) / "net" / "dev").read_text().splitlines()[2:]
    return {line.partition(":")[0].strip() for line in lines}


def same_network(pid: int) -> bool:
    """Whether a process is in the network namespace of this one."""
    return Path(f"/proc/{pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink()


def outside(pids: Iterable[int]) -> set[str]:
    """Addresses beyond this machine that processes have a TCP connection to, or try to."""
    return {address for pid in pids for address in _peers(pid) if not _local(address)}


def _peers(pid: int) -> set[str]:
    peers = set()
    try:
        own = {link.readlink().name for link in (_PROC / str(pid) / "fd").iterdir()}
        for table in ("tcp", "tcp6"):
            for line in (_PROC / str(pid) / "net" / table).read_text().splitlines()[1:]:
                words = line.split()
                if f"socket:[{words[9]}]" in own:
                    peers.add(words[2].partition(":")[0])
    except OSError:
        return peers
    return peers


def _local(address: str) -> bool:
    """Whether an address, in the kernel's hexadecimal form, is the loopback interface's, or none."""
    word = address[-8:]
    none = set(address) == {"0"}
    v6_loopback = len(address) == 32 and address[:24] == "0" * 24 and word == "01000000"
    v4 = len(address) == 8 or address[:24] == "0000000000000000FFFF0000"
    return none or v6_loopback or (v4 and word.endswith("7F"))
