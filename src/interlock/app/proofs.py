"""How a delivery proves that whoever sent it knows the trigger's secret. Pure; nothing here says what the secret is."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from interlock.config import Secrets, TriggerConfig
from interlock.model import ConfigError

MIN_SECRET_BYTES = 16
MAX_SIGNATURES = 16
STANDARD = "webhook-id", "webhook-timestamp", "webhook-signature"
STANDARD_PREFIX = "whsec_"
_ID = re.compile(r"[!-~]{1,256}")
_SIGNED_ID = re.compile(r"[!-,\-/-~]{1,256}")  # no dot, which could be moved between what is signed together
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class Fault(StrEnum):
    """Why a delivery is not let in; for the operator, never for whoever sent it."""

    UNKNOWN = "no such trigger"
    NO_SECRET = "the secret of the trigger can't be used"
    MISSING = "a header is missing or malformed"
    WRONG = "the signature is not the one of the secret"
    STALE = "the timestamp is too far from now"


@dataclass(frozen=True)
class Proof:
    """A delivery that is let in, and the name that it carries, if it has one."""

    delivery_id: str | None


@dataclass(frozen=True)
class Sent:
    """A request as it came: headers by small name, several of one name joined, and the bytes of the body."""

    headers: Mapping[str, str]
    body: bytes


def key_of(config: TriggerConfig, secrets: Secrets) -> bytes:
    """What a trigger's deliveries are proven with.

    Raises:
        ConfigError: there is no secret, or it can't be one.
    """
    text = secrets.value_of(config.secret)
    hint = f"put a longer one at {config.secret}, such as the output of: openssl rand -base64 32"
    key = text.encode()
    if config.signature == "standard-webhooks":
        try:
            key = base64.b64decode(text.removeprefix(STANDARD_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError(
                f"{config.secret} is no secret of Standard Webhooks: expected base64", hint=hint
            ) from None
    if len(key) < MIN_SECRET_BYTES:
        raise ConfigError(f"{config.secret} is shorter than {MIN_SECRET_BYTES} bytes", hint=hint)
    return key


def check_proof(config: TriggerConfig, key: bytes, sent: Sent, now_s: float) -> Proof | Fault:
    """Whether a request was made with the key, and lately if it says when; signatures are compared in constant time."""
    named = _names(config)
    values = [sent.headers.get(name.lower()) if name is not None else "" for name in named]
    delivery_id, timestamp, given = values
    if delivery_id is None or timestamp is None or given is None:
        return Fault.MISSING
    if named[0] is not None and not (_SIGNED_ID if config.is_timed else _ID).fullmatch(delivery_id):
        return Fault.MISSING
    if named[1] is not None and not _TIMESTAMP.fullmatch(timestamp):
        return Fault.MISSING
    if not _is_right(config, key, _content(config, delivery_id, timestamp, sent.body), given):
        return Fault.WRONG
    if config.is_timed and abs(now_s - int(timestamp)) > config.tolerance:
        return Fault.STALE
    return Proof(delivery_id or None)


def sign(config: TriggerConfig, key: bytes, body: bytes, now_s: float, delivery_id: str) -> dict[str, str]:
    """The headers with which a request proves itself."""
    named_id, named_time, named_proof = _names(config)
    timestamp = str(int(now_s))
    digest = _hmac(key, _content(config, delivery_id if named_id else "", timestamp, body))
    if config.signature == "bearer":
        proof = f"Bearer {key.decode()}"
    elif config.signature == "standard-webhooks":
        proof = f"v1,{base64.b64encode(digest).decode()}"
    else:
        proof = f"sha256={digest.hex()}"
    found = {named_id: delivery_id, named_time: timestamp, named_proof: proof}
    return {name: value for name, value in found.items() if name is not None}


def _names(config: TriggerConfig) -> tuple[str | None, str | None, str]:
    """The headers that a delivery must carry: its id, its time, its proof."""
    if config.signature == "standard-webhooks":
        return STANDARD
    return config.id_header, config.timestamp_header, config.proof_header


def _content(config: TriggerConfig, delivery_id: str, timestamp: str, body: bytes) -> bytes:
    """What is signed."""
    if not config.is_timed:
        return body
    before = [delivery_id] if delivery_id else []
    return ".".join([*before, timestamp, ""]).encode() + body


def _is_right(config: TriggerConfig, key: bytes, content: bytes, given: str) -> bool:
    if config.signature == "bearer":
        kind, _, token = given.partition(" ")
        digests = [hashlib.sha256(text).digest() for text in (token.strip().encode(), key)]
        return kind.lower() == "bearer" and hmac.compare_digest(*digests)
    expected = _hmac(key, content)
    candidates = _standard(given) if config.signature == "standard-webhooks" else _hexadecimal(given)
    # all of them are looked at, so that the time does not tell which one fitted
    return sum(hmac.compare_digest(expected, candidate) for candidate in candidates) > 0


def _standard(given: str) -> Iterable[bytes]:
    """Signatures of version 1: a sender that changes its secret gives one for each."""
    for entry in given.split(" ")[:MAX_SIGNATURES]:
        version, _, text = entry.partition(",")
        if version == "v1":
            try:
                yield base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                continue


def _hexadecimal(given: str) -> Iterable[bytes]:
    text = given.strip().removeprefix("sha256=")
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        yield bytes.fromhex(text)


def _hmac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()
