"""Puts limits on itself and becomes a program: `restrict.py [OPTION…] -- COMMAND…`.

A script of its own with a few modules of the standard library: it is run by path and without site packages, and
every import would cost the start of each program. Inside of bubblewrap it adds what bubblewrap has not (limits, the
filter of system calls); without it, it adds Landlock. Options:

    --tmpdir FOLDER     what TMPDIR says
    --filter HEX        a BPF program, compressed
    --read, --write, --device PATH    what Landlock allows; without any of these it guards no files
    --except PATH       taken out of the path before it
    --no-tcp            Landlock refuses TCP
    --scoped            signals and abstract sockets reach only what is confined along with it
    --data-bytes N      of one process
    --processes N       of this user; with --own-count they are counted in a user namespace of its own
"""

import ctypes
import os
import resource
import stat
import struct
import sys
import zlib
from collections.abc import Iterator

USAGE, CANNOT_RUN, CANNOT_CONFINE = 2, 126, 124

_FLAGS = ("--no-tcp", "--scoped", "--own-count")
_RULES = ("--read", "--write", "--device")
_VALUES = ("--tmpdir", "--filter", "--data-bytes", "--processes", "--except", *_RULES)

_PR_CAPBSET_DROP, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 24, 22, 38, 47
_SECCOMP_FILTER, _AMBIENT_CLEAR_ALL = 2, 4
_CAPABILITY_VERSION, _CAPABILITIES = 0x20080522, 64
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_HIGHEST_FD = 1 << 20
_SIGPIPE, _SIGXFSZ = 13, 25

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_BLOCK, _TRUNCATE, _IOCTL_DEV = 1 << 6, 1 << 11, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_EVERYTHING = (1 << 16) - 1
_RIGHTS = {
    "--read": _EXECUTE | _READ_FILE | _READ_DIR,
    "--write": _EVERYTHING & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV),
    "--device": _READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV,
}
_BITS_BY_ABI = (0, 13, 14, 15, 15, 16)
_TCP_ABI, _SCOPED_ABI = 4, 6
_BOTH = 3

_libc = ctypes.CDLL(None, use_errno=True)


class Order:
    """What the options say.

    Attributes:
        values: by option, the last one counts.
        flags: options without a value.
        rules: `(option, path, what is taken out of it)`.
    """

    def __init__(self, options: list[str]) -> None:
        self.values: dict[str, str] = {}
        self.flags: set[str] = set()
        self.rules: list[tuple[str, str, set[str]]] = []
        words = iter(options)
        for word in words:
            if word in _FLAGS:
                self.flags.add(word)
            elif word not in _VALUES:
                raise ValueError(f"no such option: {word}")
            else:
                self._take(word, next(words))

    def _take(self, option: str, value: str) -> None:
        if option in _RULES:
            self.rules.append((option, value, set()))
        elif option == "--except":
            self.rules[-1][2].add(value)
        else:
            self.values[option] = value


def checked(result: int, what: str) -> int:
    """The result of a system call.

    Raises:
        OSError: it failed.
    """
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def limit(order: Order) -> None:
    """Set the limits of memory and processes, and allow no core dumps."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if "--data-bytes" in order.values:
        _lower(resource.RLIMIT_DATA, int(order.values["--data-bytes"]))
    if "--processes" in order.values:
        # Where the kernel counts all processes of the user together, those that are there already come on top.
        others = 0 if "--own-count" in order.flags else sum(1 for _ in _own_threads())
        _lower(resource.RLIMIT_NPROC, others + int(order.values["--processes"]))


def _lower(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _own_threads() -> Iterator[str]:
    for process in os.scandir("/proc"):
        try:
            if process.name.isdigit() and process.stat().st_uid == os.getuid():
                yield from (thread.name for thread in os.scandir(f"{process.path}/task"))
        except OSError:
            continue


def drop_privileges() -> None:
    """Give up every capability for good, root's too."""
    checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    for capability in range(_CAPABILITIES):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    _libc.prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
    checked(_libc.capset(struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)), "capabilities")


def landlock(order: Order) -> None:
    """Confine this process and all that it starts to what the rules name.

    Raises:
        OSError: the kernel has no Landlock though files are to be guarded, or it refuses.
    """
    abi = max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)))
    handled = (1 << _BITS_BY_ABI[min(abi, len(_BITS_BY_ABI) - 1)]) - 1 if order.rules else 0
    net = _BOTH if abi >= _TCP_ABI and "--no-tcp" in order.flags else 0
    scope = _BOTH if abi >= _SCOPED_ABI and "--scoped" in order.flags else 0
    if not (order.rules or net or scope):
        return
    size = 24 if abi >= _SCOPED_ABI else 16 if abi >= _TCP_ABI else 8
    attributes = struct.pack("=QQQ", handled, net, scope)[:size]
    ruleset = checked(_libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0), "Landlock")
    for option, path, out in order.rules:
        for place, rights in _parts(path, _RIGHTS[option], out):
            _allow(ruleset, place, rights & handled)
    checked(_libc.syscall(_RESTRICT_SELF, ruleset, 0), "Landlock")
    os.close(ruleset)


def _parts(path: str, rights: int, out: set[str]) -> Iterator[tuple[str, int]]:
    """A place without what is taken out of it: no rule can be taken back below, so each part gets one of its own."""
    if path in out:
        return
    if not any(other.startswith(f"{path.rstrip('/')}/") for other in out):
        yield path, rights
        return
    yield path, rights & _READ_DIR
    try:
        children = [child.path for child in os.scandir(path) if not child.is_symlink()]
    except OSError:
        return
    for child in children:
        yield from _parts(child, rights, out)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what can't be found can't be granted
    try:
        rights &= _EVERYTHING if stat.S_ISDIR(os.fstat(fd).st_mode) else _OF_FILES
        if rights:
            rule = struct.pack("=Qi", rights, fd)
            checked(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0), f"Landlock, {path}")
    finally:
        os.close(fd)


def load_filter(program: bytes) -> None:
    """Have the kernel check each system call from now on."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))

    code = Program(len(program) // 8, program)
    checked(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, ctypes.byref(code), 0, 0), "the filter of system calls")


def restrict(order: Order) -> None:
    """Do all that the options say, in an order that works.

    Raises:
        OSError: the kernel refuses; then nothing may be started.
    """
    os.closerange(3, _HIGHEST_FD)
    if os.getsid(0) != os.getpid():
        os.setsid()
    limit(order)
    drop_privileges()
    landlock(order)
    if "--filter" in order.values:
        load_filter(zlib.decompress(bytes.fromhex(order.values["--filter"])))


def main(argv: list[str]) -> int:
    """Become the command; it only returns when that fails.

    Args:
        argv: `[*options, "--", command, *args]`, the command with its full path.
    """
    if "--" not in argv[:-1]:
        sys.stderr.write("usage: restrict.py [OPTION…] -- COMMAND [ARGUMENT…]\n")
        return USAGE
    middle = argv.index("--")
    command = argv[middle + 1 :]
    try:
        order = Order(argv[:middle])
        restrict(order)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"can't confine {command[0]}: {error}\n")
        return CANNOT_CONFINE
    if "--tmpdir" in order.values:
        os.environ["TMPDIR"] = order.values["--tmpdir"]
    # Python ignores these, and what is ignored stays so in the next program.
    for number in (_SIGPIPE, _SIGXFSZ):
        _libc.signal(number, None)
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.stderr.write(f"can't run {command[0]}: {error.strerror}\n")
    return CANNOT_RUN


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
