"""The filter of system calls: what no tool server needs, and what the other walls leave open.

It is compiled here to classic BPF and loaded by the script that becomes the program (`restrict.py`). It refuses
new namespaces and mounts, kernel keys, io_uring (which would go around the filter), set-user-id bits, pushing
characters into a terminal, and the kinds of sockets that no network is needed for. Under Landlock it also refuses
what Landlock does not know: sockets, and changes of modes, owners and attributes.
"""

import errno
import platform
import stat
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_X32 = 0x40000000

_NEW_NAMESPACE = 0x7E020000
_NEW_TIME = 0x80
_O_CREAT = 0o100
_SET_ID = stat.S_ISUID | stat.S_ISGID
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16


@dataclass(frozen=True)
class Machine:
    """One processor architecture: the kernel's name of it, and its system calls by name."""

    audit: int
    calls: Mapping[str, int]
    x32: bool = False


@dataclass(frozen=True)
class _If:
    """A condition on one argument (its lower 32 bits): `equal`, `not` equal to, or `any` bit of `value`."""

    argument: int
    test: str
    value: int


@dataclass(frozen=True)
class _Refuse:
    """System calls that fail with an error when all conditions hold."""

    calls: str
    error: int = errno.EPERM
    when: tuple[_If, ...] = ()


# Numbers from the kernel's tables: name, x86_64, aarch64; "-" where there is none.
_TABLE = """
mount 165 40  umount2 166 39  pivot_root 155 41  chroot 161 51  unshare 272 97  setns 308 268  clone 56 220
clone3 435 435  keyctl 250 219  add_key 248 217  request_key 249 218  bpf 321 280  perf_event_open 298 241
userfaultfd 323 282  kexec_load 246 104  kexec_file_load 320 294  init_module 175 105  finit_module 313 273
delete_module 176 106  open_by_handle_at 304 265  swapon 167 224  swapoff 168 225  reboot 169 142  syslog 103 116
acct 163 89  io_uring_setup 425 425  io_uring_enter 426 426  io_uring_register 427 427  fsopen 430 430
fsconfig 431 431  fsmount 432 432  move_mount 429 429  open_tree 428 428  fspick 433 433  mount_setattr 442 442
open_tree_attr 467 467  quotactl 179 60  quotactl_fd 443 443  pidfd_getfd 438 438  ioctl 16 29  socket 41 198
socketpair 53 199  chmod 90 -  fchmod 91 52  fchmodat 268 53  fchmodat2 452 452  chown 92 -  fchown 93 55
lchown 94 -  fchownat 260 54  creat 85 -  open 2 -  openat 257 56  openat2 437 437  mknod 133 -  mknodat 259 33
setxattr 188 5  lsetxattr 189 6  fsetxattr 190 7  removexattr 197 14  lremovexattr 198 15  fremovexattr 199 16
setxattrat 463 463  removexattrat 466 466  truncate 76 45  prlimit64 302 261
"""


def _machines() -> dict[str, Machine]:
    words = _TABLE.split()
    rows = list(zip(words[::3], words[1::3], words[2::3], strict=True))
    intel = {name: int(number) for name, number, _ in rows if number != "-"}
    arm = {name: int(number) for name, _, number in rows if number != "-"}
    return {"x86_64": Machine(0xC000003E, intel, x32=True), "aarch64": Machine(0xC00000B7, arm)}


_MACHINES = _machines()

_ALWAYS = (
    _Refuse("mount umount2 pivot_root chroot setns fsopen fsconfig fsmount move_mount open_tree fspick mount_setattr"),
    _Refuse("open_tree_attr quotactl quotactl_fd swapon swapoff reboot acct syslog kexec_load kexec_file_load"),
    _Refuse("init_module finit_module delete_module open_by_handle_at pidfd_getfd"),
    _Refuse("keyctl add_key request_key bpf perf_event_open userfaultfd"),
    # Programs take these for an older kernel, and go another way.
    _Refuse("io_uring_setup io_uring_enter io_uring_register clone3 openat2", errno.ENOSYS),
    _Refuse("clone", when=(_If(0, "any", _NEW_NAMESPACE),)),
    _Refuse("unshare", when=(_If(0, "any", _NEW_NAMESPACE | _NEW_TIME),)),
    _Refuse("ioctl", when=(_If(1, "equal", _TIOCSTI),)),
    _Refuse("ioctl", when=(_If(1, "equal", _TIOCLINUX),)),
    _Refuse("chmod fchmod creat mknod", when=(_If(1, "any", _SET_ID),)),
    _Refuse("fchmodat fchmodat2 mknodat", when=(_If(2, "any", _SET_ID),)),
    _Refuse("open", when=(_If(1, "any", _O_CREAT), _If(2, "any", _SET_ID))),
    _Refuse("openat", when=(_If(2, "any", _O_CREAT), _If(3, "any", _SET_ID))),
    _Refuse("socketpair", errno.EAFNOSUPPORT, (_If(0, "not", _UNIX),)),
)
_NETWORK = (_UNIX, _INET, _INET6, _NETLINK)
_BY_PATH = """
chmod fchmodat fchmodat2 chown lchown fchownat setxattr lsetxattr setxattrat removexattr lremovexattr removexattrat
"""


