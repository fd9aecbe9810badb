"""TLS: the certificate is verified for the name in the URL, while the connection goes to a checked address."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from interlock.config import SystemClock
from interlock.servers.http.server import tls_context

from .conftest import PUBLIC, Bench, Names, Network, Origin, listening, redirect, reply


@dataclass
class Authority:
    """A certificate authority of the test, and what it issues."""

    folder: Path

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        certificate = self._builder(self._name, self._key, []).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.file = self.folder / "ca.pem"
        self.file.write_bytes(certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName], days: int = 1
    ) -> x509.CertificateBuilder:
        now = SystemClock().now()
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=10))
            .not_valid_after(now + datetime.timedelta(days=days))
        )
        return builder.add_extension(x509.SubjectAlternativeName(names), critical=False) if names else builder

    def context(self, *names: str, days: int = 1) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives: list[x509.GeneralName] = [
            x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names
        ]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = self._builder(subject, key, alternatives, days).sign(self._key, hashes.SHA256())
        file = self.folder / f"{names[0]}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def secure(authority: Authority) -> AsyncIterator[Bench]:
    context = authority.context("site.example", "127.0.0.1")
    asked: list[str | None] = []

    def note(_socket: object, name: str | None, _context: object) -> None:
        asked.append(name)

    context.sni_callback = note
    async with listening(Origin(routes={"/": reply(b"ok")}), context) as origin:
        bench = Bench(origin, Network(origin.port), Names(), ["site.example", "wrong.example", "127.0.0.1"])
        bench.tls = lambda: tls_context(authority.file)
        yield bench
        assert set(asked) <= {"site.example", "wrong.example", None}


async def test_the_right_name_is_served(secure: Bench) -> None:
    outcome = await secure.call("get", {"url": "https://site.example/"})
    assert not outcome.failed, outcome.text
    assert secure.network.asked == [(PUBLIC, 443)]
    assert secure.origin.seen[0].headers["host"] == "site.example"


async def test_an_address_can_have_a_certificate(secure: Bench) -> None:
    assert not (await secure.call("get", {"url": "https://127.0.0.1/"})).failed


async def test_a_wrong_name_is_refused_before_anything_is_sent(secure: Bench) -> None:
    outcome = await secure.call("request", {"method": "POST", "url": "https://wrong.example/", "body": "secret"})
    assert outcome.failed
    assert outcome.text.startswith("Not sent: wrong.example has no valid certificate: Hostname mismatch")
    assert outcome.structured is not None
    assert "in_doubt" not in outcome.structured
    assert secure.origin.seen == []


async def test_an_unknown_authority_is_refused(secure: Bench) -> None:
    secure.tls = lambda: tls_context(None)
    outcome = await secure.call("get", {"url": "https://site.example/"})
    assert outcome.failed
    assert "no valid certificate" in outcome.text
    assert secure.origin.seen == []


async def test_an_old_certificate_is_refused(authority: Authority) -> None:
    async with listening(Origin(), authority.context("old.example", days=-1)) as origin:
        bench = Bench(origin, Network(origin.port), Names(), ["old.example"], tls=lambda: tls_context(authority.file))
        outcome = await bench.call("get", {"url": "https://old.example/"})
    assert "certificate has expired" in outcome.text
    assert origin.seen == []


async def test_a_server_without_tls() -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        bench = Bench(Origin(), Network(server.sockets[0].getsockname()[1]), Names(), ["site.example"])
        outcome = await bench.call("request", {"method": "POST", "url": "https://site.example/"})
    assert outcome.text == "Not sent: site.example could not agree on TLS."
    assert outcome.structured is not None
    assert "in_doubt" not in outcome.structured


async def test_no_redirect_takes_tls_away(secure: Bench) -> None:
    secure.origin.routes["/down"] = redirect("http://site.example/")
    outcome = await secure.call("get", {"url": "https://site.example/down"})
    assert outcome.failed
    assert "without TLS" in outcome.text
    assert len(secure.network.asked) == 1
