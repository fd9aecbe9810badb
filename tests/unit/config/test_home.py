"""The state folder and its secrets: private, whole, and the same for every process that starts at once."""

import multiprocessing
import os
import stat
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from interlock.config import Settings, ensure_home, ensure_key, ensure_token, new_token, read_token, token_id
from interlock.model import HomeUnfit


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_home_is_made_private(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "a" / "b")
    old = os.umask(0)
    try:
        assert ensure_home(settings) == settings.home
    finally:
        os.umask(old)
    assert mode(settings.home) == 0o700
    settings.home.chmod(0o755)
    ensure_home(settings)
    assert mode(settings.home) == 0o700
    assert mode(tmp_path) == 0o700


@pytest.mark.parametrize("bits", [0o720, 0o702, 0o777])
def test_home_that_others_may_write_is_refused(tmp_path: Path, bits: int) -> None:
    tmp_path.chmod(bits)
    with pytest.raises(HomeUnfit, match="other users may write") as caught:
        ensure_home(Settings(tmp_path))
    assert caught.value.next_step == f"chmod 700 '{tmp_path}'"
    assert mode(tmp_path) == bits


def test_home_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeUnfit, match="can't be made: Not a directory"):
        ensure_home(Settings(tmp_path / "file" / "home"))
    with pytest.raises(HomeUnfit, match="can't be made: File exists"):
        ensure_home(Settings(tmp_path / "file"))
    with pytest.raises(HomeUnfit, match="not a usable file name"):
        ensure_home(Settings(Path("/a\0b")))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_home_of_someone_else_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(HomeUnfit, match=r"belongs to another user \(uid 12345\)"):
        ensure_home(Settings(tmp_path))
    os.chown(tmp_path, 0, 0)


def test_token(tmp_path: Path) -> None:
    assert read_token(tmp_path) is None
    token = ensure_token(tmp_path)
    assert ensure_token(tmp_path) == read_token(tmp_path) == token
    assert mode(tmp_path / "token") == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "token"]


def test_token_form() -> None:
    token = new_token()
    kind, name, body = token.split("_")
    assert (kind, len(body), token_id(token)) == ("ilk", 32, name)
    assert token != new_token()
    changed = [token[:n] + ("0" if token[n] != "0" else "1") + token[n + 1 :] for n in range(len(token))]
    assert all(token_id(text) is None for text in [*changed, token[:-1], token + "0", token + "\n", "", "ilk__"])


def test_token_file_that_is_no_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("hunter2")
    path.chmod(0o600)
    with pytest.raises(HomeUnfit, match="holds no interlock token") as caught:
        ensure_token(tmp_path)
    assert "hunter2" not in caught.value.message
    path.write_text(new_token())
    path.chmod(0o640)
    with pytest.raises(HomeUnfit, match="other users can open"):
        read_token(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(HomeUnfit, match="no regular file"):
        read_token(tmp_path)


def test_token_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HomeUnfit, match="can't be written: No such file"):
        ensure_token(tmp_path / "absent")


def test_key(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    key = ensure_key(settings)
    assert len(key) == 32
    assert ensure_key(settings) == key
    assert mode(tmp_path / "keys") == 0o700
    assert mode(tmp_path / "keys" / "data.key") == 0o600


def test_key_in_another_place(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "home", data_key_file=tmp_path / "secret" / "key")
    with pytest.raises(HomeUnfit, match="can't be written"):
        ensure_key(settings)
    settings.data_key_file.parent.mkdir()
    key = ensure_key(settings)
    settings.data_key_file.chmod(0o440)
    assert ensure_key(settings) == key
    settings.data_key_file.chmod(0o444)
    with pytest.raises(HomeUnfit, match="other users can open"):
        ensure_key(settings)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_key_of_the_wrong_length_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys" / "data.key"
    path.parent.mkdir(mode=0o700)
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(HomeUnfit, match="not 32 bytes"):
        ensure_key(Settings(tmp_path))
    assert path.read_bytes() == content


def make_both(home: str) -> tuple[str, bytes]:
    settings = Settings(Path(home))
    ensure_home(settings)
    return ensure_token(settings.home), ensure_key(settings)


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    homes = [str(tmp_path / f"home{n % 20}") for n in range(160)]
    with ProcessPoolExecutor(8, mp_context=multiprocessing.get_context("fork")) as pool:
        pairs = list(pool.map(make_both, homes))
    assert len(set(zip(homes, pairs, strict=True))) == 20
    assert len(set(pairs)) == 20
