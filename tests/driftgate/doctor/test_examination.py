"""Tests of `driftgate doctor`: what can be wrong is found, said in one line, and repaired if it can be."""

import contextlib
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from driftgate.__main__ import run
from driftgate.cli.doctor import doctor
from driftgate.doctor.examination import CHECKS
from driftgate.doctor.finding import Finding, Subject
from driftgate.doctor.registry import READ
from driftgate.doctor.surroundings import ports
from driftgate.ring_folder import ring_folder
from gateway.log_settings import LogSettings
from gateway.settings import GatewaySettings, GrpcSettings, PortSettings
from groundwork.slots import Slot
from monitor.settings import MonitorSettings
from prediction_log.segment_sink import SegmentSink
from registry_client import publish
from tests.driftgate.doctor import folders
from tests.driftgate.doctor.contents import contents
from tests.driftgate.doctor.patients import DAY, Patient, flip, make_newer
from tests.monitor import worlds
from tests.registry_client.support import a_graph


def _call(*arguments: str) -> Result:
    return CliRunner().invoke(doctor, arguments, standalone_mode=False)


def test_one_that_is_well_is_called_so(patient: Patient) -> None:
    """Every area is looked at; nothing fails; each warning says what to do."""
    found = patient.examine()
    assert {finding.area for finding in found} == set(CHECKS)
    assert [finding for finding in found if finding.level == "fail"] == []
    assert all(finding.do for finding in found if finding.level != "ok")
    assert not any("\n" in finding.what + finding.do for finding in found)
    before = contents(patient.data)
    patient.examine()
    assert contents(patient.data) == before


def test_a_version_that_cannot_be_read_wants_no_other_version(patient: Patient) -> None:
    """Bytes that nobody has seen may be whole: they are to be made readable, not published again."""
    profile = next(patient.models.glob("*/*/profile.json"))
    profile.unlink()
    profile.mkdir()
    (fault,) = patient.faults("registry")
    assert ("cannot be read" in fault.what, fault.do) == (True, READ)


def test_versions_without_a_profile_are_one_line_and_still_whole(patient: Patient) -> None:
    """A registry of ready graphs is no page of warnings, and their bytes count as looked at."""
    for number in range(7):
        publish(a_graph(float(number)), name="ready", registry=patient.models)
    (fault,) = patient.faults("registry")
    assert (fault.level, "ready 1, ready 2, ready 3, ready 4, ready 5 and 2 more" in fault.what) == (
        "warn",
        True,
    )
    (whole,) = [found.what for found in patient.examine() if found.area == "registry" and found.level == "ok"]
    assert whole == "9 versions of 2 models: bytes and digests agree"


def test_a_folder_that_nobody_serves_is_named_with_what_to_do(patient: Patient) -> None:
    """A model whose folder has no model's name is a warning, and the versions beside it are whole."""
    (patient.models / "my model" / "1").mkdir(parents=True)
    (patient.models / "my model" / "1" / "model.onnx").write_bytes(a_graph())
    (fault,) = patient.faults("registry")
    assert (fault.level, fault.do) == ("warn", "rename the folder")
    assert f"my model in {patient.models} is not served: model name 'my model': wanted" in fault.what


@pytest.mark.parametrize("name", ["min_free_bytes", "reserve_bytes"])
def test_a_disk_below_the_log_s_own_limits_is_found(patient: Patient, name: str) -> None:
    """It is the limit of the settings in force that counts, and the finding names it."""
    limits = {"min_free_bytes": 1 << 60, **({} if name == "min_free_bytes" else {name: 1 << 60})}
    (fault,) = patient.faults("log", log=LogSettings(**limits))
    assert (fault.level, f"log.{name}" in fault.what) == ("fail", True)


def _rewrite_history(data: Path) -> None:
    with contextlib.closing(sqlite3.connect(data / "rollouts.db")) as connection:
        connection.execute(
            "UPDATE history SET body = CAST(replace(CAST(body AS TEXT), 'ann', 'bob') AS BLOB)"
        )
        connection.commit()


TROUBLE: dict[str, tuple[Callable[[Patient], Any], str, str]] = {
    "damaged rollouts.db": (lambda p: flip(p.data / "rollouts.db"), "stores", "rollouts.db"),
    "damaged monitor.db": (lambda p: flip(p.data / "monitor.db"), "stores", "monitor.db"),
    "newer monitor.db": (lambda p: make_newer(p.data / "monitor.db"), "stores", "found 9"),
    "rewritten history": (lambda p: _rewrite_history(p.data), "stores", "history row"),
    "newer folder": (lambda p: (p.data / "folder.json").write_text('{"format": 2}'), "stores", "found 2"),
    "cut key": (lambda p: os.truncate(p.data / "id.key", 3), "stores", "id.key"),
    "id.key gone": (lambda p: (p.data / "id.key").unlink(), "stores", "id.key is gone"),
    "open key": (lambda p: (p.data / "id.key").chmod(0o644), "stores", "id.key"),
    "cut totals": (lambda p: os.truncate(p.data / "slots" / "retired.json", 3), "stores", "retired"),
    "corrupt segment": (lambda p: flip(p.data / "log" / "000001.seg"), "log", "000001.seg"),
    "registry gone": (lambda p: shutil.rmtree(p.models), "registry", "not found"),
    "changed artifact": (
        lambda p: (p.models / folders.MODEL / "2" / "model.onnx").write_bytes(b"cut"),
        "registry",
        f"{folders.MODEL} 2",
    ),
    "cut profile": (
        lambda p: os.truncate(p.models / folders.MODEL / "1" / "profile.json", 9),
        "registry",
        f"{folders.MODEL} 1",
    ),
    "clock 30 days late": (lambda p: setattr(p, "now", folders.NOW - 30 * DAY), "clock", "30d"),
    "unread rows": (lambda _: None, "slots", "hold rows"),
}


