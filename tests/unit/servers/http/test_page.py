"""The text of a page: what a person would see, in time that grows with its length only."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.servers.http.page import page_text

PAGES = {
    "": "",
    "plain &amp; simple": "plain & simple",
    "<p>one<p>two": "one\ntwo",
    "<h1>A</h1>\n  <p>b\n   c&nbsp;d</p>": "A\nb c d",
    "a<br>b<BR/>c": "a\nb\nc",
    "<ul><li>x</li><li>y</li></ul>": "x\ny",
    "<table><tr><td>1</td><td>2</td></tr></table>": "1\n2",
    "a<!-- no <b>no</b> -->b": "ab",
    "<!DOCTYPE html><?x y?>a": "a",
    "<script>if (a < b) { '</p>' }</script>b": "b",
    "<SCRIPT>x</SCRIPT >b": "b",
    "<style>p{}</style>a": "a",
    "<p title='a > b'>c</p>": "c",
    '<p title="it\'s > x">c</p>': "c",
    "<p>don't > do</p>": "don't > do",
    "1 < 2 and 3 > 2": "1 < 2 and 3 > 2",
    "a<div hidden>b<div>c</div>d</div>e": "a\ne",
    "a<span style='DISPLAY : none'>b</span>c": "ac",
    "a<i aria-hidden='true'>b</i>c": "ac",
    "a<svg><title>b</title></svg><template><p>c</template>d": "ad",
    "<a href='https://x.test/?a=1&amp;b=2'>go</a>": "go (https://x.test/?a=1&b=2)",
    "<a href = \"/y\">go</a> <a href='#top'>up</a> <a href='javascript:x()'>run</a> <a>none</a>": "go (/y) up run none",
    "<img src=x alt='A cat'>": "[A cat]",
    "<input hidden>seen": "seen",
    "a<script>never closed": "a",
    "a<!-- never closed": "a",
    "a<p title='never closed": "a",
    "a<": "a<",
    "İ<p>X</p>": "i̇\nx",
}


@pytest.mark.parametrize("html", PAGES)
def test_a_page_reads_as_it_looks(html: str) -> None:
    assert page_text(html) == PAGES[html]


SLOW = [
    "<",
    "<!--",
    "<a ",
    "<a b='",
    '<a b="',
    "<a =",
    "<script>",
    "<script ",
    "</",
    "<!",
    "&",
    "&#",
    "<p hidden>",
    "<a>",
    "</a>",
    "= '",
    "\u00a0",
    "<a href=",
    "<svg><svg>",
    "x=\"'",
]


@pytest.mark.parametrize("piece", SLOW)
def test_no_page_is_slow(piece: str) -> None:
    before = time.process_time()
    for page in (piece * (250_000 // len(piece)), f"<{piece * (250_000 // len(piece))}>"):
        page_text(page)
    assert time.process_time() - before < 2


@given(st.lists(st.sampled_from([*PAGES, *SLOW, ">", "'", '"']) | st.text(max_size=4), max_size=12).map("".join))
def test_any_text_is_a_page(html: str) -> None:
    text = page_text(html)
    assert not text or all(line and line == line.strip() for line in text.split("\n"))
