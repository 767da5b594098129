"""Following routes from another connection."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from groundwork.clock import FakeClock
from groundwork.errors import StoreError
from rollouts import edits
from rollouts.evidence import PairTotals
from rollouts.follower import Follower
from rollouts.history import Entry
from rollouts.store import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty store."""
    opened = SqliteStore(tmp_path / "rollouts.db", FakeClock())
    yield opened
    opened.close()


def test_the_first_poll_gives_every_route_also_when_there_are_none(store: SqliteStore) -> None:
    """A follower always learns where it starts from."""
    follower = Follower(store)
    assert follower.poll() == {}
    assert follower.poll() is None
    follower.close()


def test_every_edit_is_seen_by_the_next_poll(store: SqliteStore) -> None:
    """Also one made through the very store the follower was made from."""
    follower = Follower(store)
    follower.poll()
    route = store.ensure_first("m", "1", "gateway")
    assert follower.poll() == {"m": route}
    after = store.edit("m", 1, edits.start(route, "2"), Entry(actor="operator:ada", verb="start"))
    assert follower.poll() == {"m": after}
    assert follower.poll() is None
    follower.close()


def test_writes_that_change_no_route_are_passed_over(store: SqliteStore) -> None:
    """Checkpoints and label totals come many times a minute and must not rebuild routing tables."""
    store.ensure_first("m", "1", "gateway")
    follower = Follower(store)
    follower.poll()
    store.checkpoint("r", b"", b"")
    store.put_pairs(PairTotals("m", 1, "1", "2"))
    assert follower.poll() is None
    follower.close()


def test_a_store_that_cannot_be_read_is_an_error_and_not_an_empty_table(store: SqliteStore) -> None:
    """Whoever follows keeps what it has."""
    follower = Follower(store)
    follower.poll()
    store._connection.execute("ALTER TABLE routes RENAME TO gone")
    with pytest.raises(StoreError, match="the last ones stand"):
        follower.poll()
    follower.close()
