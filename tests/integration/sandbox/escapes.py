"""Runs inside of a sandbox: attempts to get out, by name. `out: …` is one that worked, `held: …` one that did not.

Only the standard library; the places to reach are given as JSON. One that works does no harm to the machine.
"""

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import stat
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
PLACES: dict[str, Any] = {}
X86 = os.uname().machine == "x86_64"


def system(number_x86: int, number_arm: int, *args: Any) -> int:
    result: int = libc.syscall(number_x86 if X86 else number_arm, *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def call(name: str, *args: Any) -> int:
    result: int = getattr(libc, name)(*args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def place(name: str) -> Path:
    return Path(PLACES[name])


def write(path: Path) -> str:
    with path.open("a") as file:
        file.write("escaped")
    return f"wrote {path}"


# ---- reading ----


def read_key_in_a_home_folder() -> str:
    return place("ssh_key").read_text()


def read_data_key() -> str:
    return place("data_key").read_text()


def read_state_folder_by_listing() -> str:
    for folder, _, names in os.walk(place("state")):
        for name in names:
            if not folder.startswith(PLACES["home"]):
                return (Path(folder) / name).read_text()
    raise OSError("nothing to read")


def read_home_of_another_server() -> str:
    return place("other_home").joinpath("secret").read_text()


def read_outside() -> str:
    return place("victim").read_text()


def read_through_a_link() -> str:
    return place("link").joinpath("victim").read_text()


def read_shadow() -> str:
    return Path("/etc/shadow").read_text() or str(1 / 0)


def read_run() -> str:
    found = [entry for entry in Path("/run").iterdir() if entry.is_socket() or entry.is_dir()]
    return str(found[0])


def read_proc_1_root() -> str:
    return Path(f"/proc/1/root{PLACES['victim']}").read_text()


def read_root_of_another_process() -> str:
    return Path(f"/proc/{PLACES['pid']}/root{PLACES['victim']}").read_text()


def read_cwd_of_another_process() -> str:
    return str(list(Path(f"/proc/{PLACES['pid']}/cwd").iterdir()))


def read_environment_of_another_process() -> str:
    return Path(f"/proc/{PLACES['pid']}/environ").read_bytes().decode()


def read_memory_of_another_process() -> str:
    with Path(f"/proc/{PLACES['pid']}/mem").open("rb") as file:
        return f"opened {file.fileno()}"


# ---- changing ----


def write_etc() -> str:
    return write(Path("/etc/interlock-escape"))


def write_usr() -> str:
    return write(Path("/usr/interlock-escape"))


def write_bin() -> str:
    return write(Path("/bin/interlock-escape"))


def write_root() -> str:
    return write(Path("/interlock-escape"))


def write_project() -> str:
    return write(place("project") / "plan.txt")


def write_project_new() -> str:
    return write(place("project") / "new.txt")


def write_outside_by_dots() -> str:
    return write(place("granted") / ".." / ".." / "outside" / "victim")


def write_outside_by_link() -> str:
    link = place("granted") / "way-out"
    link.symlink_to(place("victim"))
    return write(link)


def write_outside_by_hard_link() -> str:
    link = place("granted") / "hard"
    os.link(place("victim"), link)
    return write(link)


def write_project_by_hard_link() -> str:
    link = place("granted") / "hard-plan"
    os.link(place("project") / "plan.txt", link)
    return write(link)


def write_by_proc_fd() -> str:
    fd = os.open(place("project") / "plan.txt", os.O_RDONLY)
    return write(Path(f"/proc/self/fd/{fd}"))


def write_state() -> str:
    return write(place("state") / "token")


def write_inherited_fd() -> str:
    for fd in range(3, 256):
        try:
            os.write(fd, b"escaped")
        except OSError:
            continue
        return f"wrote to {fd}"
    raise OSError("no descriptor takes anything")


def truncate_outside() -> str:
    os.truncate(place("project") / "plan.txt", 0)
    return "truncated"


def rename_project() -> str:
    os.rename(place("project") / "plan.txt", place("granted") / "stolen")
    return "moved"


def unlink_project() -> str:
    os.unlink(place("project") / "plan.txt")
    return "gone"


def chmod_project() -> str:
    os.chmod(place("project") / "plan.txt", 0o777)
    return "changed"


def chmod_system_by_fd() -> str:
    fd = os.open("/etc/hostname", os.O_RDONLY)
    os.fchmod(fd, stat.S_IMODE(os.fstat(fd).st_mode))
    return "changed"


def set_user_id_bit() -> str:
    path = place("granted") / "suid"
    path.touch()
    fd = os.open(path, os.O_RDWR)
    os.fchmod(fd, 0o4755)
    return oct(path.stat().st_mode)


def set_user_id_bit_at_birth() -> str:
    path = place("granted") / "suid-born"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o4755))
    return oct(path.stat().st_mode) if path.stat().st_mode & stat.S_ISUID else str(1 / 0)


# ---- other processes ----


def kill_another_process() -> str:
    os.kill(PLACES["pid"], signal.SIGKILL)
    return "killed"


def probe_another_process() -> str:
    os.kill(PLACES["pid"], 0)
    return "is there"


def trace_another_process() -> str:
    call("ptrace", 16, PLACES["pid"], None, None)
    return "attached"


def limit_another_process() -> str:
    resource.prlimit(PLACES["pid"], resource.RLIMIT_NOFILE, (1, 1))
    return "limited"


def steal_a_descriptor() -> str:
    fd = system(434, 434, PLACES["pid"], 0)
    return str(system(438, 438, fd, 0, 0))


# ---- the kernel ----


def mount() -> str:
    call("mount", b"none", os.fsencode(place("granted")), b"tmpfs", 0, None)
    return "mounted"


