"""Canonical JSON and its hash (RFC 8785): the same value gives the same bytes on every machine."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import rfc8785

from interlock.model.errors import UserError

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
JsonObject: TypeAlias = "dict[str, Json]"


def canonical_json(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value.

    Raises:
        UserError: the value is no JSON (NaN, an integer above 2**53, a key that is no string).
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError) as error:
        raise UserError(f"not a JSON value: {error}") from error


def canonical_sha256(value: Any) -> str:
    """Return the SHA-256 (hex) of the canonical bytes of a JSON value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
