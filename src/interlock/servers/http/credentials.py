"""Secrets of the operator: sent to one host only, never seen by a model, taken out of every answer.

The values come from the environment of this process and stay in its memory.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from interlock.model import ConfigError, UserError
from interlock.servers.http.allow import AllowList
from interlock.servers.http.headers import HIDDEN, Headers, check_name, check_value
from interlock.servers.http.limits import SECRET_CHARACTERS
from interlock.servers.http.target import Target, parse_target, shown

_LEAST_CHARACTERS = 4  # a shorter text can't be told from others
_WORD_CHARACTERS = 8
_SCHEME = re.compile(r"https?://")


@dataclass(frozen=True)
class Credential:
    """A header for the requests to one origin."""

    origin: tuple[str, str, int]
    name: str
    value: str = field(repr=False)


class Vault:
    """All credentials, and the pattern that finds them in what servers answer.

    Attributes:
        longest: characters of the longest secret, in whatever way it is written.
    """

    def __init__(self, credentials: Iterable[Credential] = ()) -> None:
        self._credentials = tuple(credentials)
        forms = {form for credential in self._credentials for form in _forms(credential.value)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None
        self.longest = len(longest_first[0]) if forms else 0

    @classmethod
    def parse(cls, texts: Iterable[str], env: Mapping[str, str], allow: AllowList) -> "Vault":
        """Read `HOST=HEADER=VARIABLE`; the host may have a port, and `http://` before it if it has no TLS.

        Raises:
            ConfigError: a text is not of that form, its host is not allowed, or the variable is not set.
        """
        return cls(_parse(text, env, allow) for text in texts)

    def headers_for(self, target: Target, given: Headers) -> Headers:
        """The headers to add to a request.

        Raises:
            UserError: the caller set one of them, or the request would go there without TLS.
        """
        found = [known for known in self._credentials if known.origin == target.origin]
        for known in self._credentials:
            if not found and known.origin[:2] == ("https", target.host) and target.scheme == "http":
                raise UserError(f"Requests to {target.host} carry a credential, which needs TLS; use https.")
        names = {name.lower() for name, _ in given}
        for known in found:
            if known.name.lower() in names:
                raise UserError(f"The header {shown(known.name)} is set by the operator for {target.host}.")
        return tuple((known.name, known.value) for known in found)

    def hide(self, text: str) -> str:
        """The text without secrets."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)

    def hide_bytes(self, content: bytes) -> bytes:
        """The bytes without secrets."""
        if self._pattern is None:
            return content
        return self.hide(content.decode("latin-1")).encode("latin-1")

    def hide_all(self, value: Any) -> Any:
        """A value of JSON, without secrets in any text in it, keys included."""
        return value if self._pattern is None else self._walk(value)

    def _walk(self, value: Any) -> Any:
        match value:
            case str():
                return self.hide(value)
            case list():
                return [self._walk(item) for item in value]
            case dict():
                return {self.hide(key): self._walk(item) for key, item in value.items()}
            case _:
                return value


def _parse(text: str, env: Mapping[str, str], allow: AllowList) -> Credential:
    host, name, variable = (*text.split("=", 2), "", "")[:3]
    try:
        target = parse_target(host if _SCHEME.match(host) else f"https://{host}")
        check_name(name)
        value = env.get(variable, "").strip()
        if not value:
            raise UserError(f"the environment variable {shown(variable)} is not set.")
        if len(value) < _LEAST_CHARACTERS or len(value) > SECRET_CHARACTERS:
            raise UserError(
                f"the value of {shown(variable)} has less than {_LEAST_CHARACTERS} characters, or too many."
            )
        check_value(name, value)
    except UserError as error:
        raise ConfigError(f"--header-env: {error.message} Expected HOST=HEADER=VARIABLE.") from error
    refusal = allow.host_refusal(target)
    if refusal is not None:
        raise ConfigError(f"--header-env: {refusal}")
    return Credential(target.origin, name, value)


def _forms(value: str) -> set[str]:
    """A secret as it may come back: whole, its words, the pair of a Basic one; plain, in JSON, in a URL, in base64."""
    plain = {value, *(word for word in value.split() if len(word) >= _WORD_CHARACTERS)}
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(rest, validate=True).decode()
        except (binascii.Error, ValueError):
            pair = ""
        plain |= {text for text in (pair, pair.partition(":")[2]) if len(text) >= _LEAST_CHARACTERS}
    written = {base64.b64encode(text.encode()).decode() for text in plain}
    return plain | written | {json.dumps(text)[1:-1] for text in plain} | {quote(text, safe="") for text in plain}
