"""What a port may be told: where to listen, and by which certificates."""

import io
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from groundwork.clock import FakeClock
from groundwork.errors import SettingsError
from groundwork.logs import Log
from groundwork.ports import KeysSettings, Tls, TlsSettings, check_reach, check_tls, is_loopback
from tests.keys import Authority
from tests.strangers import nobody, open_folder


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, inside: bool) -> None:  # noqa: FBT001  a table's column
    """A name other than localhost may lead anywhere, and does not count."""
    assert is_loopback(host) is inside


def test_a_port_of_commands_leaves_loopback_only_with_keys() -> None:
    """Without keys the error names the setting and what to do; with keys any address will do."""
    with pytest.raises(SettingsError, match=r"operator\.host is '0\.0\.0\.0'.*keys\.file"):
        check_reach("operator.host", "0.0.0.0", KeysSettings())
    check_reach("operator.host", "0.0.0.0", KeysSettings(file="keys.yaml"))
    check_reach("operator.host", "127.0.0.1", KeysSettings())


def test_half_of_tls_is_an_error(tmp_path: Path) -> None:
    """A certificate without its key, a key alone, and an authority alone are named."""
    cert, key = Authority(tmp_path).issue("server")
    with pytest.raises(SettingsError, match=r"http\.tls\.cert is set but http\.tls\.key is not"):
        check_tls("http.tls", TlsSettings(cert=cert))
    with pytest.raises(SettingsError, match=r"http\.tls\.key is set"):
        check_tls("http.tls", TlsSettings(key=key))
    with pytest.raises(SettingsError, match=r"http\.tls\.client_ca is set"):
        check_tls("http.tls", TlsSettings(client_ca=cert))
    check_tls("http.tls", TlsSettings())


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """A missing file, a key of another certificate and a locked key are errors, not prompts."""
    authority = Authority(tmp_path)
    cert, key = authority.issue("server")
    _, other = authority.issue("other")
    with pytest.raises(SettingsError, match=r"http\.tls: wanted PEM files"):
        check_tls("http.tls", TlsSettings(cert=cert, key=str(tmp_path / "none.key")))
    with pytest.raises(SettingsError, match=r"http\.tls: wanted PEM files"):
        check_tls("http.tls", TlsSettings(cert=cert, key=other))
    loaded = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    locked = loaded.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    Path(key).write_bytes(locked)
    with pytest.raises(SettingsError, match=r"http\.tls: wanted PEM files"):
        check_tls("http.tls", TlsSettings(cert=cert, key=key))


def served(context: ssl.SSLContext, authority: Authority) -> int:
    """The serial number of the certificate that a client sees."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=str(authority.file)).wrap_bio(
        to_client, to_server, server_hostname="127.0.0.1"
    )
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = client.getpeercert()
    assert found is not None
    return int(str(found["serialNumber"]), 16)


def test_a_renewed_certificate_is_taken_up_and_a_broken_one_is_not(tmp_path: Path) -> None:
    """New connections see the new certificate; one whose key is not there yet changes nothing."""
    authority, lines = Authority(tmp_path), io.StringIO()
    cert, key = authority.issue("server")
    tls = Tls("http.tls", TlsSettings(cert=cert, key=key), Log(lines, FakeClock()))
    assert tls.context is not None
    first = served(tls.context, authority)
    authority.issue("server")
    tls.look()
    second = served(tls.context, authority)
    Path(key).write_bytes(b"half a k")
    tls.look()
    tls.look()
    assert first != second == served(tls.context, authority)
    assert lines.getvalue().count("certificate-not-reloaded") == 1


def test_files_that_are_not_ours_are_named() -> None:
    """The one of certificate and key that cannot be read is named, and whose it should be."""
    with open_folder() as folder:
        cert, key = Authority(folder).issue("server")
        Path(key).chmod(0o000)
        Path(cert).chmod(0o644)
        with nobody(), pytest.raises(SettingsError, match=rf"http\.tls: {key} cannot be read .*uid \d+"):
            check_tls("http.tls", TlsSettings(cert=cert, key=key))
