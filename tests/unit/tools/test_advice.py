import pytest

from interlock.sandbox import Confinement
from interlock.tools.advice import advice

HELD = Confinement(memory_mb=256, processes=64)


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("Error: getaddrinfo EAI_AGAIN api.example.com", "tools.git.sandbox.network: true would grant it"),
        ("Error: getaddrinfo ENOTFOUND api.example.com", "network: true"),
        ("connect ECONNREFUSED 127.0.0.1:6379", "network: true"),
        ("OSError: [Errno 101] Network is unreachable", "network: true"),
        ("socket.gaierror: [Errno -3] Temporary failure in name resolution", "network: true"),
        ("ConnectionRefusedError: [Errno 111] Connection refused", "network: true"),
        ("Error: EROFS: read-only file system, open '/x'", "tools.git.sandbox.write: [FOLDER]"),
        ("PermissionError: [Errno 13] Permission denied: '/x'", "sandbox.write"),
        ("Error: EACCES: permission denied, mkdir '/x'", "sandbox.write"),
        ("python: can't open file '/home/me/x.py': [Errno 2] No such file or directory", "sandbox.read"),
        ("Error: Cannot find module '/home/me/index.js'", "sandbox.read"),
        ("MemoryError", "256 MB"),
        ("FATAL ERROR: JavaScript heap out of memory", "memory_mb"),
        ("RuntimeError: can't start new thread", "64 processes"),
    ],
)
def test_last_words_name_the_grant_that_would_help(line: str, option: str) -> None:
    assert option in advice("git", ["starting", line], HELD)


def test_what_is_granted_or_not_confined_is_not_to_blame() -> None:
    refused = ["ConnectionRefusedError: [Errno 111] Connection refused"]
    assert advice("git", refused, None) == ""
    assert advice("git", refused, Confinement(network=True)) == ""
    assert advice("git", ["ValueError: bad flag"], HELD) == ""
    assert advice("git", [], HELD) == ""
