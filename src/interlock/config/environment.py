"""`${NAME}` in configuration texts, and the environment that a child server starts from."""

import re
from collections.abc import Mapping

from interlock.model import ConfigError

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_PASSED_ON = frozenset({"PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"})


def expand_env(text: str, env: Mapping[str, str]) -> str:
    """Replace `${NAME}` and `${NAME:-default}` by what `env` says; what they give is not expanded again.

    As in a shell, the default also stands in for a variable that is set but empty. Any other `$` stays.

    Raises:
        ConfigError: a variable without default is not set.
    """
    missing = missing_names(text, env)
    if missing:
        name = missing[0]
        raise ConfigError(f"the environment variable {name} is not set", hint=f"export {name}=…")
    return _REFERENCE.sub(lambda found: env.get(found[1], "") or found[2] or "", text)


def is_header_name(text: str) -> bool:
    """Whether HTTP allows a header of that name (RFC 9110, 5.1); ours have 128 characters at most."""
    return _HEADER_NAME.fullmatch(text) is not None


def missing_names(text: str, env: Mapping[str, str]) -> tuple[str, ...]:
    """The variables without default that `text` uses and `env` has not, in order."""
    names = [found[1] for found in _REFERENCE.finditer(text) if found[2] is None and found[1] not in env]
    return tuple(dict.fromkeys(names))


def scrubbed_env(env: Mapping[str, str]) -> dict[str, str]:
    """What a child server may inherit: search path, language, time zone, temporary folder, certificates.

    No HOME, no keys, nothing of interlock's own: what a server needs beyond this is declared in its `env`.
    """
    return {name: value for name, value in env.items() if name in _PASSED_ON or name.startswith("LC_")}