def unmount_tmp() -> str:
    call("umount2", b"/tmp", 2)
    return "unmounted"


def chroot() -> str:
    os.chroot(place("granted"))
    return "changed"


def new_user_namespace() -> str:
    call("unshare", 0x10000000)
    return "made"


def new_mount_namespace() -> str:
    call("unshare", 0x00020000)
    return "made"


def clone_into_namespace() -> str:
    pid = system(56, 220, 0x10000000 | signal.SIGCHLD, None, None, None, None)
    if pid == 0:
        os._exit(0)
    return f"made {pid}"


def join_namespace() -> str:
    fd = os.open(f"/proc/{PLACES['pid']}/ns/net", os.O_RDONLY)
    call("setns", fd, 0)
    return "joined"


def become_another_user() -> str:
    os.setuid(12345 if os.getuid() == 0 else 0)
    return str(os.getuid())


def open_memory() -> str:
    return str(os.open("/dev/mem", os.O_RDONLY))


def make_device() -> str:
    os.mknod(place("granted") / "disk", stat.S_IFBLK | 0o600, os.makedev(254, 0))
    return "made"


def open_disk() -> str:
    for name in ("vda", "sda", "nvme0n1", "xvda", "dm-0", "loop0"):
        if Path(f"/dev/{name}").exists():
            return str(os.open(f"/dev/{name}", os.O_RDONLY))
    raise OSError("no disk")


def kernel_keys() -> str:
    key = ctypes.create_string_buffer(b"secret")
    return str(system(248, 217, b"user", b"interlock-escape", key, 6, -3))


def load_bpf() -> str:
    return str(system(321, 280, 0, struct.pack("=IIII", 1, 4, 4, 1) + bytes(100), 116))


def io_uring() -> str:
    return str(system(425, 425, 4, ctypes.create_string_buffer(120)))


def performance_events() -> str:
    return str(system(298, 241, struct.pack("=II", 1, 112) + bytes(104), 0, -1, -1, 0))


def change_core_pattern() -> str:
    path = Path("/proc/sys/kernel/core_pattern")
    path.write_text(path.read_text())  # an attempt that works must do no harm
    return "changed"


def change_a_setting() -> str:
    path = Path("/proc/sys/vm/swappiness")
    path.write_text(path.read_text())
    return "changed"


def sysrq() -> str:
    return str(os.open("/proc/sysrq-trigger", os.O_WRONLY))


def leave_control_group() -> str:
    for found in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        file = Path(found) / "cgroup.procs"
        if file.exists():
            file.write_text(str(os.getpid()))
            return "left"
    raise OSError("no control group")


def release_agent() -> str:
    for found in Path("/sys/fs/cgroup").glob("*/release_agent"):
        found.write_text(found.read_text())
        return "changed"
    raise OSError("none")


def push_into_terminal() -> str:
    for character in b"id\n":
        fcntl.ioctl(0, termios.TIOCSTI, bytes([character]))
    return "pushed"


# ---- the network ----


def tcp() -> str:
    with socket.create_connection(("127.0.0.1", PLACES["tcp"]), timeout=2) as link:
        return f"connected from {link.getsockname()}"


def tcp_ipv6() -> str:
    with socket.create_connection(("::1", PLACES["tcp6"]), timeout=2) as link:
        return f"connected from {link.getsockname()}"


def udp() -> str:
    """Sending into a network of its own is no escape: whoever listens says whether it arrived."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.sendto(b"escaped", ("127.0.0.1", PLACES["udp"]))
    time.sleep(0.1)
    raise OSError("sent")


def raw_socket() -> str:
    return str(socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))


def packet_socket() -> str:
    return str(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))


def host_socket() -> str:
    return str(socket.socket(getattr(socket, "AF_VSOCK", 40), socket.SOCK_STREAM))


def crypto_socket() -> str:
    return str(socket.socket(getattr(socket, "AF_ALG", 38), socket.SOCK_SEQPACKET))


def _unix(address: str) -> str:
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(address)
        return f"connected to {address}"


def unix_socket() -> str:
    return _unix(PLACES["socket"])


def unix_socket_in_run() -> str:
    return _unix(PLACES["run_socket"])


def abstract_socket() -> str:
    return _unix("\0" + PLACES["abstract"])


# ---- limits ----


def fork_bomb() -> str:
    children = []
    try:
        for _ in range(PLACES["processes"] * 4):
            pid = os.fork()
            if pid == 0:
                signal.pause()
            children.append(pid)
    except OSError as error:
        if len(children) <= PLACES["processes"]:
            raise OSError(f"stopped after {len(children)}: {error}") from None
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
    return f"{len(children)} processes"


def fill_memory() -> str:
    held = []
    for _ in range(PLACES["memory_mb"] // 16 * 4):
        held.append(bytearray(os.urandom(1)) * (16 << 20))
    return f"{len(held) * 16} MB"


def fill_tmp() -> str:
    with Path("/tmp/big").open("wb") as file:
        for _ in range(PLACES["memory_mb"] // 16 * 4):
            file.write(bytes(16 << 20))
    return "filled"


def attempted(name: str) -> str:
    attempt: Callable[[], str] = globals()[name]
    try:
        return f"out: {attempt()}"
    except (OSError, ZeroDivisionError, MemoryError, IndexError, ValueError) as error:
        return f"held: {type(error).__name__}: {error}"


def main() -> None:
    """Try each one in a process of its own; a line each: the name, a tab, how it went."""
    PLACES.update(json.loads(sys.argv[2]))
    for name in sys.argv[1].split(","):
        pid = os.fork()
        if pid == 0:
            os.write(1, f"{name}\t{attempted(name)!r}\n".encode())
            os._exit(0)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
