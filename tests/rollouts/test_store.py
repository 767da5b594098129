"""The store: one compare-and-swap write for route, rollout and history, shared by processes."""

import contextlib
import multiprocessing
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from groundwork.clock import FakeClock, SystemClock
from groundwork.errors import LockedError, NewerStoreError, NoRoomError, StoreError
from groundwork.steady import UNKNOWN, Steady
from rollouts import edits, tables
from rollouts.errors import ConflictError, RouteError
from rollouts.evidence import PairTotals
from rollouts.follower import Follower
from rollouts.history import Entry
from rollouts.rollout import Rollout, RolloutSpec
from rollouts.route import Route
from rollouts.store import SqliteStore
from tests.counts import count

ENTRY = Entry(actor="operator:ada", verb="start", reason="try it")


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves when told."""
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[SqliteStore]:
    """An empty store."""
    opened = SqliteStore(tmp_path / "rollouts.db", clock)
    yield opened
    opened.close()


def begin(store: SqliteStore, model: str = "m") -> Route:
    """Let a model be seen for the first time."""
    return store.ensure_first(model, "1", "gateway")


def rollout_of(route: Route, state: str = "progressing") -> Rollout:
    """A rollout named by a route."""
    return Rollout(
        id=route.rollout or "r",
        model=route.model,
        stable="1",
        candidate="2",
        spec=RolloutSpec(),
        state=state,  # type: ignore[arg-type]
    )


def test_a_first_route_is_written_once(store: SqliteStore) -> None:
    """However often and with whatever version a model is seen again, its first route stands."""
    assert begin(store) == Route("m", 1, "1")
    assert store.ensure_first("m", "9", "gateway") == Route("m", 1, "1")
    assert [(entry.verb, entry.revision) for entry in store.history("m")] == [("first", 1)]


def test_an_edit_writes_route_rollout_and_history_together(store: SqliteStore, clock: FakeClock) -> None:
    """After an edit all three are there, and the history row says what changed, when, by whom and why."""
    before = begin(store)
    after = edits.start(before, "2", rollout="m-2-2", weight=7)
    assert store.edit("m", 1, after, ENTRY, rollout_of(after)) == after
    assert store.routes() == {"m": after}
    assert store.active("m") == store.rollout("m-2-2") == rollout_of(after)
    row = store.history("m", after=1)[0]
    assert (row.before, row.after, row.at, row.actor, row.reason, row.revision) == (
        before,
        after,
        clock.now(),
        "operator:ada",
        "try it",
        2,
    )
    assert store.verify() == 2


def test_an_edit_of_a_stale_revision_changes_nothing_and_shows_what_stands(store: SqliteStore) -> None:
    """Of two edits of one revision the second is refused, whatever it wanted."""
    before = begin(store)
    first = store.edit("m", 1, edits.start(before, "2"), ENTRY)
    late = edits.start(before, "3")
    with pytest.raises(ConflictError, match="revision 1 was expected, revision 2 stands") as refused:
        store.edit("m", 1, late, ENTRY, rollout_of(late))
    assert refused.value.current == first
    assert store.route("m") == first
    assert len(store.history("m")) == 2
    assert store.rollouts() == []


def test_a_document_that_may_not_stand_never_reaches_the_store(store: SqliteStore) -> None:
    """Wrong model, a skipped revision, a broken rule: refused before anything is written."""
    before = begin(store)
    for wrong in (
        Route("n", 2, "1"),
        Route("m", 3, "1"),
        Route("m", 2, "1", weight=4),
    ):
        with pytest.raises(RouteError):
            store.edit("m", 1, wrong, ENTRY)
    assert store.route("m") == before


def test_a_model_has_at_most_one_live_rollout(store: SqliteStore) -> None:
    """A second live rollout breaks the transaction: route and history stay as they were."""
    route = store.edit("m", 1, edits.start(begin(store), "2", rollout="one"), ENTRY, _named("one"))
    with pytest.raises(StoreError):
        store.edit("m", 2, edits.touch(route), ENTRY, _named("two"))
    assert store.route("m") == route
    assert store.verify() == 2


def _named(name: str) -> Rollout:
    return Rollout(id=name, model="m", stable="1", candidate="2", spec=RolloutSpec())


def test_the_latest_rollout_of_each_model_is_the_last_one_started(store: SqliteStore) -> None:
    """Whatever became of it, and whatever the clock said: an ended one counts until another is started."""
    assert store.latest_rollouts() == []
    for model, started, state in (("a", 2, "rolled-back"), ("a", 1, "succeeded"), ("b", 1, "paused")):
        route = store.ensure_first(model, "1", "test")
        rollout = Rollout(f"{model}-{started}", model, "1", "2", RolloutSpec(), state, started=started)  # type: ignore[arg-type]
        after = replace(route, revision=route.revision + 1)
        store.edit(model, route.revision, after, Entry(actor="test", verb="start"), rollout)
    assert [found.id for found in store.latest_rollouts()] == ["a-1", "b-1"]
    assert [found.id for found in store.rollouts("a")] == ["a-2", "a-1"]


def test_a_rollout_of_before_the_steady_clock_is_read(tmp_path: Path, store: SqliteStore) -> None:
    """Its document lacks the moment: all else is as it was written, and its step goes by the wall clock."""
    route = edits.start(begin(store), "2")
    written = replace(rollout_of(route), step_entered=5_000_000_000, entered=Steady("boot", 7))
    store.edit("m", 1, route, ENTRY, written)
    with contextlib.closing(sqlite3.connect(tmp_path / "rollouts.db")) as db, db:
        db.execute(
            "UPDATE rollouts SET document = CAST(json_remove(CAST(document AS TEXT), '$.entered') AS BLOB)"
        )
        assert db.execute("SELECT count(*) FROM rollouts WHERE document LIKE '%boot%'").fetchone() == (0,)
    found = store.active("m")
    assert found == replace(written, entered=UNKNOWN)
    assert found is not None
    assert found.waited(9_000_000_000, Steady("boot", 8)) == 4


NEWER = len(tables.SCHEMA.migrations) + 1


def add_a_field(path: Path, *, version: int) -> None:
    """Write as a later program would: a field more in each route, under this version."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "UPDATE routes SET document = CAST(json_set(CAST(document AS TEXT), '$.mood', 1) AS BLOB)"
        )
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()


