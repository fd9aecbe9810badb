import os
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.config import SandboxConfig, ToolServerConfig
from interlock.model import ConfigError, ToolUnavailable
from interlock.tools.commands import prepare
from interlock.tools.surroundings import Surroundings


@pytest.fixture
def where(tmp_path: Path) -> Surroundings:
    (tmp_path / "project").mkdir()
    env = {"PATH": "/usr/bin:/bin", "API_KEY": "do-not-inherit", "TOKEN": "s3cr3t-value", "LANG": "C.UTF-8"}
    return Surroundings(tmp_path / "project", tmp_path / "state", env)


def test_a_child_inherits_little_and_has_a_home_of_its_own(where: Surroundings) -> None:
    launch = prepare("git", ToolServerConfig(command="sh", env={"T": "${TOKEN}", "D": "${NOPE:-x}"}), where)
    home = where.state_dir / "git" / "home"
    assert launch.env == {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "T": "s3cr3t-value", "D": "x"}
    assert home.stat().st_mode & 0o777 == 0o700
    assert "s3cr3t-value" in launch.secrets
    assert "s3cr3t-value" not in repr(launch)


def test_a_variable_that_is_not_set_is_named(where: Surroundings) -> None:
    with pytest.raises(ConfigError, match="NOPE is not set"):
        prepare("git", ToolServerConfig(command="sh", env={"T": "${NOPE}"}), where)


def test_a_command_is_looked_up_on_the_path_and_beside_the_interpreter(where: Surroundings) -> None:
    assert prepare("s", ToolServerConfig(command="sh", args=["-c", "true"]), where).argv[1:] == ("-c", "true")
    beside = prepare("s", ToolServerConfig(command=Path(sys.executable).name), where).argv[0]
    assert Path(beside).is_absolute()
    absolute = prepare("s", ToolServerConfig(command="/bin/sh"), where)
    assert absolute.argv == ("/bin/sh",)
    assert absolute.cwd == where.folder


def test_a_missing_command_says_which_and_what_to_do(where: Surroundings) -> None:
    with pytest.raises(ToolUnavailable, match=r"^command not found: nope-mcp$") as caught:
        prepare("s", ToolServerConfig(command="nope-mcp"), where)
    assert caught.value.next_step == "pip install nope-mcp, or set the full path"
    with pytest.raises(ToolUnavailable, match=r"command not found: .*/project/bin/nope"):
        prepare("s", ToolServerConfig(command="bin/nope"), where)


def test_a_file_that_is_no_program_says_so(where: Surroundings) -> None:
    (where.folder / "server.py").write_text("")
    with pytest.raises(ToolUnavailable, match="not executable") as caught:
        prepare("s", ToolServerConfig(command="./server.py"), where)
    assert caught.value.next_step.startswith("chmod +x ")


def test_the_builtin_workspace_needs_its_folder(where: Surroundings) -> None:
    config = ToolServerConfig(builtin="workspace", root="files")
    with pytest.raises(ToolUnavailable, match=r"the workspace folder does not exist: .*/project/files"):
        prepare("ws", config, where)
    (where.folder / "files").mkdir()
    assert prepare("ws", config, where).argv == (
        sys.executable,
        "-m",
        "interlock.servers.workspace",
        "--root",
        str(where.folder / "files"),
    )


def test_a_folder_to_run_in_must_exist(where: Surroundings) -> None:
    with pytest.raises(ToolUnavailable, match="the folder to run in does not exist"):
        prepare("s", ToolServerConfig(command="sh", cwd="nope"), where)


def test_the_launcher_becomes_the_command_with_default_signals(where: Surroundings) -> None:
    code = "import os; print(os.getpid(), os.getppid())"
    config = ToolServerConfig(command=sys.executable, args=["-c", code], sandbox=SandboxConfig(mode="off"))
    launch = prepare("s", config, where)
    child = subprocess.Popen(launch.launched, env=dict(launch.env), stdout=subprocess.PIPE)
    out, _ = child.communicate(timeout=10)
    assert out.split() == [str(child.pid).encode(), str(os.getpid()).encode()]
    ignored = prepare("s", ToolServerConfig(command="grep", args=["SigIgn", "/proc/self/status"]), where)
    out = subprocess.run(ignored.launched, capture_output=True, check=True, timeout=10).stdout
    assert int(out.split()[1], 16) & (1 << 12) == 0  # SIGPIPE


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["1"], 2), (["{me}", "--", "/nope/x"], 126), (["1", "--", "/bin/true"], 125)],
)
def test_the_launcher_says_what_went_wrong_by_its_status(
    where: Surroundings, arguments: list[str], status: int
) -> None:
    script = prepare("s", ToolServerConfig(command="sh"), where).launched[3]
    given = [argument.format(me=os.getpid()) for argument in arguments]
    ended = subprocess.run([sys.executable, "-I", script, *given], check=False, capture_output=True, timeout=10)
    assert ended.returncode == status


def test_the_http_server_gets_its_credentials_in_its_environment(where: Surroundings) -> None:
    (where.folder / "own.pem").write_text("")
    config = ToolServerConfig(
        builtin="http",
        allow=["api.example.com", "localhost:8080"],
        credentials={
            "api.example.com": {"Authorization": "Bearer ${TOKEN}"},
            "http://localhost:8080": {"X-A": "abcdefgh"},
        },
        allow_private=True,
        ca_file="own.pem",
    )
    launch = prepare("web", config, where)
    assert launch.argv[3:] == (
        *("--allow", "api.example.com", "--allow", "localhost:8080"),
        *("--header-env", "api.example.com=Authorization=INTERLOCK_HTTP_CREDENTIAL_1"),
        *("--header-env", "http://localhost:8080=X-A=INTERLOCK_HTTP_CREDENTIAL_2"),
        *("--ca-file", str(where.folder / "own.pem"), "--allow-private"),
    )
    assert launch.env["INTERLOCK_HTTP_CREDENTIAL_1"] == "Bearer s3cr3t-value"
    assert {"Bearer s3cr3t-value", "abcdefgh"} <= set(launch.credentials)
    assert "s3cr3t-value" not in repr(launch) + repr(config)


def test_certificates_that_are_not_there_are_named(where: Surroundings) -> None:
    with pytest.raises(ToolUnavailable, match=r"`ca_file` does not exist: .*/none\.pem"):
        prepare("web", ToolServerConfig(builtin="http", allow=["localhost"], ca_file="none.pem"), where)
