"""What kind of content a body is, and its text. Pure."""

import re
from typing import Literal, TypeAlias

MediaKind: TypeAlias = Literal["empty", "json", "html", "text", "binary"]

_TEXTUAL = re.compile(
    r"text/.*|application/(?:.*\+)?(?:json|xml|yaml|x-yaml|toml|javascript|x-javascript|ecmascript|graphql|sql|x-sh"
    r"|x-www-form-urlencoded|x-ndjson|ndjson|json-seq|jsonlines|problem)|(?:image/svg|model/.*|message/.*)\+xml|message/.*"
)
_JSON = re.compile(r"(?:application|text)/(?:[^;]*\+)?json")
_HTML = re.compile(r"text/html|application/xhtml\+xml")
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([A-Za-z0-9._:-]{1,40})", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([A-Za-z0-9._:-]{1,40})", re.IGNORECASE)
# Codecs of the standard library that are character sets, and nothing else that it calls a codec.
_CHARSETS = re.compile(
    r"utf-?8|us-ascii|ascii|utf-?(?:16|32)(?:-?[lb]e)?|iso-?8859-\d{1,2}|latin-?1|(?:windows-|cp)125\d|shift[_-]jis"
    r"|euc-(?:jp|kr)|gb(?:k|2312|18030)|big5|koi8-[ru]"
)
_SNIFFED_BYTES = 1024


def media_type(content_type: str | None) -> str:
    """The type without its parameters, in lower case; empty if there is none."""
    return (content_type or "").partition(";")[0].strip().lower()


def is_text(content_type: str | None) -> bool:
    """Whether the sender says that the body is text."""
    return _TEXTUAL.fullmatch(media_type(content_type)) is not None


def kind_of_body(content: bytes, content_type: str | None, *, packed: bool) -> MediaKind:
    """What a body is: what its sender says, unless its bytes say otherwise."""
    if not content:
        return "empty"
    if packed or not _reads_as_text(content, content_type):
        return "binary"
    media = media_type(content_type)
    if _JSON.fullmatch(media):
        return "json"
    return "html" if _HTML.fullmatch(media) else "text"


def text_of(content: bytes, content_type: str | None) -> str:
    """The text of a body in the character set that its sender names, else UTF-8; what does not fit is replaced."""
    name = _charset(content, content_type)
    if name in ("utf8", "utf-8") and content.startswith(b"\xef\xbb\xbf"):
        name = "utf-8-sig"
    try:
        return content.decode(name, "replace")
    except LookupError:
        return content.decode("utf-8", "replace")


def shown_text(text: str, *, drop: int, most_bytes: int) -> tuple[str, bool]:
    """The start of a text, at most `most_bytes` in UTF-8, and whether that is all of it.

    Args:
        text: what is known of it.
        drop: characters to leave out at its end.
        most_bytes: how much to show.
    """
    raw = text[: max(0, len(text) - drop)].encode("utf-8", "replace")
    return raw[:most_bytes].decode("utf-8", "ignore"), drop == 0 and len(raw) <= most_bytes


def _reads_as_text(content: bytes, content_type: str | None) -> bool:
    if is_text(content_type):
        wide = _charset(content, content_type).startswith(("utf-16", "utf16", "utf-32", "utf32"))
        return wide or b"\0" not in content
    if media_type(content_type):
        return False
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":  # where a long body was cut
            return False
    return b"\0" not in content


def _charset(content: bytes, content_type: str | None) -> str:
    found = _CHARSET.search(content_type or "")
    name = found[1] if found else ""
    if not found and _HTML.fullmatch(media_type(content_type)):
        meta = _META_CHARSET.search(content[:_SNIFFED_BYTES])
        name = meta[1].decode("ascii") if meta else ""
    return name.lower() if _CHARSETS.fullmatch(name.lower()) else "utf-8"
