"""The allow-list: what each form of a rule lets through, and which rules are no rules."""

from ipaddress import ip_address

import pytest

from interlock.model import ConfigError
from interlock.servers.http.allow import AllowList
from interlock.servers.http.target import parse_target

HOSTS = [
    ("api.example.com", "https://api.example.com/x", True),
    ("api.example.com", "http://API.example.COM/", True),
    ("API.Example.com", "http://api.example.com/", True),
    ("api.example.com", "https://api.example.com:8443/", False),
    ("api.example.com", "http://api.example.com:443/", False),
    ("api.example.com", "https://example.com/", False),
    ("api.example.com", "https://x.api.example.com/", False),
    ("api.example.com", "https://evil-api.example.com/", False),
    ("api.example.com", "https://api.example.com.evil.test/", False),
    ("api.example.com:8443", "https://api.example.com:8443/", True),
    ("api.example.com:8443", "https://api.example.com/", False),
    ("*.example.com", "https://a.example.com/", True),
    ("*.example.com", "https://a.b.example.com/", True),
    ("*.example.com", "https://example.com/", False),
    ("*.example.com", "https://evilexample.com/", False),
    ("*.example.com:81", "http://a.example.com:81/", True),
    ("*", "https://anything.test/", True),
    ("*", "https://anything.test:8080/", False),
    ("*", "http://localhost/", False),
    ("*", "http://8.8.8.8/", False),
    ("*.localhost", "http://localhost/", False),
    ("localhost:8080", "http://localhost:8080/", True),
    ("localhost:8080", "http://localhost/", False),
    ("localhost", "http://127.0.0.1/", False),
    ("127.0.0.1:8080", "http://127.0.0.1:8080/", True),
    ("127.0.0.1:8080", "http://127.0.0.2:8080/", False),
    ("10.0.0.0/8", "http://10.1.2.3/", True),
    ("10.0.0.0/8", "http://11.1.2.3/", False),
    ("10.0.0.0/8:9000", "http://10.1.2.3:9000/", True),
    ("10.0.0.0/8:9000", "http://10.1.2.3/", False),
    ("::1", "http://[::1]/", True),
    ("[::1]:80", "http://[0:0::1]/", True),
    ("[fd00::/8]:81", "http://[fd12::1]:81/", True),
    ("fd00::/8", "http://[fd12::1]/", True),
    ("0:0::1", "http://[::2]/", False),
]
ADDRESSES = [
    # rules, private, host, address, allowed
    (["a.test"], False, "a.test", "93.184.216.34", True),
    (["a.test"], False, "a.test", "10.0.0.1", False),
    (["a.test"], True, "a.test", "10.0.0.1", True),
    (["a.test"], True, "a.test", "127.0.0.1", True),
    (["a.test"], True, "a.test", "169.254.1.1", False),
    (["a.test"], True, "a.test", "169.254.169.254", False),
    (["a.test"], True, "a.test", "fd00:ec2::254", False),
    (["a.test"], True, "a.test", "100.100.100.200", False),
    (["a.test"], True, "a.test", "::ffff:10.0.0.1", False),
    (["a.test"], True, "a.test", "0.0.0.0", False),
    (["a.test"], True, "a.test", "224.0.0.1", False),
    (["a.test"], True, "a.test", "240.0.0.1", False),
    (["a.test", "10.0.0.0/8"], False, "a.test", "10.0.0.1", True),
    (["a.test", "10.0.0.0/8:81"], False, "a.test", "10.0.0.1", False),
    (["a.test", "10.0.0.0/8"], False, "a.test", "192.168.0.1", False),
    (["a.test", "169.254.0.0/16"], False, "a.test", "169.254.1.1", True),
    (["a.test", "169.254.0.0/16"], True, "a.test", "169.254.169.254", False),
    (["localhost"], False, "localhost", "127.0.0.1", True),
    (["localhost"], False, "localhost", "::1", True),
    (["localhost"], False, "localhost", "10.0.0.1", False),
    (["localhost", "a.test"], False, "a.test", "127.0.0.1", False),
]
BAD = [
    "",
    "https://api.example.com",
    "api.example.com/",
    "api.example.com/path",
    "user@api.example.com",
    "api.*.com",
    "*example.com",
    "*.",
    "**",
    "*.*",
    "api.example.com.",
    "api.example.com:0",
    "api.example.com:",
    "api.example.com:http",
    "münchen.de",
    "127.1",
    "0x7f000001",
    "*.127.0.0.1",
    "10.0.0.1/8",
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/33",
    "[::1",
    "[::1]x",
    "[::1]:0",
    "fe80::1%eth0",
    "169.254.169.254",
    "100.100.100.200:80",
    "fd00:ec2::254",
    "0.0.0.0",
    "::ffff:127.0.0.1",
    "a b",
]


@pytest.mark.parametrize(("rule", "url", "allowed"), HOSTS)
def test_hosts(rule: str, url: str, allowed: bool) -> None:
    refusal = AllowList.parse([rule]).host_refusal(parse_target(url))
    assert (refusal is None) is allowed
    assert refusal is None or "allow-list" in refusal


@pytest.mark.parametrize(("rules", "private", "host", "address", "allowed"), ADDRESSES)
def test_addresses(rules: list[str], private: bool, host: str, address: str, allowed: bool) -> None:
    found = AllowList.parse(rules, private=private)
    assert (found.address_refusal(parse_target(f"http://{host}/"), ip_address(address)) is None) is allowed


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_rule_stops_the_start(text: str) -> None:
    with pytest.raises(ConfigError, match="--allow"):
        AllowList.parse(["fine.example", text])
