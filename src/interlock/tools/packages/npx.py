"""`npx -y NAME@VERSION ARGS…` and `npm exec`, read as a package and what its program is given."""

from interlock.config import parse_package
from interlock.tools.packages.words import Launched, Words, options_of

_PACKAGE = frozenset({"-p", "--package"})
_IGNORED_VALUES = frozenset({"--loglevel", "--node-options", "--cache", "--fetch-timeout", "--fetch-retries"})
_LOCAL_ONLY = frozenset({"--no", "--no-install"})
_FLAGS = frozenset(
    {"-y", "--yes", "-q", "--quiet", "-s", "--silent", "--ignore-existing", "--prefer-offline", "--prefer-online"}
    | {"--no-update-notifier", "--no-fund", "--no-audit", "--offline", "--ignore-scripts", "--verbose", "-d"}
)


def read_npx(program: str, words: tuple[str, ...]) -> Launched | None:
    """What an `npx` command line starts; None if it only starts what is installed already.

    Raises:
        ConfigError: it fetches code, and in a way that can't be made a pinned, installed package.
    """
    left = Words(program, words)
    options = options_of(left, _PACKAGE | _IGNORED_VALUES, _FLAGS | _LOCAL_ONLY)
    if options.keys() & _LOCAL_ONLY:
        return None
    packages = [value for name in _PACKAGE for value in options.get(name, [])]
    if len(packages) > 1:
        left.refuse("it names more than one package")
    first = left.first()
    named = packages[0] if packages else first
    try:
        package = parse_package(f"npm:{named}")
    except ValueError:
        left.refuse(f"'{named[:60]}' is no name of a package")
    return Launched(package, (), first if packages else None, _arguments(program, left.rest()))


def _arguments(program: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """What the program gets: `npm exec` takes the first `--` for itself, `npx` hands on all that follows the name."""
    if program == "npm exec" and "--" in words:
        cut = words.index("--")
        return (*words[:cut], *words[cut + 1 :])
    return words