@pytest.mark.parametrize("name", TROUBLE)
def test_trouble_is_found_and_named(patient: Patient, name: str) -> None:
    """What is wrong appears in its area, names the thing, and says what to do."""
    cause, area, said = TROUBLE[name]
    cause(patient)
    faults = patient.faults(area)
    assert any(said in fault.what for fault in faults), faults
    assert all(fault.do for fault in faults)


def test_the_supervisor_s_own_slot_is_no_worker_s(patient: Patient) -> None:
    """Living workers are counted among workers; the supervisor's slot stands at no place."""
    slots = patient.data / "slots"
    with contextlib.closing(Slot.create(slots, place=-1)), contextlib.closing(Slot.create(slots, place=0)):
        said = [finding.what for finding in patient.examine() if finding.area == "slots"]
    assert "1 of 2 workers' slots have a living worker" in said


def test_a_broken_keys_file_hides_nothing_else(patient: Patient) -> None:
    """It is one finding, told once; all else is looked at as ever, and the verb's probe minds it not."""
    keys, file = patient.data.parent / "keys.yaml", patient.data.parent / "driftgate.yaml"
    keys.touch(0o600)
    keys.write_text("- id: [\n")
    file.write_text(
        f"keys: {{file: {keys}}}\nhttp: {{port: 0}}\noperator: {{port: 0}}\nmonitor: {{port: 0}}\n"
    )
    places = ("--data", str(patient.data), "--models", str(patient.models), "--config", str(file))
    found = msgspec.convert(msgspec.json.decode(_call(*places, "--json").output)["findings"], list[Finding])
    assert {finding.area for finding in found} == set(CHECKS)
    # The folder's rows are of the future to a real clock, which the clock check says.
    (failed,) = [one for one in found if one.level == "fail" and one.area != "clock"]
    assert failed.area == "keys"
    assert failed.what.startswith(f"keys.file: {keys}: wanted YAML")
    assert "any free one" in str(_call(*places, "--probe", "gateway").exception)


def test_settings_that_cannot_be_honoured_are_found(patient: Patient) -> None:
    """What would keep a program from its start is a finding among others."""
    (found,) = patient.faults("settings", operator=PortSettings(0, host="0.0.0.0"))
    assert "operator.host" in found.what
    assert found.do


def test_a_port_taken_by_a_stranger_is_found(patient: Patient) -> None:
    """A port that somebody else answers on is a failure while nothing of ours runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        (fault,) = patient.faults("ports", http=PortSettings(listener.getsockname()[1]))
    assert fault.level == "fail"
    assert "taken by another program" in fault.what


def test_the_ports_of_a_running_up_are_asked_whatever_the_settings_say(patient: Patient) -> None:
    """Ports that came from flags, or were any free one, are those of the `up` that lives in the folder."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ring_folder(patient.data) as folder:
        host, port = listener.getsockname()
        place = PortSettings(port)
        held = GatewaySettings(http=place, operator=place, grpc=GrpcSettings(port=port))
        (folder / "gateway.json").write_bytes(msgspec.json.encode(held))
        asked = MonitorSettings(data="", models="", port=port)
        (folder / "monitor.json").write_bytes(msgspec.json.encode(asked))
        gateway = GatewaySettings(http=PortSettings(1), operator=PortSettings(1), grpc=GrpcSettings(port=1))
        monitor = MonitorSettings(data="", models="", port=1)
        found = list(ports(Subject(gateway, monitor, patient.data, patient.now, running=True)))
    said = f"{host}:{port} answers"
    assert [(finding.level, said in finding.what) for finding in found] == [("ok", True)] * 4


def test_a_clock_that_was_set_back_is_found(patient: Patient) -> None:
    """Steps back among times already written are told."""
    with contextlib.closing(SegmentSink(patient.data / "log", boot="b")) as sink:
        traffic = worlds.Traffic(3, stream=9)
        traffic.time -= 30 * DAY
        sink.write([traffic.predictions(3)[0]])
    assert any("the log steps back 1 times, by 30d" in fault.what for fault in patient.faults("clock"))


def test_the_verb_reports_and_repairs(patient: Patient) -> None:
    """As a person types it: exit code 0 when nothing fails, lines with marks, JSON with the same facts."""
    file = patient.data.parent / "driftgate.yaml"
    file.write_text("http: {port: 0}\noperator: {port: 0}\nmonitor: {port: 0}\n")
    places = ("--data", str(patient.data), "--models", str(patient.models), "--config", str(file))
    told = _call(*places, "--repair")
    assert "repaired  spooled 4 rows of slot 2" in told.output
    assert "✔ stores" in told.output
    as_json = _call(*places, "--json")
    document = msgspec.json.decode(as_json.output)
    # The folder's rows are of the future to a real clock, which the clock check says.
    failed = {found["area"] for found in document["findings"] if found["level"] == "fail"}
    assert failed <= {"clock"}
    assert document["well"] == (not failed)
    assert (as_json.return_value, told.return_value) == (int(bool(failed)),) * 2


def test_backup_and_restore_as_typed(patient: Patient, capsys: pytest.CaptureFixture[str]) -> None:
    """Both verbs say what they did; a refusal is one line and exit code 1."""
    out, again = patient.data.parent / "b.tar.gz", patient.data.parent / "again"
    assert run(["doctor", "backup", str(out), "--data", str(patient.data)]) == 0
    assert run(["doctor", "restore", str(out), "--data", str(again)]) == 0
    assert run(["doctor", "restore", str(out), "--data", str(again)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert contents(again) == contents(patient.data)
