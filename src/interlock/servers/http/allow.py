"""The allow-list: which hosts may be asked for, and which addresses may then be connected to. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Self

from interlock.model import ConfigError, UserError
from interlock.servers.http.address import INSIDE, NEVER, Address, Kind, Network, kind_of
from interlock.servers.http.target import DEFAULT_PORTS, Target, parse_host, parse_port, shown

LOCALHOST = "localhost"
_WIDEST = {4: 8, 6: 7}  # bits; a wider network is no statement about anyone's machines


@dataclass(frozen=True)
class Rule:
    """One line of the list; either a network or a name.

    Attributes:
        port: the only port; None means the scheme's own.
        network: of addresses, which may then also be inside.
        name: a host name, `*` for all, or what a name must end with, dot included.
    """

    port: int | None
    network: Network | None = None
    name: str = ""

    def fits_host(self, target: Target) -> bool:
        """Whether the rule is about this host and port."""
        if target.address is not None:
            return self.fits_address(target, target.address)
        if self.network is not None or not self._fits_port(target):
            return False
        if self.name == target.host:
            return True
        wide = self.name == "*" or (self.name.startswith(".") and target.host.endswith(self.name))
        return wide and target.host != LOCALHOST

    def fits_address(self, target: Target, address: Address) -> bool:
        """Whether the rule names this very address, by itself or in a network, for the port."""
        return self.network is not None and address in self.network and self._fits_port(target)

    def _fits_port(self, target: Target) -> bool:
        return target.port == (DEFAULT_PORTS[target.scheme] if self.port is None else self.port)


@dataclass(frozen=True)
class AllowList:
    """All rules. `private` lets names lead to this machine and to private networks, never to metadata services."""

    rules: tuple[Rule, ...]
    private: bool = False

    @classmethod
    def parse(cls, texts: Iterable[str], *, private: bool = False) -> Self:
        """Read rules: `api.example.com`, `*.example.com`, `*`, `localhost:8080`, `192.0.2.1`, `10.0.0.0/8`, `[fd00::/8]:80`.

        Raises:
            ConfigError: one of them is none of these.
        """
        return cls(tuple(_parse(text) for text in texts), private)

    def host_refusal(self, target: Target) -> str | None:
        """Why this host and port may not be asked for; None if they may. Nothing is looked up for it."""
        if any(rule.fits_host(target) for rule in self.rules):
            return None
        return f"{target.netloc} is not on the allow-list of this server; the operator adds hosts to it."

    def address_refusal(self, target: Target, address: Address) -> str | None:
        """Why this address, which the host stands for, may not be connected to; None if it may."""
        kind = kind_of(address)
        named = any(rule.fits_address(target, address) for rule in self.rules)
        own = target.host == LOCALHOST and kind is Kind.LOOPBACK
        if kind is Kind.PUBLIC or (kind not in NEVER and (named or own or (self.private and kind in INSIDE))):
            return None
        return f"{target.host} leads to {address}, {kind.value}, where requests may not go."


def _parse(text: str) -> Rule:
    try:
        return _rule(text)
    except (UserError, ValueError) as error:
        why = error.message if isinstance(error, UserError) else f"{error}."
        raise ConfigError(
            f"--allow {shown(text)}: {why} Expected api.example.com, *.example.com, or 10.0.0.0/8."
        ) from error


def _rule(text: str) -> Rule:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise UserError("It is no address in brackets with an optional port.")
        port = parse_port(rest[1:]) if rest else None
    elif text.count(":") > 1:
        host, port = text, None
    else:
        host, colon, number = text.partition(":")
        port = parse_port(number) if colon else None
    if ":" in host or "/" in host:
        return Rule(port, _network(host))
    if host == "*":
        return Rule(port, name=host)
    wide = host.startswith("*.")
    name, address = parse_host(host[2:] if wide else host)
    if address is None:
        return Rule(port, name=f".{name}" if wide else name)
    if wide:
        raise UserError("An address has no names below it.")
    return Rule(port, _network(str(address)))


def _network(text: str) -> Network:
    if "%" in text:
        raise UserError("A zone can't be part of an address here.")
    network = ip_network(text)
    if network.prefixlen < _WIDEST[network.version]:
        raise UserError("The network is too wide; '*' allows all hosts with a public address.")
    if network.num_addresses == 1 and kind_of(network.network_address) in NEVER:
        raise UserError(f"{network.network_address} is {kind_of(network.network_address).value}: never allowed.")
    return network
