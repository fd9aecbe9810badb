"""Encryption at rest: what was sealed opens in its place, with a known key, unaltered; and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.model import Bug, ConfigError
from interlock.store import Sealer

OLD, NEW = b"o" * 32, b"n" * 32


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_is_sealed_opens_again(value: object) -> None:
    sealer = Sealer([NEW])
    assert sealer.open(sealer.seal(value, "call.args:1"), "call.args:1") == value


def test_large_values_are_compressed_and_none_stays_none() -> None:
    sealer = Sealer([NEW])
    assert len(sealer.seal("x" * 100_000, "a")) < 5_000
    assert sealer.open(None, "a") is None


def test_a_value_that_was_moved_does_not_open() -> None:
    sealer = Sealer([NEW])
    with pytest.raises(ConfigError, match="altered or moved"):
        sealer.open(sealer.seal({"paths": ["a"]}, "call.args:1"), "call.args:2")


def test_every_altered_byte_is_noticed() -> None:
    sealer = Sealer([NEW])
    sealed = sealer.seal({"a": 1}, "p")
    for number in range(len(sealed)):
        with pytest.raises(ConfigError):
            sealer.open(sealed[:number] + bytes([sealed[number] ^ 1]) + sealed[number + 1 :], "p")


def test_after_a_rotation_old_values_open_and_new_ones_use_the_new_key() -> None:
    old, both = Sealer([OLD]), Sealer([NEW, OLD])
    assert both.open(old.seal("then", "p"), "p") == "then"
    with pytest.raises(ConfigError, match="another data key"):
        old.open(both.seal("now", "p"), "p")


def test_the_same_value_never_looks_the_same() -> None:
    sealer = Sealer([NEW])
    assert sealer.seal("x", "p") != sealer.seal("x", "p")


def test_a_sealer_without_a_key_is_refused() -> None:
    with pytest.raises(Bug):
        Sealer([])
