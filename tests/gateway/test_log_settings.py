"""Tests of gateway.log_settings."""

import pytest

from gateway.log_settings import JournalSettings, LogSettings, check_journal, check_log
from groundwork.errors import SettingsError
from groundwork.quantities import GIB, MIB


def test_a_buffer_that_no_segment_could_hold_is_refused() -> None:
    """It would be tried for ever once it is full; one of 512 MiB can be written."""
    check_journal(JournalSettings(buffer_bytes=512 * MIB, side_buffer_bytes=512 * MIB))
    with pytest.raises(SettingsError, match=r"journal\.buffer_bytes is 1073741824, wanted 536870912 at most"):
        check_journal(JournalSettings(buffer_bytes=GIB))
    with pytest.raises(SettingsError, match=r"journal\.side_buffer_bytes"):
        check_journal(JournalSettings(side_buffer_bytes=GIB))


def test_limits_of_the_log_that_contradict_one_another_are_refused() -> None:
    """The segment that is written to is never dropped, and logging does not stop before anything is."""
    check_log(LogSettings())
    with pytest.raises(SettingsError, match=r"log\.max_bytes"):
        check_log(LogSettings(segment_bytes=GIB, max_bytes=2 * GIB - 1))
    with pytest.raises(SettingsError, match=r"log\.reserve_bytes"):
        check_log(LogSettings(reserve_bytes=2 * GIB))
