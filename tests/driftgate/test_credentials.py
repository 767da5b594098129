"""What the command shows to an API: where key and certificates come from, and which one wins."""

from pathlib import Path

import click
import httpx
import pytest

from driftgate.credentials import Credentials, current, resolve
from driftgate.errors import CommandError
from driftgate.remote import Api
from tests.keys import Authority


def client_file(folder: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    """An environment that names a client file with this text."""
    file = folder / "client.yaml"
    file.write_text(text)
    file.chmod(mode)
    return {"DRIFTGATE_CLIENT_FILE": str(file)}


def test_flags_win_over_variables_and_those_over_the_file(tmp_path: Path) -> None:
    """Paths in the file are relative to it."""
    environ = client_file(tmp_path, "{key: dg_file, ca: ca.pem, cert: file.pem, cert_key: file.key}")
    assert resolve(environ) == Credentials(
        "dg_file", str(tmp_path / "ca.pem"), str(tmp_path / "file.pem"), str(tmp_path / "file.key")
    )
    environ |= {"DRIFTGATE_KEY": "dg_variable\n", "DRIFTGATE_CA": "variable.pem", "DRIFTGATE_CERT": "v.pem"}
    found = resolve(environ, cert="flag.pem")
    assert (found.key, found.ca, found.cert) == ("dg_variable", "variable.pem", "flag.pem")


def test_the_file_of_the_home_folder_is_found(tmp_path: Path) -> None:
    """Without a variable, ~/.config/driftgate/client.yaml where it exists; else nothing."""
    assert resolve({"HOME": str(tmp_path)}) == resolve({}) == Credentials()
    file = tmp_path / ".config" / "driftgate" / "client.yaml"
    file.parent.mkdir(parents=True)
    file.touch(0o600)
    file.write_text("key: dg_home")
    assert resolve({"HOME": str(tmp_path)}).key == "dg_home"


def test_a_file_with_a_key_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    """A key that others can read is an error that says what to do; certificates alone are no secret."""
    with pytest.raises(CommandError, match=r"mode 0640, wanted 0600; chmod 600"):
        resolve(client_file(tmp_path, "key: dg_x", 0o640))
    assert resolve(client_file(tmp_path, "ca: /ca.pem", 0o644)).ca == "/ca.pem"


@pytest.mark.parametrize("text", ["[", "keys: x", "key: [1]"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    """An unknown name or no YAML: the file is named, and the line."""
    with pytest.raises(CommandError, match=r"client file .*client\.yaml: .*line \d.*; correct it there$"):
        resolve(client_file(tmp_path, text))
    with pytest.raises(CommandError, match=r"client file .*none"):
        resolve({"DRIFTGATE_CLIENT_FILE": str(tmp_path / "none")})


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """Of two keys nobody would guess which one is sent."""
    with pytest.raises(CommandError, match=r"client\.yaml: key stands there again in line 2; remove one"):
        resolve(client_file(tmp_path, "key: dg_1\nkey: dg_2\n"))


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """A missing file is an error of the command, not a traceback of the library's."""
    with pytest.raises(CommandError, match="wanted PEM files"):
        Credentials(ca=str(tmp_path / "none.pem")).verify()
    cert, _ = Authority(tmp_path).issue("client")
    with pytest.raises(CommandError, match="wanted PEM files"):
        Credentials(cert=cert).verify()
    assert Credentials().verify() is True


def test_an_api_is_shown_the_key() -> None:
    """Every request carries it; what cannot stand in a header is an error that does not repeat it."""
    seen: list[str | None] = []

    def transport(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(200, json={})

    mock = httpx.MockTransport(transport)
    for credentials in (Credentials(), Credentials("dg_1")):
        Api("operator API", "http://x", credentials=credentials, transport=mock).get("/v1")
    assert seen == [None, "Bearer dg_1"]
    with pytest.raises(CommandError) as caught:
        Credentials("dg_\nspoilt").headers()
    assert "spoilt" not in str(caught.value)


def test_the_running_command_knows_its_flags() -> None:
    """A verb's API uses what was said before the verb."""
    with click.Context(click.Command("x"), obj=Credentials(cert="flag.pem")):
        assert current().cert == "flag.pem"
