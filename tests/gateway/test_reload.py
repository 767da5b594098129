"""Which settings can be taken up."""

import msgspec
import pytest

from gateway.log_settings import LogSettings
from gateway.reload import RestartError, check_reload, with_ports_of
from gateway.settings import GatewaySettings, PortSettings, StopSettings, WorkerSettings
from groundwork.ports import LimitSettings, TlsSettings
from groundwork.settings import differences

OLD = GatewaySettings()


def changed(**sections: object) -> GatewaySettings:
    """The defaults with these sections."""
    return msgspec.structs.replace(OLD, **sections)


def test_what_workers_read_can_be_taken_up() -> None:
    """The names of everything that differs, in the order of the reference page."""
    new = changed(
        stop=StopSettings(delay=3.0),
        limits=LimitSettings(connections=5),
        log=LogSettings(max_age=60.0),
        worker=WorkerSettings(max_age=60.0),
    )
    names = check_reload(OLD, new)
    assert sorted(names) == ["limits.connections", "log.max_age", "stop.delay", "worker.max_age"]
    assert check_reload(OLD, OLD) == []


@pytest.mark.parametrize(
    ("new", "names"),
    [
        (changed(data="elsewhere"), "data"),
        (changed(models="s3://others", workers=7), "models, workers"),
        (changed(http=PortSettings(port=9), stop=StopSettings(delay=3.0)), "http.port"),
        (changed(operator=PortSettings(port=8081, host="::1")), "operator.host"),
        (changed(http=PortSettings(port=8080, tls=TlsSettings(cert="c", key="k"))), "http.tls.cert"),
        (changed(log=LogSettings(segment_bytes=1 << 20)), "log.segment_bytes"),
    ],
)
def test_what_the_supervisor_holds_is_refused_by_name(new: GatewaySettings, names: str) -> None:
    """One setting that wants a restart refuses all, and only those that do are named."""
    with pytest.raises(RestartError) as refusal:
        check_reload(OLD, new)
    assert str(refusal.value) == f"settings {names} need a restart; nothing was changed"


def test_a_renewed_certificate_is_taken_up() -> None:
    """Other files for TLS that was on before are no reason for a restart."""
    before = changed(http=PortSettings(port=8080, tls=TlsSettings(cert="a", key="k")))
    after = changed(http=PortSettings(port=8080, tls=TlsSettings(cert="b", key="l", client_ca="ca")))
    assert check_reload(before, after) == ["http.tls.cert", "http.tls.key", "http.tls.client_ca"]


def test_a_free_port_that_was_found_is_kept() -> None:
    """Asking again for any free port is no change; asking for another one is."""
    given = changed(http=PortSettings(port=0))
    current = changed(http=PortSettings(port=4711))
    assert differences(current, with_ports_of(given, given, current)) == []
    moved = with_ports_of(changed(http=PortSettings(port=80)), given, current)
    assert differences(current, moved) == ["http.port"]
