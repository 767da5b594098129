"""The settings in force as they are told."""

from pathlib import Path

import msgspec

from driftgate import settings
from driftgate.in_force import bound, in_force, of_gateway, of_monitor


def test_every_setting_is_told_with_its_source(tmp_path: Path) -> None:
    """Plain data for every setting of both programs; what was left to the machine is told as it is."""
    file = tmp_path / "driftgate.yaml"
    file.write_text("monitor: {poll: 2s}\n")
    loaded = settings.load(file, {"http.port": 0}, {"DRIFTGATE_LOG_MAX_AGE": "1h"})
    gateway = settings.gateway_settings(loaded.value)
    found = in_force(loaded, sized=msgspec.structs.replace(gateway, workers=3))
    assert found.keys() == {setting.name for setting in settings.all_settings()}
    assert msgspec.json.decode(msgspec.json.encode(found)) == found
    assert found["http.port"] == {"value": 0, "source": "flag --http-port"}
    assert found["monitor.poll"] == {"value": 2.0, "source": f"file {file}"}
    assert found["log.max_age"]["source"] == "variable DRIFTGATE_LOG_MAX_AGE"
    assert found["workers"] == {"value": 3, "source": "default"}


def test_a_port_is_told_as_the_one_that_is_listened_on() -> None:
    """Where any free one was asked for, or nobody said, the port that was found is told; the source stays."""
    told = in_force(settings.load(None, {"http.port": 0}, {}))
    found = bound(told, http="https://127.0.0.1:4001", grpc="[::1]:4002", monitor=None)
    assert found["http.port"] == {"value": 4001, "source": "flag --http-port"}
    assert found["grpc.port"] == {"value": 4002, "source": "default"}
    assert {name for name in told if told[name] != found[name]} == {"http.port", "grpc.port"}
    assert found.keys() == told.keys()


def test_secrets_are_covered() -> None:
    """A secret that stands in the settings literally is told to nobody."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    hooks = msgspec.json.encode([{"url": "http://127.0.0.1:1/", "secret": secret}]).decode()
    found = in_force(settings.load(None, {}, {"DRIFTGATE_MONITOR_WEBHOOKS": hooks}))
    assert found["monitor.webhooks"]["value"][0]["secret"] == "(not shown)"
    assert secret not in str(found)


def test_a_program_alone_tells_of_what_it_goes_by() -> None:
    """The gateway's settings and the monitor's are all of them, with those that both have twice."""
    gateway = {setting.name for setting in of_gateway()}
    monitor = {setting.name for setting in of_monitor()}
    assert gateway | monitor == {setting.name for setting in settings.all_settings()}
    assert {name.partition(".")[0] for name in gateway & monitor} == settings.SHARED
    assert "monitor.poll" in monitor
    assert "workers" in gateway
