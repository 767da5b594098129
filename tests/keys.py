"""Keys and certificates for tests: made anew in each, known to nobody."""

import datetime as dt
import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from groundwork import key_file
from groundwork.keys import SCOPES, Scope, create

NOW: Final = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
_DAY: Final = dt.timedelta(days=1)
_SIGNS: Final = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def one_key_per_scope(path: Path) -> dict[str, str]:
    """Write a keys file with one key per scope; the texts by scope."""
    made = {scope: create(scope.replace(":", "-"), [scope], NOW) for scope in SCOPES}
    key_file.save(path, (key for key, _ in made.values()))
    return {scope: text for scope, (_, text) in made.items()}


def one_key(path: Path, *scopes: Scope, rate: float | None = None, concurrency: int | None = None) -> str:
    """Write a keys file with one key of these scopes; its text."""
    key, text = create("one", scopes, NOW, rate=rate, concurrency=concurrency)
    key_file.save(path, [key])
    return text


def bearer(text: str) -> dict[str, str]:
    """The header that shows a key."""
    return {"authorization": f"Bearer {text}"}


class Authority:
    """Signs certificates for 127.0.0.1 and for clients, in files of a folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(self._name, self._key, is_authority=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[str, str]:
        """A certificate and its private key: the paths of two files, replaced when they are there."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, is_authority=False)
        cert_file, key_file_ = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file_.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return str(cert_file), str(key_file_)

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_authority: bool
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        addresses: Iterable[x509.GeneralName] = [
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.DNSName("localhost"),
        ]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
            # From Python 3.13 on, who is signed by whom is to be said in certificates (VERIFY_X509_STRICT).
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if is_authority:
            builder = builder.add_extension(_SIGNS, critical=True)
        return builder.sign(self._key, hashes.SHA256())
