"""A project folder as one checked configuration."""

import contextlib
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.config import Config, MissingVariable, load_project
from interlock.model import ConfigError, InterlockError, PlaybookError, PolicyError

CONFIG = """\
models:
  aliases:
    sonnet: {provider: anthropic, model: claude-sonnet}
  tiers: {small: [sonnet]}
  default: sonnet
tools:
  workspace: {builtin: workspace, root: ./work}
  git:
    required: false
    env: {B: 2nd}
    contracts:
      commit: {class: write}
agents:
  editor:
    model: playbook:clean
    tools: [workspace.*, git.commit, my-tool.go]
    plan: [{tool: workspace.write, args: {path: {pattern: "^report"}}}]
    verify: [{tool: workspace.read, expect: {contains: done}}]
policy:
  rules:
    - {id: one, when: {tool: git.*}, then: ask}
"""
MCP = '{"mcpServers": {"Git": {"command": "git-mcp", "args": ["${REPO}"], "env": {"A": "${TOKEN}", "C": "${X:-y}"}}}}'
POLICY = "rules:\n  - {id: two, when: {agent: editor}, then: deny}\n"


def project(folder: Path, **files: str) -> Path:
    """Write a project with these files in place of the usual ones."""
    defaults = {
        "interlock.yaml": CONFIG, ".mcp.json": MCP, "policy.yaml": POLICY,
        "playbooks/clean.yaml": "steps: []\n", "tools/my_tool.py": "print(1)\n", "tools/_private.py": "",
    }  # fmt: skip
    for name, text in {**defaults, **files}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    return folder


def test_everything_together(tmp_path: Path) -> None:
    found = load_project(project(tmp_path), {"REPO": "."})
    assert list(found.config.tools) == ["git", "my-tool", "workspace"]
    git, mine = found.config.tools["git"], found.config.tools["my-tool"]
    assert (git.command, git.args, git.required) == ("git-mcp", ["${REPO}"], False)
    assert git.env == {"A": "${TOKEN}", "C": "${X:-y}", "B": "2nd"}
    assert git.contracts["commit"].action_class == "write"
    assert (mine.command, mine.args, mine.cwd) == (sys.executable, [str(tmp_path / "tools/my_tool.py")], str(tmp_path))
    assert found.sources == {"git": ".mcp.json", "my-tool": "tools/my_tool.py", "workspace": "interlock.yaml"}
    assert [rule.id for rule in found.config.policy.rules] == ["one", "two"]
    assert found.playbooks == {"clean": tmp_path / "playbooks/clean.yaml"}
    assert found.config_path == tmp_path / "interlock.yaml"
    assert found.missing_env({"REPO": "."}) == (MissingVariable("git", "TOKEN"),)
    assert found.notes == (
        ".mcp.json:1: mcpServers.Git: called git here",
        "tool server git needs TOKEN, which is not set",
    )


def test_an_empty_folder_has_the_defaults(tmp_path: Path) -> None:
    found = load_project(tmp_path, {})
    assert (found.config, found.config_path, found.playbooks, found.notes) == (Config(), None, {}, ())


@pytest.mark.parametrize("name", ["absent", "file", "a\0b"])
def test_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="project folder can't be read") as caught:
        load_project(tmp_path / name, {})
    assert caught.value.next_step == "interlock init"