def supported() -> bool:
    """Whether there is a filter for this machine's processor."""
    return platform.machine() in _MACHINES


def base_filter() -> bytes:
    """The filter beside bubblewrap: the program of BPF, eight bytes an instruction; empty for an unknown processor."""
    families = tuple(_If(0, "not", family) for family in _NETWORK)
    return _compiled((*_ALWAYS, _Refuse("socket", errno.EAFNOSUPPORT, families)))


def landlock_filter(*, network: bool, unix: bool, truncate: bool, modes: bool, root: bool) -> bytes:
    """The filter beside Landlock, which closes what Landlock leaves open.

    Args:
        network: whether sockets of the network are allowed.
        unix: whether sockets with a path are: Landlock can't tell a granted one from any other.
        truncate: whether Landlock guards truncation on this kernel.
        modes: whether modes and owners may be changed, anywhere.
        root: whether it is root, who owns the system's files and could change their modes through a reading handle.
    """
    allowed = [*([_UNIX] if unix else []), _NETLINK, *([_INET, _INET6] if network else [])]
    refusals = [
        _Refuse("socket", errno.ENETUNREACH, tuple(_If(0, "not", family) for family in (*allowed, _UNIX))),
        *([] if unix else [_Refuse("socket", errno.EACCES, (_If(0, "equal", _UNIX),))]),
        _Refuse("socket", errno.EACCES, (_If(0, "equal", _NETLINK), _If(2, "not", 0))),  # 0: the routing table
        _Refuse("prlimit64", when=(_If(0, "not", 0),)),
        *([] if modes else [_Refuse(_BY_PATH)]),
        *([_Refuse("fchmod fchown fsetxattr fremovexattr")] if root and not modes else []),
        *([] if truncate else [_Refuse("truncate")]),
    ]
    return _compiled((*refusals, *_ALWAYS))


def _compiled(refusals: Iterable[_Refuse]) -> bytes:
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return b""
    code = [_load(_ARCH_AT), _jump(_EQUAL, machine.audit, 1, 0), _refused(errno.ENOSYS), _load(_NUMBER_AT)]
    if machine.x32:
        code += [_jump(_AT_LEAST, _X32, 0, 1), _refused(errno.ENOSYS)]
    for refusal in refusals:
        for name in refusal.calls.split():
            if name in machine.calls:
                code += _rule(machine.calls[name], refusal)
    code.append(_instruction(_RETURN, _ALLOW))
    return b"".join(code)


def _rule(number: int, refusal: _Refuse) -> list[bytes]:
    """If the call has this number and all conditions hold, refuse; else go on behind it with the number loaded."""
    tail = [_refused(refusal.error)]
    if not refusal.when:
        return [_jump(_EQUAL, number, 0, 1), *tail]
    tail.append(_load(_NUMBER_AT))
    for condition in reversed(refusal.when):
        skip = len(tail) - 1  # to the last instruction, which loads the number again
        kind = _ANY_BIT if condition.test == "any" else _EQUAL
        hit, miss = (skip, 0) if condition.test == "not" else (0, skip)
        tail = [_load(_ARGUMENTS_AT + 8 * condition.argument), _jump(kind, condition.value, hit, miss), *tail]
    return [_jump(_EQUAL, number, 0, len(tail)), *tail]


def _instruction(code: int, value: int, hit: int = 0, miss: int = 0) -> bytes:
    return struct.pack("=HBBI", code, hit, miss, value)


def _load(offset: int) -> bytes:
    return _instruction(_LOAD, offset)


def _jump(code: int, value: int, hit: int, miss: int) -> bytes:
    return _instruction(code, value, hit, miss)


def _refused(error: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | error)
