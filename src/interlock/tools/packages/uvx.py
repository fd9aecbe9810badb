"""`uvx NAME@VERSION ARGS…` and `uv tool run`, read as a package and what its program is given."""

import re

from interlock.config import PackageName, parse_package
from interlock.tools.packages.words import Launched, Words, options_of

_FROM, _WITH = "--from", frozenset({"--with", "-w"})
# The Python is interlock's own; a package that needs another one says so when it is installed.
_IGNORED_VALUES = frozenset(
    {"--python", "-p", "--color", "--link-mode", "--index-strategy", "--refresh-package", "--cache-dir"}
    | {"--resolution", "--upgrade-package", "-P", "--reinstall-package", "--python-preference"}
)
_FLAGS = frozenset(
    {
        "-q",
        "--quiet",
        "-v",
        "--verbose",
        "--isolated",
        "--refresh",
        "-n",
        "--no-cache",
        "--native-tls",
        "--system-certs",
    }
    | {"--offline", "--no-progress", "-U", "--upgrade", "--reinstall", "--no-build", "--managed-python", "--preview"}
    | {"--no-managed-python", "--no-python-downloads", "--no-env-file", "--compile-bytecode", "--no-config"}
)


def read_uvx(program: str, words: tuple[str, ...]) -> Launched:
    """What a `uvx` command line starts.

    Raises:
        ConfigError: it can't be made a pinned, installed package.
    """
    left = Words(program, words)
    options = options_of(left, frozenset({_FROM}) | _WITH | _IGNORED_VALUES, _FLAGS)
    first = left.first()
    sources = options.get(_FROM, [])
    if sources:
        package, entry = _package(left, sources[-1]), re.split(r"[@=<>~!]", first, maxsplit=1)[0]
    else:
        package = _package(left, first)
        entry = None
    more = [part for name in _WITH for value in options.get(name, []) for part in value.split(",") if part]
    for text in more:
        _package(left, text)
    return Launched(package, tuple(more), entry, left.rest())


def _package(left: Words, text: str) -> PackageName:
    """`NAME`, `NAME@VERSION` or a requirement such as `NAME[extra]>=1`."""
    name, at, version = "".join(text.split()).partition("@")
    wanted = f"{name}=={version}" if at and version != "latest" else name
    try:
        return parse_package(f"pypi:{wanted}")
    except ValueError:
        left.refuse(f"'{text[:60]}' is no name of a package")
