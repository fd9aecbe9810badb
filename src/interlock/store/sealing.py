"""Encryption at rest: AES-256-GCM with keys that live outside the database.

A sealed value is `1 byte version | 4 bytes key id | 12 bytes nonce | ciphertext with tag`. It is bound to its place
(table, column and row): moved anywhere else, it does not open. The first key seals; all of them open, so keys can be
rotated.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Sequence
from typing import Any

from interlock.model import Bug, ConfigError

_VERSION = b"\x01"
_COMPRESS_FROM_BYTES = 512


class Sealer:
    """Seals and opens JSON values and bytes."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys` are 32 bytes each, the newest first."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not keys:
            raise Bug("a sealer needs a key")
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self._current = key_id(keys[0])

    def seal_bytes(self, value: bytes, place: str) -> bytes:
        """Encrypt bytes for a place such as `call.args:<id>`; larger values are compressed first."""
        flag = b"\x00"
        if len(value) >= _COMPRESS_FROM_BYTES:
            flag, value = b"\x01", zlib.compress(value, 1)
        nonce = os.urandom(12)
        sealed = self._ciphers[self._current].encrypt(nonce, flag + value, _VERSION + place.encode())
        return _VERSION + self._current + nonce + sealed

    def open_bytes(self, sealed: bytes, place: str) -> bytes:
        """Decrypt what `seal_bytes` made.

        Raises:
            ConfigError: it was sealed with a key that is not here, was altered, or was moved from another place.
        """
        from cryptography.exceptions import InvalidTag

        sealed = bytes(sealed)
        cipher = self._ciphers.get(sealed[1:5])
        if sealed[:1] != _VERSION or cipher is None:
            raise ConfigError(
                "the database was written with another data key", hint="restore keys/data.key of the first start"
            )
        try:
            plain = cipher.decrypt(sealed[5:17], sealed[17:], _VERSION + place.encode())
        except InvalidTag as error:
            raise ConfigError(
                "a sealed value in the database was altered or moved", hint="interlock audit verify"
            ) from error
        return zlib.decompress(plain[1:]) if plain[:1] == b"\x01" else plain[1:]

    def seal(self, value: Any, place: str) -> bytes:
        """Encrypt a JSON value for a place."""
        return self.seal_bytes(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(), place)

    def open(self, sealed: bytes | None, place: str) -> Any:
        """Decrypt a JSON value; None stays None."""
        return None if sealed is None else json.loads(self.open_bytes(sealed, place))


def key_id(key: bytes) -> bytes:
    """Four bytes that name a key without giving it away."""
    return hashlib.sha256(b"interlock key id" + key).digest()[:4]
