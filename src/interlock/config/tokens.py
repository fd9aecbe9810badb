"""The form of an access token: `ilk_<id>_<32 characters>`, the last six of which check the rest.

The check lets a mistyped or cut token be told from a revoked one without asking a database, and lets secret
scanners recognise ours. It proves nothing about who holds it.
"""

import re
import secrets
import zlib

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_CHARS = 10
_RANDOM_CHARS = 26  # 154 bits
_CHECK_CHARS = 6
_FORM = re.compile(r"ilk_([0-9a-z]{10})_([0-9A-Za-z]{26})([0-9A-Za-z]{6})")


def new_token() -> str:
    """A new random token."""
    name = "".join(secrets.choice(_DIGITS[:10] + _DIGITS[36:]) for _ in range(_ID_CHARS))
    body = "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM_CHARS))
    return f"ilk_{name}_{body}{_check(f'ilk_{name}_{body}')}"


def token_id(token: str) -> str | None:
    """The id inside a token, which is no secret; None if the text is no token or its check fails."""
    found = _FORM.fullmatch(token)
    if found is None or _check(token[:-_CHECK_CHARS]) != found[3]:
        return None
    return found[1]


def _check(text: str) -> str:
    """CRC-32 of the text in six base-62 characters."""
    value, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECK_CHARS):
        value, digit = divmod(value, 62)
        digits = _DIGITS[digit] + digits
    return digits