def test_a_dangling_link_is_no_absent_file(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").symlink_to("nowhere")
    with pytest.raises(PolicyError, match="can't be read"):
        load_project(tmp_path, {})


@pytest.mark.parametrize("name", ["interlock.yml", "policy.yml"])
def test_a_name_that_would_be_overlooked_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(ConfigError, match=r"expected (interlock|policy)\.yaml"):
        load_project(tmp_path, {})


def test_the_hash(tmp_path: Path) -> None:
    one = project(tmp_path / "one")
    base = load_project(one, {}).sha256
    assert len(base) == 64
    two = tmp_path / "elsewhere"
    shutil.copytree(one, two)
    (two / "interlock.yaml").write_text("# a comment\n" + CONFIG.replace("\n", "\r\n") + "database: {url: x}\n")
    (two / "playbooks/clean.yaml").write_text("# another\nsteps: [ ]\n")
    assert load_project(two, {"TOKEN": "t"}).sha256 == base
    changes = {
        "interlock.yaml": CONFIG.replace("root: ./work", "root: ./other"),
        ".mcp.json": MCP.replace("${X:-y}", "${X:-z}"),
        "policy.yaml": POLICY.replace("deny", "ask"),
        "playbooks/clean.yaml": "steps: [1]\n",
        "playbooks/new.yaml": "",
        "tools/my_tool.py": "print(2)\n",
        "tools/other.py": "",
    }
    hashes = {
        load_project(project(tmp_path / f"n{n}", **{key: text}), {}).sha256
        for n, (key, text) in enumerate(changes.items())
    }
    assert len(hashes | {base}) == len(changes) + 1


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        (
            {"interlock.yaml": "tools: {a: {required: false}}"},
            "interlock.yaml:1: tools.a: found none of `builtin`, `command`, `package` and `url`; expected one of them, or",
        ),
        (
            {"interlock.yaml": "tools:\n  git: {command: x}"},
            "interlock.yaml:2: tools.git: is also declared by .mcp.json",
        ),
        ({"interlock.yaml": "tools:\n  my-tool: {command: x}"}, "tools.my-tool: is also declared by tools/my_tool.py"),
        ({"tools/git.py": ""}, ".mcp.json:1: mcpServers.Git: git is also declared by tools/git.py"),
        ({"tools/My-Tool.py": ""}, "is called 'my-tool' like"),
        ({"tools/__init__.py": "", "tools/日本.py": ""}, "the name can't be a server's"),
        (
            {".mcp.json": '{"mcpServers": {"git": {"type": "ws", "url": "http://x"}}}'},
            "interlock.yaml:8: tools.git: extends a server of .mcp.json that can't be used: servers of type 'ws'",
        ),
        (
            {
                ".mcp.json": '{"mcpServers": {"git": {"command": "x", "disabled": true}}}',
                "interlock.yaml": "agents: {a: {tools: [git.x]}}",
            },
            "interlock.yaml:1: agents.a.tools[0]: the tool server 'git' of .mcp.json can't be used: it is disabled",
        ),
    ],
)
def test_servers_that_do_not_fit_together(tmp_path: Path, files: dict[str, str], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_project(project(tmp_path, **files), {})
    assert fault in caught.value.message


def test_a_skipped_server_may_be_declared_here(tmp_path: Path) -> None:
    files = {
        ".mcp.json": '{"mcpServers": {"git": {"command": "x", "disabled": true}}}',
        "interlock.yaml": "tools: {git: {command: x}}\nagents: {editor: {tools: [git.x]}}",
    }
    assert load_project(project(tmp_path, **files), {}).sources["git"] == "interlock.yaml"


REMOTE = '{"mcpServers": {"git": {"url": "https://x/mcp", "headers": {"A": "${TOKEN}", "B": "1"}}}}'


def test_an_entry_extends_a_remote_server(tmp_path: Path) -> None:
    text = "tools: {git: {headers: {B: 'secret://b', C: 'c'}, call_timeout: 5, idle_timeout: 1m, max_age: 1h}}\n"
    found = load_project(
        project(tmp_path, **{".mcp.json": REMOTE, "interlock.yaml": text}), {"INTERLOCK_HOME": str(tmp_path / "home")}
    )
    git = found.config.tools["git"]
    assert (git.url, git.remote, git.call_timeout) == ("https://x/mcp", True, 5)
    assert git.headers == {"A": "${TOKEN}", "B": "secret://b", "C": "c"}
    assert found.notes[-2:] == (
        "tool server git needs TOKEN, which is not set",
        "tool server git needs secret://b: there is no secret 'b'",
    )


def test_variables_are_missed_wherever_they_may_stand(tmp_path: Path) -> None:
    text = """\
tools:
  far: {url: "https://${HOST}/mcp", headers: {Authorization: "${KEY}"}}
  db: {builtin: sql, database: "${DB_URL}"}
  web: {builtin: http, allow: ["${SITE}"]}
  npm: {package: "npm:x@1.0.0", args: ["${ARG}"]}
"""
    found = load_project(project(tmp_path, **{".mcp.json": "", "interlock.yaml": text}), {})
    assert {(gap.server, gap.name) for gap in found.missing_env({})} == {
        ("far", "HOST"),
        ("far", "KEY"),
        ("db", "DB_URL"),
        ("web", "SITE"),
        ("npm", "ARG"),
    }


def test_no_secret_becomes_part_of_a_project(tmp_path: Path) -> None:
    (tmp_path / "home/secrets").mkdir(parents=True)
    (tmp_path / "home/secrets/b").write_text("hunter2\n")
    text = "tools: {git: {headers: {B: 'secret://b'}}}\n"
    files = {".mcp.json": REMOTE, "interlock.yaml": text, "policy.yaml": ""}
    found = load_project(project(tmp_path, **files), {"INTERLOCK_HOME": str(tmp_path / "home"), "TOKEN": "x"})
    assert "hunter2" not in repr(found) + str(found.config.model_dump())
    assert found.notes == ()


@pytest.mark.parametrize(
    ("inside", "beside", "mode"),
    [
        ("{}", "{}", "preferred"),
        ("{}", "{sandbox: off}", "off"),
        ("{sandbox: off}", "{sandbox: required}", "required"),
        ("{sandbox: required}", "{}", "required"),
    ],
)
def test_the_stricter_policy_of_the_sandbox_wins(tmp_path: Path, inside: str, beside: str, mode: str) -> None:
    (tmp_path / "interlock.yaml").write_text(f"policy: {inside}")
    (tmp_path / "policy.yaml").write_text(beside)
    assert load_project(tmp_path, {}).config.policy.sandbox == mode


def test_playbooks(tmp_path: Path) -> None:
    found = load_project(
        project(tmp_path, **{"playbooks/late.yml": "a: 1", "playbooks/b.yaml": ""}), {"REPO": "", "TOKEN": ""}
    )
    assert list(found.playbooks) == ["b", "clean"]
    assert found.notes[-1] == "playbooks/late.yml: passed over; expected the ending .yaml"
    with pytest.raises(PlaybookError, match=r"playbooks/b\.yaml:2: the key 'a' is repeated"):
        load_project(project(tmp_path, **{"playbooks/b.yaml": "a: 1\na: 2"}), {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_folder_that_can_not_be_read(tmp_path: Path) -> None:
    (project(tmp_path) / "tools").chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        load_project(tmp_path, {})


fuzz = st.one_of(
    st.binary(max_size=100),
    st.sampled_from([CONFIG, POLICY, MCP, "steps: []"]).map(str.encode),
    st.tuples(st.sampled_from([CONFIG, POLICY, MCP]), st.integers(0, 700), st.text(max_size=4)).map(
        lambda cut: (cut[0][: cut[1]] + cut[2] + cut[0][cut[1] + 2 :]).encode("utf-8", "surrogatepass")
    ),
    st.tuples(
        st.sampled_from([CONFIG, POLICY, MCP]), st.integers(0, 700), st.text(":-[]{}*&!<\n \t0.'", max_size=6)
    ).map(lambda cut: (cut[0][: cut[1]] + cut[2] + cut[0][cut[1] :]).encode()),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=120)
@given(fuzz, fuzz, fuzz, fuzz)
def test_any_content_loads_or_is_one_of_our_errors(
    tmp_path: Path, config: bytes, policy: bytes, mcp: bytes, playbook: bytes
) -> None:
    project(tmp_path)
    for name, content in {
        "interlock.yaml": config, "policy.yaml": policy, ".mcp.json": mcp, "playbooks/clean.yaml": playbook,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
    with contextlib.suppress(InterlockError):
        load_project(tmp_path, {})
