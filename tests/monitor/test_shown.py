"""What is shown of the pipeline: committed, whole, and there without a lock."""

import contextlib
from pathlib import Path

import pytest

from groundwork.series import SeriesKey
from monitor import metrics
from monitor.pipeline import Pipeline
from monitor.shown import gauges, told
from monitor.status import drift
from monitor.store import open_store
from monitor.watch import Watch
from prediction_log.transport import Offset
from tests.monitor import worlds
from tests.monitor.worlds import MODEL, Traffic, registry

ROWS: SeriesKey = metrics.key(metrics.ROWS, model=MODEL, version="1", kind="prediction")


class Failing(Pipeline):
    """One whose rounds fail where they would commit."""

    fails = False

    def _save(self) -> list[tuple[Watch, bytes]]:
        saved = super()._save()
        if self.fails:
            raise OSError("no room")
        return saved


def test_who_asks_waits_for_no_round(tmp_path: Path) -> None:
    """While a round holds the lock the last commit is told, whole, and nobody can change it."""
    traffic = Traffic()
    with contextlib.closing(open_store(tmp_path)) as db:
        pipeline = Failing(db, worlds.settings(), registry("1"), worlds.IDS)
        assert pipeline.shown.series == {}
        pipeline.feed([(Offset(1, 1), traffic.predictions(64)[0])])
        shown = pipeline.shown.series
        with pipeline.lock:
            assert pipeline.shown.series is shown
            (found,) = drift(pipeline.shown, worlds.settings(), MODEL, "1")
        assert shown[ROWS] == 64
        (watch,) = pipeline.watches
        assert gauges(watch).items() <= shown.items()
        assert told(watch, pipeline.tally.counts).items() <= found.items()
        assert {one["signal"] for one in found["signals"]} >= {"age", "income", "city"}
        with pytest.raises(TypeError):
            shown[ROWS] = 0  # type: ignore[index]
        pipeline.feed([(Offset(1, 2), traffic.predictions(6)[0])])
        assert (shown[ROWS], pipeline.shown.series[ROWS]) == (64, 70)


def test_what_is_rolled_back_was_never_shown(tmp_path: Path) -> None:
    """A round that fails leaves what is shown as it was, and a new process shows the same."""
    traffic = Traffic()
    with contextlib.closing(open_store(tmp_path)) as db:
        pipeline = Failing(db, worlds.settings(), registry("1"), worlds.IDS)
        pipeline.feed([(Offset(1, 1), traffic.predictions(64)[0])])
        before, drifted = dict(pipeline.shown.series), drift(pipeline.shown, worlds.settings(), None, None)
        pipeline.fails = True
        with pytest.raises(OSError, match="no room"):
            pipeline.feed([(Offset(1, 2), traffic.predictions(6)[0])])
        assert pipeline.shown.series == before
        again = Pipeline(db, worlds.settings(), registry("1"), worlds.IDS).shown
        assert again.series == before
        assert drift(again, worlds.settings(), None, None) == drifted
