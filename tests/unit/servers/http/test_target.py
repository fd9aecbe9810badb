"""The parser of URLs: what it takes it writes in one way only, and everything doubtful is refused with a sentence."""

import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.model import UserError
from interlock.servers.http.target import parse_target

GOOD = {
    "http://example.com": "http://example.com/",
    "HTTP://EXAMPLE.com/A?b=C#d": "http://example.com/A?b=C",
    "https://example.com:443/": "https://example.com/",
    "http://example.com:8080?x": "http://example.com:8080/?x",
    "http://192.0.2.1/a//b": "http://192.0.2.1/a//b",
    "http://[2606:2800:0220:0001::]:81/": "http://[2606:2800:220:1::]:81/",
    "https://a_b.example-1.com/~u;v=1,2/%7Efoo?q=[1]&r=@:!$'()*+": (
        "https://a_b.example-1.com/~u;v=1,2/%7Efoo?q=[1]&r=@:!$'()*+"
    ),
    "https://example.com/é?q=日本|{x}": "https://example.com/%C3%A9?q=%E6%97%A5%E6%9C%AC%7C%7Bx%7D",
    "https://xn--mnchen-3ya.de/...": "https://xn--mnchen-3ya.de/...",
    "https://example.com/a/?next=../../b": "https://example.com/a/?next=../../b",
}
BAD = [
    "",
    "example.com",
    "//example.com/",
    "http:example.com",
    "http:/example.com",
    "http:///example.com",
    "http://",
    "http://:80/",
    "http://example.com:/",
    "http://example.com:0/",
    "http://example.com:080/",
    "http://example.com:65536/",
    "http://example.com:99999999999999999999/",
    "http://example.com:8o/",
    "http://example.com:+80/",
    "http://example.com:80:80/",
    "http://example.com:８０/",
    "http://user@example.com/",
    "http://user:pass@example.com/",
    "http://@example.com/",
    "http://example.com\\@evil.test/",
    "http://example.com/\\evil",
    "http://exa mple.com/",
    " http://example.com/",
    "http://example.com/\r\nX: y",
    "http://example.com/\ta",
    "http://exam\nple.com/",
    "http://example.com/\x00",
    "http://example.com/\x7f",
    "http://example.com/\u2028",
    "http://example.com/\u00a0",
    "http://example.com/\u202e",
    "http://example.com/\ud800",
    "http://example.com./",
    "http://.example.com/",
    "http://example..com/",
    "http://-example.com/",
    "http://exam%70le.com/",
    "http://127%2e0.0.1/",
    "http://example.com%00.evil.test/",
    "http://münchen.de/",
    "http://ⓔxample.com/",
    "http://example。com/",
    "http://" + "a" * 64 + ".com/",
    "http://" + "a." * 126 + "abcd/",
    "http://example.com/" + "a" * 5000,
    "http://[::1/",
    "http://::1/",
    "http://[::1]x/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[127.0.0.1]/",
    "http://[v1.x]/",
    "http://1.2.3/",
    "http://1.2.3.4.5/",
    "http://1.2.3.04/",
    "http://1.2.3.0x4/",
    "http://256.1.1.1/",
    "http://example.1/",
    "http://example.0x/",
    "http://example.com/%",
    "http://example.com/%zz",
    "http://example.com/a/../b",
    "http://example.com/a/./b",
    "http://example.com/..",
    "http://example.com/%2e%2e/b",
    "http://example.com/a/.%2E/b",
    "http://example.com/a/..;x/b",
    "http://example.com/a%2f..%2fb",
    "http://example.com/a%5c..%5cb",
    "http://example.com/%252e%252e/b",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "dict://example.com/",
    "ws://example.com/",
    "data:text/plain,x",
    "javascript:alert(1)",
    "jar:http://example.com!/",
    "http+unix://x/",
    "httpx://example.com/",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_is_plain_is_written_in_one_way(text: str) -> None:
    target = parse_target(text)
    assert target.url == GOOD[text]
    assert parse_target(target.url) == target


@pytest.mark.parametrize("text", BAD)
def test_what_two_programs_could_read_differently_is_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_target(text)
    assert caught.value.message.isascii()
    assert caught.value.message.endswith(".")
    assert len(caught.value.message) < 900


PIECES = st.one_of(
    st.sampled_from(
        [*GOOD, *BAD, "@", "\\", "%2e", "//", "[", "]", ":", "#", "?", "127.1", "0x7f", "。", "①", "::1", "."]
    ),
    st.text(max_size=5),
    st.text(alphabet=string.printable, max_size=8),
)


@settings(max_examples=250, deadline=None)
@given(st.lists(PIECES, max_size=6).map("".join))
def test_a_url_is_refused_or_read_as_everyone_reads_it(text: str) -> None:
    try:
        target = parse_target(text)
    except UserError:
        return
    assert target.url.isascii()
    assert parse_target(target.url) == target
    # What was written between the scheme and the next delimiter is the host and port, letter for letter.
    written = re.match(r"https?://([^/?#\\@]*)", text, re.IGNORECASE)
    assert written is not None
    host = f"[{target.host}]" if ":" in target.host else target.host
    assert written[1].lower() in (host, f"{host}:{target.port}") or written[1].startswith("[")
    assert not set(target.path) & set(' \r\n\t\\#"<>')
