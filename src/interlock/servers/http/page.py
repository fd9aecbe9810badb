"""The readable text of an HTML page: what a person would see, links with where they lead. Pure.

Its work grows with the length of the page only, also for pages that are made to be slow: each piece is looked at
once, and what is never closed ends the reading.
"""

import re
from collections.abc import Iterator
from html import unescape

from interlock.servers.http.limits import LINK_CHARACTERS

_TAG_NAME = re.compile(r"[a-zA-Z][^\s/>]{0,40}")
_TAG_END = re.compile(r">|=\s*[\"']")
_ATTRIBUTE = re.compile(r"([^\s\"'>/=]{1,60})(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+)))?")
_BLANK = re.compile(r"[ \t\r\n\f\v\u00a0\u200b]+")
_ATTRIBUTES_CHARACTERS = 4096
_DEPTH = 10_000

_RAW = frozenset(
    {"script", "style", "iframe", "noembed", "noframes", "xmp"}
)  # what is inside is no HTML and nobody sees it
_UNSEEN = frozenset({"template", "svg", "object", "select", "datalist", "canvas", "audio", "video", "math"})
_BLOCKS = frozenset(
    {
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "br",
        "dd",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "head",
        "header",
        "hr",
        "html",
        "li",
        "main",
        "nav",
        "ol",
        "option",
        "p",
        "pre",
        "section",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "title",
        "tr",
        "ul",
    }
)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)


def page_text(html: str) -> str:
    """The text of a page: one line for each block, no scripts, styles or hidden elements."""
    page = _Page()
    for text, name, inside in _pieces(html):
        if text is not None:
            page.text(text)
        elif name.startswith("/"):
            page.closed(name[1:])
        else:
            page.opened(name, inside)
    return page.result()


class _Page:
    """The text so far, and the element that hides what comes at the moment."""

    def __init__(self) -> None:
        self._lines: list[list[str]] = [[]]
        self._hidden_by = ""
        self._depth = 0
        self._links: list[str] = []

    def text(self, text: str) -> None:
        if not self._hidden_by:
            self._lines[-1].append(unescape(text))

    def opened(self, name: str, inside: str) -> None:
        if self._hidden_by:
            self._depth += name == self._hidden_by
            return
        attributes = _attributes(inside)
        if name in _BLOCKS:
            self._lines.append([])
        if name not in _VOID and (name in _UNSEEN or _is_hidden(attributes)):
            self._hidden_by, self._depth = name, 1
            return
        if name == "a" and len(self._links) < _DEPTH:
            self._links.append(attributes.get("href", ""))
        if name == "img" and attributes.get("alt"):
            self._lines[-1].append(f"[{attributes['alt']}]")

    def closed(self, name: str) -> None:
        if self._hidden_by:
            self._depth -= name == self._hidden_by
            self._hidden_by = self._hidden_by if self._depth else ""
            return
        if name in _BLOCKS:
            self._lines.append([])
        if name == "a" and self._links:
            link = _BLANK.sub(" ", self._links.pop()).strip()
            if link and not link.startswith(("#", "javascript:", "data:")) and len(link) <= LINK_CHARACTERS:
                self._lines[-1].append(f" ({link})")

    def result(self) -> str:
        lines = (_BLANK.sub(" ", "".join(parts)).strip() for parts in self._lines)
        return "\n".join(line for line in lines if line)


def _pieces(html: str) -> Iterator[tuple[str | None, str, str]]:
    """The page as `(text, "", "")` and `(None, name, what stands in the tag)`, `/name` for a closing tag."""
    low = html.lower()
    if len(low) != len(html):  # a few letters have a longer small form
        html = low
    at = 0
    while at < len(html):
        start = html.find("<", at)
        if start < 0:
            yield html[at:], "", ""
            return
        if start > at:
            yield html[at:start], "", ""
        end, name, inside = _tag(html, start)
        if end < 0:
            return
        if name:
            yield None, name, inside
        elif end == start + 1:
            yield "<", "", ""
        at = end
        if name in _RAW:
            at = low.find(f"</{name}", end)
            if at < 0:
                return


def _tag(html: str, start: int) -> tuple[int, str, str]:
    """Where what begins with `<` ends, its name, and what stands in it; -1 if it never ends, no name for comments."""
    if html.startswith("<!--", start):
        end = html.find("-->", start + 4)
        return (end if end < 0 else end + 3), "", ""
    closing = html.startswith("/", start + 1)
    found = _TAG_NAME.match(html, start + 1 + closing)
    if found is None:
        if html[start + 1 : start + 2] not in ("!", "?", "/"):
            return start + 1, "", ""  # a mere less-than sign
        end = html.find(">", start)
        return (end if end < 0 else end + 1), "", ""
    end = _tag_end(html, found.end())
    name = found[0].lower()
    return end, f"/{name}" if closing else name, html[found.end() : end - 1][:_ATTRIBUTES_CHARACTERS]


def _tag_end(html: str, at: int) -> int:
    """The place behind a tag, whose quoted values may hold `>`."""
    while (found := _TAG_END.search(html, at)) is not None:
        if found[0] == ">":
            return found.end()
        at = html.find(found[0][-1], found.end()) + 1
        if not at:
            return -1
    return -1


def _attributes(inside: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(inside):
        value = match[2] or match[3] or match[4] or ""
        found.setdefault(match[1].lower(), unescape(value))
    return found


def _is_hidden(attributes: dict[str, str]) -> bool:
    style = "".join(attributes.get("style", "").lower().split())
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or "display:none" in style
        or "visibility:hidden" in style
    )
