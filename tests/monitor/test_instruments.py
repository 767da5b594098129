"""What measures one version's stream."""

import numpy as np
import pytest

from monitor.blocks import PRESENT, Rows
from monitor.instruments import Instruments
from monitor.settings import DetectionSettings
from registry_client.profile import Profile
from tests.monitor.detectors import feeds

SETTINGS = DetectionSettings(label_block_rows=4)


@pytest.fixture(scope="module")
def profile() -> Profile:
    """A reference of numbers and texts."""
    return feeds.profile(np.random.default_rng(7))


def labelled(rows: int) -> Rows:
    """So many labelled predictions, all wrong."""
    return Rows(
        np.ones((rows, 1)),
        np.zeros((rows, 0), np.int32),
        np.full((rows, 1), PRESENT, np.uint8),
        np.arange(rows, dtype=np.int64),
    )


def test_without_a_profile_only_what_needs_none_measures(profile: Profile) -> None:
    """Labels are measured from the start, inputs from when there is a reference for them."""
    instruments = Instruments(SETTINGS)
    assert instruments.attach(None) == []
    bare = set(instruments.detectors)
    found = [instruments.layout]
    assert instruments.attach(profile) == []
    found.append(instruments.layout)
    assert [layout is None for layout in found] == [True, False]
    assert set(instruments.detectors) > bare


def test_a_stored_state_goes_on_where_it_was(profile: Profile) -> None:
    """Rows of a block that was not full, and evidence, are as if nothing had happened."""
    one = Instruments(SETTINGS)
    one.attach(profile)
    assert list(one.blocks("errors", labelled(3), 1, 1)) == []
    two = Instruments(SETTINGS, *one.states())
    two.attach(profile)
    (block,) = two.blocks("errors", labelled(1), 1, 2)
    (same,) = one.blocks("errors", labelled(1), 1, 2)
    assert two.update("errors", block) == one.update("errors", same)
    assert two.states() == one.states()


def test_a_state_waits_for_its_profile(profile: Profile) -> None:
    """What needs a reference that cannot be read now is stored again as it was."""
    one = Instruments(SETTINGS)
    one.attach(profile)
    waiting = Instruments(SETTINGS, *one.states())
    waiting.attach(None)
    assert waiting.states() == one.states()


def test_what_cannot_be_taken_up_begins_anew_and_says_so(profile: Profile) -> None:
    """Damage costs a detector its evidence, other settings the block its rows, and each is told of."""
    other = Instruments(DetectionSettings(label_block_rows=8))
    other.attach(None)
    blocks, _ = other.states()
    instruments = Instruments(SETTINGS, blocks, {"risk": b"?"})
    assert [one.detector for one in instruments.attach(profile)] == ["", "risk"]
