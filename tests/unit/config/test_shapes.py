"""Rates and package names as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config import PackageName, Rate, ToolServerConfig, parse_package, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/s", Rate(10, 1, 10)),
        ("60/m", Rate(60, 60, 60)),
        ("600/h burst 20", Rate(600, 3600, 20)),
        (" 1 / d  burst  3 ", Rate(1, 86_400, 3)),
    ],
)
def test_rates(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate
    assert rate.per_second == pytest.approx(rate.amount / rate.per_s)


@pytest.mark.parametrize(
    "text",
    ["", "10", "10/", "/s", "10/w", "0/s", "1/s burst 0", "1/s burst", "-1/s", "1.5/s", "1/sburst 2", "9" * 10 + "/s"],
)
def test_no_rates(text: str) -> None:
    with pytest.raises(ValueError, match="expected a rate such as"):
        parse_rate(text)


@given(st.text())
def test_any_text_is_a_rate_of_something_or_a_value_error(text: str) -> None:
    try:
        rate = parse_rate(text)
    except ValueError:
        return
    assert 0 < rate.per_second < 1e9
    assert rate.burst >= 1


@pytest.mark.parametrize(
    ("text", "name", "version"),
    [
        ("pypi:mcp-server-git", "mcp-server-git", None),
        ("pypi:awslabs.iam-mcp-server==1.1.2", "awslabs.iam-mcp-server", "1.1.2"),
        ("pypi:mcp[cli,ws]==2.0", "mcp[cli,ws]", "2.0"),
        ("pypi:a>=1,<2", "a", ">=1,<2"),
        ("pypi:a==1.*", "a", "==1.*"),
        ("pypi:a~=1.4", "a", "~=1.4"),
        ("npm:x", "x", None),
        ("npm:x@latest", "x", None),
        ("npm:x@1.2.3-beta.1", "x", "1.2.3-beta.1"),
        ("npm:@scope/name", "@scope/name", None),
        ("npm:@scope/name@^1.2", "@scope/name", "^1.2"),
    ],
)
def test_packages(text: str, name: str, version: str | None) -> None:
    registry = text.partition(":")[0]
    assert parse_package(text) == PackageName("npm" if registry == "npm" else "pypi", name, version)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "",
        "pypi:",
        "npm:",
        "docker:x",
        "pypi:-r",
        "pypi:git+https://x/y",
        "pypi:a@1",
        "pypi:./a",
        "pypi:a ; b",
        "npm:../x",
        "npm:a/b",
        "npm:@s/a/b",
        "npm:x@npm:y",
        "npm:x@file:y",
        "npm:x@https://y",
        "npm:.bin",
        "npm:-g",
        "npm:@/x",
        "npm:@../x",
    ],
)
def test_no_packages(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected pypi:NAME==VERSION or npm:NAME@VERSION"):
        parse_package(text)


@given(st.sampled_from(["pypi:", "npm:"]), st.text("ab@/.-_[]<>=~^,*:+ \n\0é", max_size=12))
def test_no_package_leaves_its_folder(registry: str, rest: str) -> None:
    try:
        found = parse_package(registry + rest)
    except ValueError:
        return
    assert ".." not in found.name.split("/")
    assert not found.name.startswith(("/", "-", "."))
    assert found.name.count("/") == (1 if found.name.startswith("@") else 0)


@pytest.mark.parametrize(
    ("package", "override", "fits"),
    [
        ("pypi:a==1", "mcp<2", True),
        ("pypi:a==1", "--allow-build", True),
        ("pypi:a==1", "mcp", False),
        ("pypi:a==1", "--index-url=x", False),
        ("pypi:a==1", "zod@3", False),
        ("npm:a@1", "zod@3", True),
        ("npm:a@1", "@s/x@^1", True),
        ("npm:a@1", "zod", False),
    ],
)
def test_overrides(package: str, override: str, fits: bool) -> None:
    try:
        ToolServerConfig(package=package, overrides=[override])
    except ValueError as error:
        assert not fits
        assert "found the override" in str(error)
        return
    assert fits
