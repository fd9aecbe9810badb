"""The one parser of URLs: what it returns is what is compared with the allow-list, looked up and sent. Pure.

It takes less than browsers take. Whatever two programs could read in two ways is refused with a sentence that says
how to write it instead: other schemes, user names, backslashes, control characters, host names that are not plain
ASCII or end in a dot, IPv4 addresses in any form but four decimal numbers, zone ids, `..` in paths.
"""

import json
import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote, unquote

from interlock.model import UserError
from interlock.servers.http.address import Address
from interlock.servers.http.limits import URL_CHARACTERS

DEFAULT_PORTS = {"http": 80, "https": 443}
_SHOWN = 100
_PORTS = 65_535
_HOST_CHARACTERS = 253
_UNQUOTINGS = 3  # some servers decode a path twice

_SHAPE = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<authority>[^/?#]*)(?P<rest>[^#]*))?")
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]+))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_REST = re.compile(r"(?:[!$&'()*+,\-./0-9:;=?@A-Z_a-z~\[\]]|%[0-9A-Fa-f]{2})*")
_QUOTED = str.maketrans({character: quote(character) for character in '"<>^`{|}'})


@dataclass(frozen=True)
class Target:
    """Where a request goes.

    Attributes:
        scheme: `http` or `https`.
        host: lower-case name, or an address in its one usual form, IPv6 without brackets.
        port: never missing.
        path: path and query in ASCII, as they are sent; begins with a slash.
        address: the host, if it is an address.
    """

    scheme: str
    host: str
    port: int
    path: str
    address: Address | None = None

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what must be the same for secrets to go along."""
        return (self.scheme, self.host, self.port)

    @property
    def netloc(self) -> str:
        """The host as in a `Host` header: IPv6 in brackets, the port unless it is the scheme's own."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole, written in the one usual way."""
        return f"{self.scheme}://{self.netloc}{self.path}"


def parse_target(text: str) -> Target:
    """Read a URL; the fragment is left out.

    Raises:
        UserError: it is not a plain http or https URL; the sentence says what to write instead.
    """
    _require_plain(text)
    shape = _SHAPE.match(text)
    if shape is None or shape["authority"] is None:
        raise UserError(f"{shown(text)} is no URL of the form https://host/path.")
    scheme = shape["scheme"].lower()
    if scheme not in DEFAULT_PORTS:
        raise UserError(f"The scheme {shown(scheme)} is not supported; only http and https are.")
    host, address, port = _parse_authority(shape["authority"])
    path = _parse_rest(shape["rest"])
    return Target(scheme, host, DEFAULT_PORTS[scheme] if port is None else port, path, address)


def parse_host(text: str) -> tuple[str, Address | None]:
    """A host name in lower case, or an IPv4 address of four decimal numbers; IPv6 addresses are not read here.

    Raises:
        UserError: it is neither.
    """
    if not text.isascii():
        raise UserError(f"The host {shown(text)} is not ASCII; write an international name in its xn-- form.")
    host = text.lower()
    if host.endswith("."):
        raise UserError(f"The host {shown(text)} ends with a dot; leave it out.")
    labels = host.split(".")
    if len(host) > _HOST_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        raise UserError(f"{shown(text)} is no host name.")
    if not _NUMBER.fullmatch(labels[-1]):
        return host, None
    try:
        address = IPv4Address(host)
    except AddressValueError as error:
        raise UserError(f"The address {shown(text)} must be written as four decimal numbers: 192.0.2.1.") from error
    return str(address), address


def parse_port(text: str) -> int:
    """A port number without leading zeros.

    Raises:
        UserError: it is not.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text) or int(text) > _PORTS:
        raise UserError(f"The port {shown(text)} is not a number from 1 to {_PORTS}.")
    return int(text)


def shown(text: str) -> str:
    """A piece of a caller's text as sentences show it: quoted, ASCII only, short."""
    return json.dumps(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _require_plain(text: str) -> None:
    if len(text) > URL_CHARACTERS:
        raise UserError(f"The URL has {len(text):,} characters; at most {URL_CHARACTERS:,} are taken.")
    if "\\" in text:
        raise UserError("The URL holds a backslash; write it as %5C.")
    for character in text:
        if character.isspace() or not character.isprintable():
            raise UserError(f"The URL holds the character {shown(character)}; percent-encode it.")


def _parse_authority(text: str) -> tuple[str, Address | None, int | None]:
    if "@" in text:
        raise UserError("The URL holds a user name before an @; credentials in URLs are not supported.")
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise UserError(f"{shown(text)} is no host with an optional port.")
    port = None if found["port"] is None else parse_port(found["port"])
    if found["v6"] is None:
        return (*parse_host(found["name"]), port)
    try:
        address = IPv6Address(found["v6"])
    except AddressValueError as error:
        raise UserError(f"{shown(text)} is no IPv6 address.") from error
    return address.compressed, address, port


def _parse_rest(text: str) -> str:
    """Path and query as they are sent: what URLs can't hold is percent-encoded, as UTF-8."""
    rest = "".join(character if character.isascii() else quote(character) for character in text).translate(_QUOTED)
    if not _REST.fullmatch(rest):
        raise UserError("The URL holds a % that two hexadecimal digits do not follow; write it as %25.")
    rest = rest if rest.startswith("/") else f"/{rest}"
    _require_straight(rest.partition("?")[0])
    return rest


def _require_straight(path: str) -> None:
    """No part of the path leads up again, however it is written: rules about URLs compare the path as it stands."""
    for _ in range(_UNQUOTINGS):
        parts = (part.partition(";")[0] for part in re.split(r"[/\\]", path))
        if any(part in (".", "..") for part in parts):
            raise UserError("The path holds '.' or '..' as a part; write the path that is meant.")
        path = unquote(path)
