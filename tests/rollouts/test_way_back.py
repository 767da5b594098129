"""Where an undo leads that names no version, and that it never follows another way back."""

import pytest
from msgspec.structs import replace

from rollouts import edits
from rollouts.errors import GoneBackError, RouteError
from rollouts.history import Entry
from rollouts.route import FULL, Route
from rollouts.way_back import is_change, way_back

FIRST = edits.first("m", "1")
TRIED = edits.start(FIRST, "2", weight=FULL)
PROMOTED = edits.promote(TRIED)


def row(before: Route | None, after: Route, verb: str) -> Entry:
    """A row of history, of ada's."""
    return Entry(actor="operator:ada", verb=verb, model="m", before=before, after=after)


def test_it_is_one_change_back() -> None:
    """A candidate is dropped; without one the previous version comes back, and with none it is refused."""
    assert way_back(TRIED, row(FIRST, TRIED, "start")) == "1"
    assert way_back(PROMOTED, row(TRIED, PROMOTED, "promote")) == "1"
    assert way_back(PROMOTED, None) == "1"
    with pytest.raises(RouteError, match="no previous version is known to go back to from 1"):
        way_back(FIRST, row(None, FIRST, "first"))


def test_a_second_undo_is_told_of_the_first() -> None:
    """It is refused with who has gone back, and when, and with what to type by whoever means it."""
    back = edits.undo(PROMOTED, "1")
    with pytest.raises(GoneBackError) as refused:
        way_back(back, row(PROMOTED, back, "undo"))
    assert str(refused.value) == (
        "model 'm': 'operator:ada' has gone back to version 1 already (undo, 1970-01-01T00:00:00.000Z); "
        "nothing was changed; if version 2 is wanted, name it: undo --to 2 (`to`)"
    )


def test_an_abort_is_a_way_back_too() -> None:
    """An undo that comes after the pilot's abort does not drop the version that was stable all the time."""
    tried = edits.start(PROMOTED, "3")
    back = edits.abort(tried)
    with pytest.raises(GoneBackError, match=r"to version 2 already .* if version 1 is wanted"):
        way_back(back, replace(row(tried, back, "abort"), actor="pilot"))
    baked = edits.take_back(PROMOTED)
    with pytest.raises(GoneBackError, match=r"nothing was changed$"):
        way_back(baked, row(PROMOTED, baked, "abort"))


def test_what_lets_other_versions_answer_is_a_change() -> None:
    """Weights, pauses, ends of bakes and notes are none: an undo asks what came before them."""
    assert is_change(row(None, FIRST, "first"))
    assert is_change(row(FIRST, TRIED, "start"))
    assert is_change(row(TRIED, PROMOTED, "promote"))
    for after, verb in ((edits.set_weight(TRIED, 1), "set-weight"), (edits.touch(TRIED), "pause")):
        assert not is_change(row(TRIED, after, verb))
    assert not is_change(row(PROMOTED, edits.finish(PROMOTED), "finish"))
    assert not is_change(Entry(actor="supervisor", verb="crash"))
