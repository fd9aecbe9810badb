"""References to variables, and what a child server inherits."""

import pytest

from interlock.config import expand_env, missing_names, scrubbed_env
from interlock.model import ConfigError

ENV = {"A": "1", "EMPTY": "", "REF": "${A}"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("${A}", "1"),
        ("x${A}y${A}", "x1y1"),
        ("${NONE:-d e}", "d e"),
        ("${NONE:-}", ""),
        ("${A:-d}", "1"),
        ("${EMPTY}", ""),
        ("${EMPTY:-d}", "d"),
        ("${REF}", "${A}"),
        ("$A ${} ${1} $${A}", "$A ${} ${1} $1"),
        ("${NONE:-http://x:1/-}", "http://x:1/-"),
    ],
)
def test_expands(text: str, result: str) -> None:
    assert expand_env(text, ENV) == result


def test_missing_variable_is_named_with_what_to_type() -> None:
    with pytest.raises(ConfigError, match="NONE is not set") as caught:
        expand_env("${A}${NONE}${NONE_TOO}", ENV)
    assert caught.value.next_step == "export NONE=…"
    assert missing_names("${B}${C:-x}${B}${D}", ENV) == ("B", "D")


def test_only_harmless_variables_are_inherited() -> None:
    env = {
        "PATH": "/bin", "LANG": "C", "LC_ALL": "C", "TZ": "UTC", "TMPDIR": "/t", "SSL_CERT_FILE": "f", "SSL_CERT_DIR": "d",
        "HOME": "/h", "OPENAI_API_KEY": "k", "INTERLOCK_TOKEN": "t", "LD_PRELOAD": "x", "PYTHONPATH": "x", "XLC_A": "x",
    }  # fmt: skip
    assert set(scrubbed_env(env)) == {"PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}
