"""Canonical JSON and its hash (RFC 8785): the same value gives the same bytes on every machine."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import rfc8785

from interlock.model.errors import UserError

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
JsonObject: TypeAlias = "dict[str, Json]"
_SAFE_INTEGER = 2**53 - 1
_PLAIN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def canonical_json(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value.

    Raises:
        UserError: the value is no JSON (NaN, an integer above 2**53, a key that is no string).
    """
    try:
        if _is_plain(value):
            return _PLAIN.encode(value).encode()
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError) as error:
        raise UserError(f"not a JSON value: {error}") from error


def _is_plain(value: Any) -> bool:
    """Whether the encoder of the standard library, which is many times faster, gives the canonical bytes.

    It writes numbers with a fraction in another way, and sorts keys by code points instead of UTF-16 units.
    """
    if isinstance(value, str) or value is None:
        return True
    if isinstance(value, int):
        return -_SAFE_INTEGER <= value <= _SAFE_INTEGER
    if isinstance(value, dict):
        return all(isinstance(key, str) and key.isascii() and _is_plain(item) for key, item in value.items())
    return isinstance(value, list | tuple) and all(_is_plain(item) for item in value)


def canonical_sha256(value: Any) -> str:
    """Return the SHA-256 (hex) of the canonical bytes of a JSON value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