def test_a_store_of_a_later_program_is_called_newer(tmp_path: Path, store: SqliteStore) -> None:
    """Who opens it hears of versions, not of a field that it does not know; nothing in it changes."""
    begin(store)
    add_a_field(tmp_path / "rollouts.db", version=NEWER)
    said = f"version {NEWER - 1} or lower, found {NEWER}, written by a newer driftgate"
    with pytest.raises(NewerStoreError, match=said):
        SqliteStore(tmp_path / "rollouts.db", FakeClock())


def test_a_store_that_a_later_program_took_up_is_called_newer(tmp_path: Path, store: SqliteStore) -> None:
    """Who had it open when that one came hears so too; an unknown field of no later version is damage."""
    route = begin(store)
    with contextlib.closing(Follower(store)) as follower:
        add_a_field(tmp_path / "rollouts.db", version=NEWER)
        for act in (store.routes, follower.poll, lambda: store.edit("m", 1, edits.start(route, "2"), ENTRY)):
            with pytest.raises(NewerStoreError, match=f"found {NEWER}, written by a newer driftgate"):
                act()
        add_a_field(tmp_path / "rollouts.db", version=NEWER - 1)
        for act in (store.routes, follower.poll):
            with pytest.raises(StoreError, match=r"a row cannot be understood .*mood.*; restore a copy"):
                act()


def test_everything_is_there_after_opening_again(tmp_path: Path, store: SqliteStore) -> None:
    """Another connection, as after a restart, reads what was committed, with the specification it had."""
    route = edits.start(begin(store), "2", rollout="m-2-2")
    store.edit("m", 1, route, ENTRY, rollout_of(route))
    again = SqliteStore(tmp_path / "rollouts.db", SystemClock())
    assert again.route("m") == route
    assert again.active("m") == rollout_of(route)
    again.close()


def test_a_note_is_history_without_an_edit(store: SqliteStore) -> None:
    """A crash that aborts nothing is remembered, and the revision stays."""
    route = begin(store)
    row = store.note("m", Entry(actor="supervisor", verb="crash", reason="worker 3 was killed from outside"))
    assert (row.sequence, row.revision, row.after) == (2, 1, route)
    assert store.route("m") == route
    assert store.latest("m", 1) == [row]


