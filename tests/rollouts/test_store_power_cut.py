"""A power cut at every commit of rollouts.db: it opens clean, and what was acknowledged is there."""

import contextlib
import shutil
from pathlib import Path
from typing import Final

import pytest

from groundwork.clock import FakeClock
from rollouts import edits
from rollouts.evidence import PairTotals
from rollouts.history import Entry
from rollouts.store import SqliteStore
from tests.counts import count
from tests.power_cut import Disk

EDITS: Final = count(30, 300)
TAILS: Final = count(3, 30)


@pytest.mark.torture
def test_an_acknowledged_edit_survives_a_power_cut(tmp_path: Path) -> None:
    """However a commit was torn, route, history and chain are those before it or those after it."""
    path = tmp_path / "rollouts.db"
    with contextlib.closing(SqliteStore(path, FakeClock())) as store:
        # Pages are copied into the database every few commits, so that this is cut as well.
        store._connection.execute("PRAGMA wal_autocheckpoint = 23")
        route = store.ensure_first("m", "1", "gateway")
        disk, pairs = Disk(path), 0
        for step in range(EDITS):
            known = (route.revision, pairs)
            if step % 3 == 2:
                pairs += 1
                store.put_pairs(
                    PairTotals(model="m", revision=1, stable="1", candidate="2", both_right=pairs)
                )
            else:
                verb = "abort" if route.candidate else "start"
                wish = edits.abort(route) if route.candidate else edits.start(route, "2", weight=2**20)
                route = store.edit("m", route.revision, wish, Entry(actor="operator:ann", verb=verb))
            disk.committed()
            for copy, acknowledged in disk.cuts(tmp_path / "cuts", TAILS):
                after = (route.revision, pairs)
                assert _opened(copy) in ({after} if acknowledged else {known, after})
                shutil.rmtree(copy.parent)


def _opened(copy: Path) -> tuple[int, int]:
    """(revision, labelled pairs) of a copy, which must be whole and go on."""
    with contextlib.closing(SqliteStore(copy, FakeClock())) as store:
        route = store.route("m")
        assert route is not None
        assert store.verify() == route.revision
        found = sum(total.both_right for total in store.pairs("m"))
        store.edit("m", route.revision, edits.touch(route), Entry(actor="operator:ann", verb="touch"))
        assert store.verify() == route.revision + 1
        assert store._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return route.revision, found
