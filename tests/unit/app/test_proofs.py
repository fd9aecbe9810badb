"""How deliveries prove themselves: each scheme, what is missing, wrong, old, moved or changed by a single byte."""

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.app.proofs import Fault, Proof, Sent, check_proof, key_of, sign
from interlock.config import Secrets, TriggerConfig
from interlock.model import ConfigError

NOW_S = 1_800_000_000.0
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
BODY = b'{"alert": "disk", "size": 12.5, "note": "\xc3\xa4"}'
SECRETS = Secrets(Path("/nowhere"), {"INTERLOCK_SECRET_HOOK": SECRET, "VARIABLE": "a" * 16})
SCHEMES: dict[str, dict[str, Any]] = {
    "hmac": {},
    "github": {"signature_header": "X-Hub-Signature-256", "id_header": "X-GitHub-Delivery"},
    "timed": {"timestamp_header": "X-Time"},
    "timed with id": {"timestamp_header": "X-Time", "id_header": "X-Id"},
    "standard": {"signature": "standard-webhooks"},
    "bearer": {"signature": "bearer"},
    "bearer with id": {"signature": "bearer", "id_header": "X-Id"},
}
SIGNED = [name for name in SCHEMES if not name.startswith("bearer")]


def trigger(name: str, **more: Any) -> TriggerConfig:
    body = {"kind": "json", "agent": "a", "text": "go", "secret": "secret://hook", **SCHEMES[name], **more}
    return TriggerConfig.model_validate(body)


def sent(headers: dict[str, str], body: bytes = BODY) -> Sent:
    return Sent({name.lower(): value for name, value in headers.items()}, body)


def signed(config: TriggerConfig, body: bytes = BODY, now_s: float = NOW_S) -> dict[str, str]:
    return sign(config, key_of(config, SECRETS), body, now_s, "msg_1")


def check(config: TriggerConfig, given: Sent, now_s: float = NOW_S) -> Proof | Fault:
    return check_proof(config, key_of(config, SECRETS), given, now_s)


@pytest.mark.parametrize("name", SCHEMES)
def test_what_is_signed_is_let_in(name: str) -> None:
    config = trigger(name)
    expected = "msg_1" if config.id_header or config.signature == "standard-webhooks" else None
    assert check(config, sent(signed(config))) == Proof(expected)


