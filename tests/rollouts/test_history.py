"""The history: one global sequence, and a chain that shows what was touched."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundwork.database import open_database, transaction
from rollouts import history
from rollouts.errors import ChainError
from rollouts.history import Entry
from rollouts.route import Route
from rollouts.tables import SCHEMA


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An empty store's connection."""
    opened = open_database(tmp_path / "rollouts.db", SCHEMA)
    yield opened
    opened.close()


def fill(connection: sqlite3.Connection, count: int) -> None:
    """Write rows of two models in turn."""
    with transaction(connection):
        for index in range(count):
            history.append(
                connection, Entry(actor="pilot", verb="advance", model="ab"[index % 2], reason=f"row {index}")
            )


def test_a_row_is_frozen_to_the_byte() -> None:
    """Bodies are chained as they are written, so their form may never change for what exists."""
    entry = Entry(
        actor="pilot",
        verb="advance",
        reason="step 1/2 held",
        verdict="PASS",
        n=1012,
        evidence={"accuracy.n": 1012, "accuracy.verdict": "PASS", "accuracy.pass_evidence": 3.1},
        rollout="m-2-2",
        sequence=7,
        model="m",
        revision=3,
        at=1_700_000_000_000_000_000,
        before=Route("m", 2, "1"),
        after=Route("m", 3, "1", candidate="2", weight=1),
        chain="left out",
    )
    body = (
        b'{"actor":"pilot","after":{"candidate":"2","key":"request","model":"m","previous":null,"revision":3,'
        b'"rollout":null,"salt":"","shadow":null,"shadow_share":0,"stable":"1","step":-1,"unloaded":false,"weight":1},'
        b'"at":1700000000000000000,"before":{"candidate":null,"key":"request","model":"m","previous":null,'
        b'"revision":2,"rollout":null,"salt":"","shadow":null,"shadow_share":0,"stable":"1","step":-1,"unloaded":false,"weight":0},'
        b'"evidence":{"accuracy.n":1012,"accuracy.pass_evidence":3.1,"accuracy.verdict":"PASS"},"model":"m",'
        b'"n":1012,"reason":"step 1/2 held","revision":3,"rollout":"m-2-2","sequence":7,"verb":"advance",'
        b'"verdict":"PASS"}'
    )
    assert history.body_of(entry) == body
    assert history.link("", body) == "f361bd9aab3bba495fcd35fbad2347b479b2d72795f4edb83615fafaf384c391"


def test_rows_are_numbered_over_all_models_without_gaps(connection: sqlite3.Connection) -> None:
    """One sequence orders everything that ever happened; a model's rows are a part of it."""
    fill(connection, 5)
    assert [entry.sequence for entry in history.read(connection, None, 0, 10)] == [1, 2, 3, 4, 5]
    assert [entry.sequence for entry in history.read(connection, "b", 2, 10)] == [4]
    assert [entry.sequence for entry in history.latest(connection, "a", 2)] == [3, 5]
    assert history.verify(connection) == 5


def test_the_newest_row_that_is_wanted_is_found(connection: sqlite3.Connection) -> None:
    """Of one model, however many others came since; None where no row is."""
    fill(connection, 7)
    found = history.last(connection, "a", lambda entry: entry.reason < "row 5")
    assert found is not None
    assert (found.sequence, found.reason) == (5, "row 4")
    assert history.last(connection, "a", lambda entry: entry.verb == "undo") is None
    assert history.last(connection, "none", lambda _: True) is None


def test_an_empty_history_holds(connection: sqlite3.Connection) -> None:
    """Nothing written is nothing broken."""
    assert history.verify(connection) == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(victim=st.integers(1, 6), data=st.data())
def test_a_row_that_was_touched_is_named(
    connection: sqlite3.Connection, victim: int, data: st.DataObject
) -> None:
    """Changing one byte of any row, its chain or its model breaks the chain there."""
    connection.execute("DELETE FROM history")
    fill(connection, 6)
    body: bytes = connection.execute("SELECT body FROM history WHERE sequence = ?", (victim,)).fetchone()[0]
    place = data.draw(st.integers(0, len(body) - 1))
    changed = body[:place] + bytes([body[place] ^ data.draw(st.integers(1, 255))]) + body[place + 1 :]
    connection.execute("UPDATE history SET body = ? WHERE sequence = ?", (changed, victim))
    with pytest.raises(ChainError, match=f"row {victim}"):
        history.verify(connection)


def test_rows_taken_out_or_moved_are_noticed(connection: sqlite3.Connection) -> None:
    """A gap, a re-labelled model and a forged chain are each found where they begin."""
    fill(connection, 4)
    connection.execute("UPDATE history SET model = 'z' WHERE sequence = 3")
    with pytest.raises(ChainError, match="row 3"):
        history.verify(connection)
    connection.execute("DELETE FROM history WHERE sequence = 2")
    with pytest.raises(ChainError, match="row 2 was wanted next, row 3 found"):
        history.verify(connection)