def test_state_and_totals_are_kept_together(store: SqliteStore) -> None:
    """A checkpoint is replaced whole, and there is none before the first."""
    assert store.load_checkpoint("r") is None
    store.checkpoint("r", b"state", b"seen")
    store.checkpoint("r", b"state 2", b"seen 2")
    assert store.load_checkpoint("r") == (b"state 2", b"seen 2")


def test_pair_totals_are_absolute_and_tell_that_the_monitor_lives(
    store: SqliteStore, clock: FakeClock
) -> None:
    """Putting the same totals twice counts them once; each put is a beat."""
    assert store.last_beat("monitor") is None
    totals = PairTotals("m", 4, "1", "2", both_right=90, only_stable=4, only_candidate=5, both_wrong=1)
    later = PairTotals("m", 5, "1", "2", both_right=1, offset="000001:42")
    store.put_pairs(totals, later)
    clock.advance(3)
    store.put_pairs(totals)
    assert store.pairs("m") == [totals, later]
    assert store.last_beat("monitor") == clock.now()
    store.beat("pilot")
    assert store.last_beat("pilot") == clock.now()


def test_a_lease_is_one_holders_until_it_expires(store: SqliteStore, clock: FakeClock) -> None:
    """The holder renews at the same epoch; the next holder gets the next one."""
    assert store.lease("pilot", "a", 10) == 1
    assert store.lease("pilot", "b", 10) is None
    clock.advance(9)
    assert store.lease("pilot", "a", 10) == 1
    clock.advance(11)
    assert store.lease("pilot", "b", 10) == 2
    store.release("pilot", "a")
    assert store.lease("pilot", "a", 10) is None
    store.release("pilot", "b")
    assert store.lease("pilot", "a", 10) == 3


def test_a_lease_from_before_the_clock_was_set_back_holds_nobody_up(
    tmp_path: Path, store: SqliteStore
) -> None:
    """A holder that died under a clock that ran ahead is followed at once."""
    assert store.lease("pilot", "a", 10) == 1
    corrected = SqliteStore(tmp_path / "rollouts.db", FakeClock(FakeClock().now() - 3600 * 10**9))
    assert corrected.lease("pilot", "b", 10) == 2
    corrected.close()


def test_of_writers_in_several_processes_each_edit_wins_once(tmp_path: Path, store: SqliteStore) -> None:
    """Every edit is one revision and one history row, however many processes race for it."""
    begin(store)
    each = count(25, 300)
    fork = multiprocessing.get_context("spawn")
    writers = [fork.Process(target=race, args=(tmp_path / "rollouts.db", each)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    standing = store.route("m")
    assert standing is not None
    assert standing.revision == 1 + 3 * each
    assert store.verify() == 1 + 3 * each
    revisions = [entry.revision for entry in store.history("m", limit=5000)]
    assert revisions == list(range(1, 2 + 3 * each))


def race(path: Path, wins: int) -> None:
    """Win this many edits against whoever else edits."""
    store = SqliteStore(path, SystemClock())
    while wins:
        route = store.route("m")
        assert route is not None
        try:
            store.edit("m", route.revision, edits.touch(route), Entry(actor="operator:x", verb="pause"))
        except ConflictError:
            continue
        wins -= 1
    store.close()


def test_a_writer_that_is_held_up_says_so(store: SqliteStore, tmp_path: Path) -> None:
    """When another process keeps the file locked for longer than we wait, that is the error."""
    store._connection.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(tmp_path / "rollouts.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LockedError, match="another process"):
        begin(store)
    other.execute("ROLLBACK")
    other.close()
    assert begin(store).revision == 1


def test_a_full_file_refuses_edits_and_keeps_what_stands(store: SqliteStore) -> None:
    """Without room an ordinary edit fails with one clear line, and the route is as before."""
    route = begin(store)
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(NoRoomError, match="the disk is full"):
        write_until_refused(store)
    assert store.route("m") == route
    assert store.verify() == len(store.history())


def write_until_refused(store: SqliteStore) -> None:
    """Note ever more."""
    for _ in range(200):
        store.note("m", Entry(actor="operator:ada", verb="note", reason="x" * 500))
