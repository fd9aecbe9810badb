"""Where a remote server is, and which parts of that are secret."""

from pathlib import Path
from typing import Any

import pytest

from interlock.config import Secrets, ToolServerConfig
from interlock.model import ConfigError, ToolUnavailable
from interlock.tools import Surroundings
from interlock.tools.remote import find_target

ENV = {"API_TOKEN": "t0ken-t0ken", "SPACE": "space-of-ours", "INTERLOCK_SECRET_KEY_OF_FAR": "from-the-secrets"}


def target(tmp_path: Path, **config: Any) -> Any:
    where = Surroundings(tmp_path, tmp_path, ENV, Secrets(tmp_path, ENV))
    return find_target(ToolServerConfig(**{"url": "https://far.example/mcp", **config}), where)


def test_headers_take_variables_and_secrets(tmp_path: Path) -> None:
    headers = {"Authorization": "Bearer ${API_TOKEN}", "X-Key": "secret://key_of_far", "X-Team": "our-own-team"}
    found, secrets, credentials = target(tmp_path, headers=headers)
    assert found.headers == {
        "Authorization": "Bearer t0ken-t0ken",
        "X-Key": "from-the-secrets",
        "X-Team": "our-own-team",
    }
    assert {"t0ken-t0ken", "Bearer t0ken-t0ken", "from-the-secrets"} <= set(credentials)
    assert "our-own-team" not in credentials
    assert "our-own-team" in secrets


def test_what_a_url_takes_from_elsewhere_is_secret_and_its_place_tells_nothing(tmp_path: Path) -> None:
    url = "https://user:${API_TOKEN}@far.example:8443/s/${SPACE}/mcp?key=${API_TOKEN}"
    found, _, credentials = target(tmp_path, url=url)
    assert found.place == "https://far.example:8443"
    assert {"t0ken-t0ken", "space-of-ours"} <= set(credentials)
    assert "mcp" not in credentials


@pytest.mark.parametrize(
    ("config", "error", "says"),
    [
        ({"headers": {"X-Key": "${NOWHERE}"}}, ConfigError, "NOWHERE"),
        ({"headers": {"X-Key": "secret://nowhere"}}, ConfigError, "there is no secret 'nowhere'"),
        ({"headers": {"X-Key": "a\nInjected: b"}}, ToolUnavailable, "the header 'X-Key' can't be sent"),
        ({"headers": {"X Key": "a"}}, ToolUnavailable, "the header 'X Key' can't be sent"),
        ({"url": "${SPACE}"}, ConfigError, "does not begin with http"),
        ({"url": "file:///etc/passwd#${SPACE}"}, ConfigError, "does not begin with http"),
    ],
)
def test_what_can_not_be_used_is_told_without_its_value(
    tmp_path: Path, config: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        target(tmp_path, **config)
    assert "space-of-ours" not in str(caught.value)
