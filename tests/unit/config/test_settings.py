"""Settings from the environment."""

from pathlib import Path

import pytest

from interlock.config import DEFAULT_URL, Settings
from interlock.model import UserError


def test_defaults() -> None:
    found = Settings.from_env({"INTERLOCK_TOKEN": " ", "INTERLOCK_HOME": ""})
    assert found.home.is_absolute()
    assert found.home.name == "interlock"
    assert (found.database_url, found.url, found.token) == (None, DEFAULT_URL, None)
    assert found.data_key_file == found.home / "keys" / "data.key"
    assert found.owns_key_folder


def test_everything_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = Settings.from_env(
        {
            "INTERLOCK_HOME": "state",
            "INTERLOCK_DATABASE_URL": "postgresql://u:hunter2@h/db",
            "INTERLOCK_URL": "https://[::1]:8/",
            "INTERLOCK_TOKEN": "hunter3\n",
            "INTERLOCK_DATA_KEY_FILE": "/run/key",
        }
    )
    assert found.home == tmp_path / "state"
    assert found.url == "https://[::1]:8"
    assert found.token == "hunter3"
    assert found.data_key_file == Path("/run/key")
    assert not found.owns_key_folder
    assert "hunter" not in repr(found)


@pytest.mark.parametrize("url", ["127.0.0.1:7440", "ftp://x", "http://", "http://x:99999", "http://[::1", "x" * 100])
def test_bad_url(url: str) -> None:
    with pytest.raises(UserError, match="INTERLOCK_URL") as caught:
        Settings.from_env({"INTERLOCK_URL": url})
    assert DEFAULT_URL in caught.value.next_step


def test_unknown_user_in_a_path() -> None:
    with pytest.raises(UserError, match="INTERLOCK_HOME"):
        Settings.from_env({"INTERLOCK_HOME": "~no-such-user-here/x"})
