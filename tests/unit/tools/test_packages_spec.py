"""Configurations that ask for a package, in all the forms in which people write them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config import ToolServerConfig
from interlock.model import ConfigError
from interlock.tools.packages.spec import PackageSpec, spec_of


def spec(**config: Any) -> PackageSpec | None:
    return spec_of(ToolServerConfig(**config))


def asked(line: str) -> PackageSpec | None:
    command, *args = line.split()
    return spec(command=command, args=args)


@pytest.mark.parametrize(
    ("line", "key", "entry", "args"),
    [
        # npx, as the pages of servers have it
        ("npx -y @modelcontextprotocol/server-everything", "npm:@modelcontextprotocol/server-everything", None, ""),
        ("npx -y @cyanheads/git-mcp-server /a /b", "npm:@cyanheads/git-mcp-server", None, "/a /b"),
        ("npx --yes @playwright/mcp@latest --headless", "npm:@playwright/mcp", None, "--headless"),
        ("npx @playwright/mcp@0.0.83 --caps=vision", "npm:@playwright/mcp@0.0.83", None, "--caps=vision"),
        ("npx -y mcp-remote https://x.example/sse -H A:${B}", "npm:mcp-remote", None, "https://x.example/sse -H A:${B}"),
        ("npx -y kubernetes-mcp-server@^0.0.67", "npm:kubernetes-mcp-server@^0.0.67", None, ""),
        ("npx -y --package=@notionhq/notion-mcp-server notion x", "npm:@notionhq/notion-mcp-server", "notion", "x"),
        ("npx -y -p @sentry/mcp-server@0.36.0 sentry -t=${T}", "npm:@sentry/mcp-server@0.36.0", "sentry", "-t=${T}"),
        ("npx --package @a/b -y -- c -- d", "npm:@a/b", "c", "-- d"),
        ("npx -y a -- b", "npm:a", None, "-- b"),
        ("npx -q --prefer-offline -y a -y", "npm:a", None, "-y"),
        ("npx --loglevel=silent -y a", "npm:a", None, ""),
        ("/usr/local/bin/npx -y a", "npm:a", None, ""),
        ("npx.cmd -y a", "npm:a", None, ""),
        ("cmd /c npx -y a b", "npm:a", None, "b"),
        ("npm exec -y a -- --b c", "npm:a", None, "--b c"),
        ("npm x --yes -- a b", "npm:a", None, "b"),
        # uvx
        ("uvx mcp-server-git", "pypi:mcp-server-git", None, ""),
        ("uvx mcp-server-git --repository ${REPO}", "pypi:mcp-server-git", None, "--repository ${REPO}"),
        ("uvx mcp-server-time@2026.10.19 --zone=UTC", "pypi:mcp-server-time==2026.10.19", None, "--zone=UTC"),
        ("uvx awslabs.iam_mcp-server@latest", "pypi:awslabs-iam-mcp-server", None, ""),
        ("uvx MCP_Server.Time==1.2", "pypi:mcp-server-time==1.2", None, ""),
        ("uvx mcp-server-sqlite>=2025,<2026 --db-path x", "pypi:mcp-server-sqlite>=2025,<2026", None, "--db-path x"),
        ("uvx --from mcp[cli]==1.9.0 mcp run x.py", "pypi:mcp[cli]==1.9.0", "mcp", "run x.py"),
        ("uvx --from=mcp-neo4j-cypher@0.6.0 mcp-neo4j-cypher", "pypi:mcp-neo4j-cypher==0.6.0", "mcp-neo4j-cypher", ""),
        ("uvx --from a b@1.0", "pypi:a", "b", ""),
        ("uvx --with mcp<2 mcp-server-sqlite --with x", "pypi:mcp-server-sqlite with mcp<2", None, "--with x"),
        ("uvx --with=b,c==1 -w d a", "pypi:a with b, c==1, d", None, ""),
        ("uvx --python 3.12 -q a", "pypi:a", None, ""),
        ("uvx -p 3.12 --refresh --isolated a -p 1", "pypi:a", None, "-p 1"),
        ("uv tool run a b", "pypi:a", None, "b"),
        ("uv -q tool run --from c a run", "pypi:c", "a", "run"),
        ("/root/.local/bin/uvx a", "pypi:a", None, ""),
    ],
)  # fmt: skip
def test_command_lines_that_fetch(line: str, key: str, entry: str | None, args: str) -> None:
    found = asked(line)
    assert found is not None
    assert (found.key, found.entry, " ".join(found.args)) == (key, entry, args)


@pytest.mark.parametrize(
    "line",
    [
        "python -m server",
        "node dist/index.js",
        "docker run -i --rm mcp/time",
        "uv run server.py",
        "uv --directory /x run server.py",
        "npm start",
        "npm run mcp",
        "npx --no-install a",
        "npx --no a",
        "my-npx a",
        "cmd /c server.bat",
        "uv",
    ],
)
def test_plain_commands(line: str) -> None:
    assert asked(line) is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("npx", "it names no package"),
        ("npx -y", "it names no package"),
        ("npx --package a", "it names no package"),
        ("npx -y --package", "the option '--package' has no value"),
        ("npx -y github:user/repo", "'github:user/repo' is no name"),
        ("npx -y user/repo", "'user/repo' is no name"),
        ("npx -y ./server", "'./server' is no name"),
        ("npx -y https://example.com/x.tgz", "is no name"),
        ("npx -y ${NAME}", "'${NAME}' is no name"),
        ("npx -y a@file:../b", "is no name"),
        ("npx -c 'a && b'", "the option '-c' can't be carried over"),
        ("npx --registry=https://r.example a", "the option '--registry' can't be carried over"),
        ("npx -p a -p b c", "more than one package"),
        ("npx -p a --package b c", "more than one package"),
        ("uvx", "it names no package"),
        ("uvx --from git+https://example.com/x y", "is no name"),
        ("uvx git+https://example.com/x", "is no name"),
        ("uvx ./x", "is no name"),
        ("uvx --index-url https://u:hunter2@example.com/simple a", "the option '--index-url' can't be carried over"),
        ("uvx --with-editable . a", "the option '--with-editable' can't be carried over"),
        ("uvx --with git+https://x a", "is no name"),
        ("uvx --env-file .env a", "the option '--env-file' can't be carried over"),
        ("uv tool run", "it names no package"),
    ],
)
def test_command_lines_that_fetch_what_can_not_be_pinned(line: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        asked(line)
    assert why in caught.value.message
    assert "expected `package: pypi:NAME==VERSION`" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_a_package_by_name() -> None:
    found = spec(
        package="pypi:MCP_server.sqlite==2025.4.25",
        overrides=["mcp<2", "mcp<2", "--allow-build"],
        args=["--db-path", "${F}"],
    )
    assert found == PackageSpec(
        "pypi", "mcp-server-sqlite", "2025.4.25", ("--allow-build", "mcp<2"), None, ("--db-path", "${F}")
    )
    assert (found.requirement, found.exact, found.requirements, found.allows_build) == (
        "mcp-server-sqlite==2025.4.25", True, ("mcp<2",), True,
    )  # fmt: skip
    scoped = spec(package="npm:@s/n@^1.2", entry="dist/index.js")
    assert scoped is not None
    assert (scoped.requirement, scoped.exact, scoped.entry) == ("@s/n@^1.2", False, "dist/index.js")


@pytest.mark.parametrize("config", [{"builtin": "workspace", "root": "."}, {"url": "https://x"}, {"required": False}])
def test_what_is_no_package(config: dict[str, Any]) -> None:
    assert spec(**config) is None


def test_an_entry_of_interlock_yaml_adds_to_an_npx_of_mcp_json() -> None:
    base = ToolServerConfig(command="npx", args=["-y", "a"])
    found = spec_of(base.model_copy(update={"overrides": ["zod@3"], "entry": "b"}))
    assert found is not None
    assert (found.key, found.entry) == ("npm:a with zod@3", "b")
    with pytest.raises(ConfigError, match="found the override 'mcp<2'; expected one that fits npm"):
        spec_of(base.model_copy(update={"overrides": ["mcp<2"]}))


@pytest.mark.parametrize(
    ("version", "registry", "exact"),
    [
        (None, "pypi", False), ("1.0", "pypi", True), ("==1.*", "pypi", False), (">=1", "pypi", False),
        ("1.0.0", "npm", True), ("1.0.0-rc.1", "npm", True), ("1", "npm", False),
        ("^1.0.0", "npm", False), ("next", "npm", False),
    ],
)  # fmt: skip
def test_what_is_one_version(version: str | None, registry: Any, exact: bool) -> None:
    assert PackageSpec(registry, "a", version).exact == exact


def test_folders_differ_by_what_is_installed() -> None:
    plain = PackageSpec("pypi", "a")
    names = {
        plain.folder_name("1"),
        plain.folder_name("2"),
        PackageSpec("pypi", "a[x]").folder_name("1"),
        PackageSpec("pypi", "a", overrides=("mcp<2",)).folder_name("1"),
        PackageSpec("pypi", "a", overrides=("mcp<3",)).folder_name("1"),
    }
    assert plain.folder_name("1") == "1"
    assert len(names) == 5
    assert PackageSpec("pypi", "a", entry="x", args=("y",)).folder_name("1") == "1"


@given(st.sampled_from(["npx", "uvx", "npm", "uv"]), st.lists(st.text("ay-p=@/.:<1 ${}", max_size=8), max_size=5))
def test_any_command_line_is_a_package_or_plain_or_refused(command: str, args: list[str]) -> None:
    try:
        found = spec_of(ToolServerConfig(command=command, args=args))
    except ConfigError:
        return
    if command in ("npx", "uvx") and "--no" not in args and "--no-install" not in args:
        assert found is not None
    if found is not None:
        assert ".." not in found.base_name.split("/")
        assert not found.name.startswith(("-", ".", "/"))
