"""From `sandbox:` in the configuration, and from the policy, to how a server is started."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interlock.config import Secrets, ToolServerConfig
from interlock.model import ConfigError, ToolUnavailable
from interlock.sandbox import Means, Prospect
from interlock.tools import confinement
from interlock.tools.commands import Launch, prepare
from interlock.tools.surroundings import Surroundings


@pytest.fixture
def where(tmp_path: Path) -> Surroundings:
    for name in ("project/files", "me/notes", "state/keys", "state/secrets"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "state" / "secrets" / "api").write_text("s3cr3t-of-a-file\n")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "me"), "NOTES": str(tmp_path / "me" / "notes")}
    return Surroundings(tmp_path / "project", tmp_path / "state" / "tools", env, Secrets(tmp_path / "state", env))


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Prospect]:
    has = {"it": Prospect(Means.BUBBLEWRAP, "")}
    monkeypatch.setattr(confinement, "prospect", lambda: has["it"])
    return has


def launch(where: Surroundings, policy: str = "preferred", **config: Any) -> Launch:
    config = config if "builtin" in config else {"command": "sh", **config}
    return prepare("s", ToolServerConfig(**config), replace(where, sandbox=policy))


def test_a_server_of_others_reads_the_project_and_writes_its_home(where: Surroundings) -> None:
    made = launch(where)
    held = made.confinement
    assert held is not None
    assert (held.read, held.write) == ((where.folder, where.folder), ())
    assert held.home == where.state_dir / "s" / "home"
    assert held.hidden == ((where.home).resolve(),)
    assert (held.network, held.processes, held.memory_mb, held.modes) == (False, 512, None, False)
    assert (made.sandbox, made.means) == ("bubblewrap", Means.BUBBLEWRAP)
    assert made.argv[0] in ("/usr/bin/sh", "/bin/sh")
    assert "bwrap" in " ".join(made.launched) or "restrict.py" in " ".join(made.launched)


def test_grants_are_relative_to_the_project_and_expanded(where: Surroundings) -> None:
    grants = {"read": ["~/notes", "${NOTES}"], "write": ["files"], "network": True, "memory_mb": 100, "processes": 9}
    held = launch(where, sandbox=grants).confinement
    assert held is not None
    notes = Path(where.env["NOTES"])
    assert held.read[2:] == (notes, notes)
    assert held.write == (where.folder / "files",)
    assert (held.network, held.memory_mb, held.processes) == (True, 100, 9)


@pytest.mark.parametrize("option", ["read", "write"])
def test_a_grant_that_is_not_there_or_ours_is_named(where: Surroundings, option: str) -> None:
    with pytest.raises(ToolUnavailable, match=rf"tools\.s\.sandbox\.{option}: .*/nope does not exist"):
        launch(where, sandbox={option: ["nope"]})
    (where.folder / "way-in").symlink_to(where.home / "keys")
    for place in ("../state", "../state/keys", "way-in"):
        with pytest.raises(ToolUnavailable, match=rf"tools\.s\.sandbox\.{option}: .* is interlock's own"):
            launch(where, sandbox={option: [place]})


def test_a_project_inside_the_state_folder_is_seen_and_the_rest_of_it_is_not(where: Surroundings) -> None:
    project = where.home / "demo"
    project.mkdir()
    held = launch(replace(where, folder=project)).confinement
    assert held is not None
    assert set(held.hidden) == {where.home.resolve() / name for name in ("keys", "secrets", "tools")}


def test_the_package_whose_script_an_interpreter_runs_is_shown_also_behind_options(where: Surroundings) -> None:
    installed = {name: where.home / "tools" / "packages" / "npm" / name / "1.0.0" for name in ("one", "other")}
    for folder in installed.values():
        (folder / "node_modules").mkdir(parents=True)
        (folder / "node_modules" / "cli.js").write_text("")
    one, other = (str(folder / "node_modules" / "cli.js") for folder in installed.values())
    for options in ([], ["--no-warnings"], ["--no-warnings", "--enable-source-maps", "--trace-exit"]):
        held = launch(where, args=[*options, one, other]).confinement
        assert held is not None
        assert any(place in Path(one).parents for place in held.shown)
        assert not any(place in Path(other).parents for place in held.shown), "it is an argument"


def test_a_data_key_elsewhere_is_hidden_too(where: Surroundings) -> None:
    env = {**where.env, "INTERLOCK_DATA_KEY_FILE": "/etc/interlock/data.key"}
    held = launch(replace(where, env=env)).confinement
    assert held is not None
    assert Path("/etc/interlock/data.key") in held.hidden


@pytest.mark.parametrize(
    ("policy", "server", "confined"),
    [
        ("required", None, True), ("required", "off", True), ("required", "preferred", True),
        ("preferred", None, True), ("preferred", "off", False), ("preferred", "required", True),
        ("off", None, False), ("off", "required", True), ("off", "preferred", True),
    ],
)  # fmt: skip
def test_a_policy_that_requires_a_sandbox_can_t_be_loosened(
    where: Surroundings, policy: str, server: str | None, confined: bool
) -> None:
    made = launch(where, policy, sandbox={"mode": server} if server else {})
    assert (made.confinement is not None) is confined
    assert (made.sandbox == "off, as configured") is not confined


def test_without_means_it_starts_and_says_so_or_does_not_start(
    where: Surroundings, machine: dict[str, Prospect]
) -> None:
    machine["it"] = Prospect(Means.NONE, "the kernel has no Landlock")
    made = launch(where)
    assert (made.confinement, made.sandbox) == (None, "none: the kernel has no Landlock")
    with pytest.raises(ToolUnavailable, match=r"a sandbox is required, and there is none: the kernel") as caught:
        launch(where, "required")
    assert caught.value.next_step == "apt-get install bubblewrap"
    machine["it"] = Prospect(Means.LANDLOCK, "bubblewrap is not installed")
    assert launch(where, "required").sandbox == "landlock (bubblewrap is not installed)"


def test_the_workspace_changes_its_root(where: Surroundings) -> None:
    held = launch(where, builtin="workspace", root="files").confinement
    assert held is not None
    assert held.write == (where.folder / "files",)
    assert (held.network, held.processes, held.modes) == (False, None, True)


def test_the_sql_server_gets_its_database_by_environment(where: Surroundings) -> None:
    made = launch(where, builtin="sql", database="sqlite:files/x.db")
    assert made.env["INTERLOCK_SQL_DATABASE"] == f"sqlite:{where.folder}/files/x.db"
    assert "x.db" not in " ".join(made.argv)
    assert made.confinement is not None
    assert (made.confinement.write, made.confinement.network) == ((where.folder / "files",), False)
    url = "postgresql://me:pa55word@db/x"
    made = launch(replace(where, env={**where.env, "DB": url}), builtin="sql", database="${DB}")
    assert made.env["INTERLOCK_SQL_DATABASE"] == url
    assert url in made.credentials
    assert made.confinement is not None
    assert (made.confinement.write, made.confinement.network) == ((), True)


def test_the_http_server_is_told_its_hosts_and_has_the_network(where: Surroundings) -> None:
    made = launch(where, builtin="http", allow=["a.example", "*.b.example"])
    assert made.argv[1:] == ("-m", "interlock.servers.http", "--allow", "a.example", "--allow", "*.b.example")
    assert made.confinement is not None
    assert made.confinement.network


def test_the_shell_confines_its_commands_and_is_told_how(where: Surroundings) -> None:
    sandbox = {"memory_mb": 300, "read": ["~/notes"]}
    made = launch(where, builtin="shell", root="files", sandbox=sandbox)
    assert made.confinement is None
    assert made.sandbox == "each command for itself: bubblewrap"
    assert made.argv[:5] == (sys.executable, "-m", "interlock.servers.shell", "--root", str(where.folder / "files"))
    said = " ".join(made.argv[5:])
    assert "--sandbox required" in said
    assert "--memory-mb 300" in said
    assert f"--hide {where.home.resolve()}" in said
    assert f"--read {where.env['NOTES']}" in said
    assert "--network" not in said
    loose = launch(where, builtin="shell", root="files", sandbox={"mode": "off"})
    assert "--sandbox preferred" in " ".join(loose.argv)
    held = launch(where, "required", builtin="shell", root="files", sandbox={"mode": "off"})
    assert "--sandbox required" in " ".join(held.argv)
    with pytest.raises(ToolUnavailable, match="change its `root` and nothing else"):
        launch(where, builtin="shell", root="files", sandbox={"write": ["."]})


def test_a_secret_is_looked_up_at_the_start_and_shows_up_nowhere(where: Surroundings) -> None:
    made = launch(where, env={"PLAIN": "secret://api"})
    assert made.env["PLAIN"] == "s3cr3t-of-a-file"
    assert "s3cr3t-of-a-file" in made.credentials
    assert "s3cr3t-of-a-file" in made.secrets
    assert "s3cr3t" not in repr(made) + " ".join(made.launched)
    with pytest.raises(ConfigError, match="there is no secret 'nope'"):
        launch(where, env={"PLAIN": "secret://nope"})
    with pytest.raises(ConfigError, match="no place to look secrets up"):
        launch(replace(where, secrets=None), env={"PLAIN": "secret://api"})
