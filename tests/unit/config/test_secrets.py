"""`secret://NAME`: where secrets are found, and what is no name."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config import Secrets
from interlock.config.secrets import MAX_SECRET_BYTES, secret_fault
from interlock.model import ConfigError


def place(folder: Path, name: str, content: str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_text_without_a_reference_stays_as_it_is(tmp_path: Path) -> None:
    assert Secrets(tmp_path, {}).resolve("plain ${X} secrets://a") == "plain ${X} secrets://a"


def test_the_first_place_that_has_it_wins(tmp_path: Path) -> None:
    env = {"INTERLOCK_SECRET_API_KEY_2": "from the environment"}
    found = Secrets(tmp_path, env)
    assert found.resolve("secret://api-key.2") == "from the environment"
    place(tmp_path / "secrets", "api-key.2", "from the state folder\r\n\n")
    assert found.resolve("secret://api-key.2") == "from the state folder"
    credentials = tmp_path / "credentials"
    place(credentials, "api-key.2", " spaces stay \n")
    given_too = Secrets(tmp_path, {**env, "CREDENTIALS_DIRECTORY": str(credentials)})
    assert given_too.resolve("secret://api-key.2") == " spaces stay "


def test_a_secret_that_is_nowhere(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no secret 'absent'") as caught:
        Secrets(tmp_path, {}).find("absent")
    assert caught.value.next_step == f"(umask 077; cat > {tmp_path}/secrets/absent)"


@pytest.mark.parametrize(
    "name", ["", "..", "a..b", "../token", "/etc/passwd", ".hidden", "a/b", "a b", "a\0", "x" * 129]
)
def test_what_is_no_name_reaches_no_file(tmp_path: Path, name: str) -> None:
    place(tmp_path, "token", "hunter2")
    with pytest.raises(ConfigError, match="names no secret") as caught:
        Secrets(tmp_path / "home", {}).resolve(f"secret://{name}")
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    ("content", "fault"), [(b"x" * (MAX_SECRET_BYTES + 1), "is larger than"), (b"\xff\xfe", "is no UTF-8 text")]
)
def test_files_that_hold_no_secret(tmp_path: Path, content: bytes, fault: str) -> None:
    place(tmp_path / "secrets", "a", content)
    with pytest.raises(ConfigError, match=fault):
        Secrets(tmp_path, {"INTERLOCK_SECRET_A": "not this one"}).find("a")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    place(tmp_path / "secrets", "a", "x").chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        Secrets(tmp_path, {"INTERLOCK_SECRET_A": "not this one"}).find("a")


def test_a_folder_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secrets/a").mkdir(parents=True)
    with pytest.raises(ConfigError, match="can't be read"):
        Secrets(tmp_path, {}).find("a")


def test_the_environment_is_not_shown() -> None:
    assert "hunter2" not in repr(Secrets(Path("/x"), {"INTERLOCK_SECRET_A": "hunter2"}))


@pytest.mark.parametrize("text", ["", "plain", "secret://a", "secret://A.b-c_9", "secret:/x"])
def test_good_references(text: str) -> None:
    assert secret_fault(text) is None


@pytest.mark.parametrize(
    "text", ["Bearer secret://a", "secret://", "secret://a b", "secret://a secret://b", "secret:///a"]
)
def test_bad_references(text: str) -> None:
    fault = secret_fault(text)
    assert fault is not None
    assert "expected secret://NAME as the whole value" in fault
    assert "Bearer" not in fault


@given(st.text(), st.sampled_from(["", "secret://"]))
def test_a_good_reference_is_one_that_can_be_looked_up(text: str, before: str) -> None:
    whole = before + text
    if whole.startswith("secret://"):
        try:
            Secrets(Path("/nonexistent"), {}).resolve(whole)
        except ConfigError as error:
            assert ("names no secret" in error.message) == (secret_fault(whole) is not None)
