"""What a doctor says of the log and its reader."""

from pathlib import Path

import pytest

from driftgate.doctor import state
from driftgate.doctor.finding import Subject
from gateway.settings import GatewaySettings
from monitor.settings import MonitorSettings
from prediction_log.segment_file import segment_path
from tests.driftgate.doctor import folders

DAY = 86_400 * 10**9


@pytest.mark.parametrize(("running", "level"), [(True, "warn"), (False, "ok")])
def test_a_monitor_that_is_late_is_found(tmp_path: Path, running: bool, level: str) -> None:  # noqa: FBT001
    """Beside a running gateway rows of yesterday are late; how many, and how old, is said either way."""
    data = tmp_path / "data"
    folders.build(data)
    gateway, monitor = GatewaySettings(data=str(data)), MonitorSettings(data=str(data), models="models")
    subject = Subject(gateway, monitor, data, folders.NOW + DAY, running)
    (found,) = (found for found in state.log(subject) if "frames (" in found.what)
    assert found.level == level
    assert "rows in 4 frames" in found.what


def test_a_segment_that_is_dropped_meanwhile_is_no_damage(tmp_path: Path) -> None:
    """One that is listed, and gone when it is opened, has been dropped by the log's limits."""
    data = tmp_path / "data"
    folders.build(data)
    subject = Subject(
        GatewaySettings(data=str(data)),
        MonitorSettings(data=str(data), models="models"),
        data,
        folders.NOW,
        running=True,
    )
    before = list(state.log(subject))
    segment_path(data / "log", 0).symlink_to(data / "dropped")
    assert [found.level for found in state.log(subject)] == [found.level for found in before]