def test_the_signatures_are_those_of_others() -> None:
    """As GitHub documents its example, and as Standard Webhooks does."""
    text = "It's a Secret to Everybody"
    secrets = Secrets(Path("/nowhere"), {"INTERLOCK_SECRET_HOOK": text})
    config = trigger("github")
    digest = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    given = sent(
        {"X-Hub-Signature-256": digest, "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}, b"Hello, World!"
    )
    assert check_proof(config, key_of(config, secrets), given, NOW_S) == Proof("72d3162e-cc78-11e3-81ab-4c9367dc0958")

    standard = trigger("standard")
    secrets = Secrets(Path("/nowhere"), {"INTERLOCK_SECRET_HOOK": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    found = check_proof(standard, key_of(standard, secrets), sent(headers, b'{"test": 2432232314}'), 1614265330.0)
    assert found == Proof("msg_p5jXN8AQM9LWM0D4loKWxJek")


@pytest.mark.parametrize("name", SCHEMES)
def test_each_header_is_needed(name: str) -> None:
    config = trigger(name)
    headers = signed(config)
    for missing in headers:
        rest = {key: value for key, value in headers.items() if key != missing}
        assert check(config, sent(rest)) is Fault.MISSING
        empty = check(config, sent({**headers, missing: ""}))
        assert empty in (Fault.MISSING, Fault.WRONG)
        if missing != "webhook-signature":  # which may hold several
            assert check(config, sent({**headers, missing: f"{headers[missing]}, {headers[missing]}"})) in tuple(Fault)


@pytest.mark.parametrize("name", SCHEMES)
def test_another_secret_is_wrong(name: str) -> None:
    config = trigger(name)
    headers = sign(config, b"another secret, just as long", BODY, NOW_S, "msg_1")
    assert check(config, sent(headers)) is Fault.WRONG


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize(
    "value",
    ["", " ", "sha256=", "sha256=" + "0" * 64, "sha256=" + "0" * 63, "v1,", "v1,AAAA", "v2,AAAA", "Bearer", "Bearer ",
     "Basic AAAA", "\xff", "sha1=" + "0" * 40, SECRET, "Bearer " + SECRET[:-1], "Bearer " + SECRET + "x",
     "Bearer " + SECRET.lower()],
)  # fmt: skip
def test_odd_proofs_are_wrong(name: str, value: str) -> None:
    config = trigger(name)
    assert check(config, sent({**signed(config), config.proof_header: value})) is Fault.WRONG


@given(st.sampled_from(SIGNED), st.binary(max_size=200), st.data())
def test_no_single_byte_of_a_body_can_be_changed(name: str, body: bytes, data: st.DataObject) -> None:
    config = trigger(name)
    headers = signed(config, body)
    assert isinstance(check(config, sent(headers, body)), Proof)
    place = data.draw(st.integers(0, len(body)))
    byte = data.draw(st.integers(1, 255))
    changed = [body[:place] + bytes([byte]) + body[place:], body[:place] + body[place + 1 :]]
    if place < len(body):
        changed.append(body[:place] + bytes([body[place] ^ byte]) + body[place + 1 :])
    for other in changed:
        if other != body:
            assert check(config, sent(headers, other)) is Fault.WRONG


@given(st.sampled_from(["timed", "timed with id", "standard"]), st.data())
def test_nothing_else_that_is_signed_can_be_changed(name: str, data: st.DataObject) -> None:
    config = trigger(name)
    headers = signed(config)
    changed = data.draw(st.sampled_from(sorted(headers)))
    text = data.draw(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=80))
    if text != headers[changed]:
        assert check(config, sent({**headers, changed: text})) in (Fault.WRONG, Fault.MISSING)


def test_what_is_signed_together_can_not_be_divided_in_another_way() -> None:
    config = trigger("timed with id")
    headers = signed(config, b"1799999999.{}")
    moved = {**headers, "X-Id": f"msg_1.{headers['X-Time']}", "X-Time": "1799999999"}
    assert check(config, sent(moved, b"{}")) is Fault.MISSING


@pytest.mark.parametrize("name", ["timed", "timed with id", "standard"])
@pytest.mark.parametrize(
    ("offset_s", "fits"),
    [(0, True), (299, True), (300, True), (301, False), (-300, True), (-302, False), (86_400, False)],
)
def test_old_and_future_timestamps(name: str, offset_s: float, fits: bool) -> None:
    config = trigger(name)
    found = check(config, sent(signed(config)), NOW_S + offset_s)
    assert isinstance(found, Proof) if fits else found is Fault.STALE


@pytest.mark.parametrize("timestamp", ["", "-1", "1e9", "1800000000.5", "1" * 13, "١٨", "0x10", " 1800000000"])
def test_what_is_no_timestamp(timestamp: str) -> None:
    config = trigger("timed")
    digest = hmac.new(SECRET.encode(), timestamp.encode() + b"." + BODY, hashlib.sha256).hexdigest()
    assert check(config, sent({"X-Time": timestamp, config.proof_header: f"sha256={digest}"})) is Fault.MISSING


def test_the_tolerance_can_be_chosen() -> None:
    config = trigger("standard", tolerance="1h")
    assert isinstance(check(config, sent(signed(config)), NOW_S + 3600), Proof)
    assert check(config, sent(signed(config)), NOW_S + 3602) is Fault.STALE


def test_one_of_several_signatures_is_enough() -> None:
    config = trigger("standard")
    headers = signed(config)
    right = headers["webhook-signature"]
    assert isinstance(check(config, sent({**headers, "webhook-signature": f"v1,AAAA v1a,zzz {right}"})), Proof)
    many = " ".join(["v1,AAAA"] * 16 + [right])
    assert check(config, sent({**headers, "webhook-signature": many})) is Fault.WRONG


def test_a_signature_may_come_without_its_prefix_and_in_capitals() -> None:
    config = trigger("hmac")
    text = signed(config)[config.proof_header].removeprefix("sha256=")
    for shown in (text, text.upper(), f"sha256={text.upper()}"):
        assert isinstance(check(config, sent({config.proof_header: shown})), Proof)


@pytest.mark.parametrize(
    ("secret", "more", "fault"),
    [
        ("tiny", {}, "shorter than 16 bytes"),
        ("", {}, "shorter than 16 bytes"),
        ("no base64, but long enough", {"signature": "standard-webhooks"}, "expected base64"),
        ("whsec_AAAA", {"signature": "standard-webhooks"}, "shorter than 16 bytes"),
    ],
)
def test_secrets_that_can_not_be_used(secret: str, more: dict[str, Any], fault: str) -> None:
    config = trigger("hmac", **more)
    with pytest.raises(ConfigError, match=fault) as caught:
        key_of(config, Secrets(Path("/nowhere"), {"INTERLOCK_SECRET_HOOK": secret}))
    assert not secret or secret not in caught.value.message + caught.value.next_step


def test_a_secret_of_the_environment() -> None:
    config = trigger("hmac", secret="${VARIABLE}")
    assert key_of(config, SECRETS) == b"a" * 16
    with pytest.raises(ConfigError, match="VARIABLE is not set"):
        key_of(config, Secrets(Path("/nowhere"), {}))
    assert key_of(config, Secrets(Path("/nowhere"), {"VARIABLE": "${HOME}secret://aaaa"})) == b"${HOME}secret://aaaa"
