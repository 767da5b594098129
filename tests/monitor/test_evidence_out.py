"""Tests of monitor.evidence_out."""

from groundwork.clock import FakeClock
from groundwork.errors import StoreError
from monitor.evidence_out import EvidenceOut
from rollouts.evidence import PairTotals


class Store:
    """A rollouts store that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[PairTotals, ...]] = []
        self.beats = 0
        self.broken = False

    def put_pairs(self, *totals: PairTotals) -> None:
        """Remember totals."""
        if self.broken:
            raise StoreError("no")
        self.told.append(totals)

    def beat(self, name: str) -> None:
        """Remember a beat."""
        assert name == "monitor"
        self.beats += 1


def total(revision: int, right: int) -> PairTotals:
    """Totals of one revision."""
    return PairTotals(model="m", revision=revision, stable="1", candidate="2", both_right=right)


def test_only_what_changed_is_told() -> None:
    """Totals are told when they changed, and nothing when they did not."""
    store = Store()
    out = EvidenceOut(store, FakeClock())
    out.publish([total(1, 5), total(2, 1)])
    out.publish([total(1, 5), total(2, 1)])
    out.publish([total(1, 5), total(2, 2)])
    assert store.told == [(total(1, 5), total(2, 1)), (total(2, 2),)]


def test_a_changed_split_of_the_same_pairs_is_told() -> None:
    """What is told is who was right, not how many pairs there are; a new log offset alone is no news."""
    store = Store()
    out = EvidenceOut(store, FakeClock())
    told = [
        PairTotals(model="m", revision=1, stable="1", candidate="2", both_right=2, offset="000001:1"),
        PairTotals(model="m", revision=1, stable="1", candidate="2", both_right=2, offset="000001:2"),
        PairTotals(model="m", revision=1, stable="1", candidate="2", only_stable=2, offset="000001:2"),
    ]
    for one in told:
        out.publish([one])
    assert store.told == [(told[0],), (told[2],)]


def test_a_quiet_monitor_beats_once_a_second() -> None:
    """Without news the store hears that the monitor is alive, once a second."""
    store, clock = Store(), FakeClock()
    out = EvidenceOut(store, clock)
    for _ in range(30):
        out.publish([])
        clock.advance(0.1)
    assert store.beats == 3


def test_what_could_not_be_told_is_told_later() -> None:
    """A store that fails is no reason to stop: the error's code is returned, the totals come again."""
    store = Store()
    out = EvidenceOut(store, FakeClock())
    store.broken = True
    assert out.publish([total(1, 5)]) == "bad-store"
    store.broken = False
    assert out.publish([total(1, 5)]) == ""
    assert store.told == [(total(1, 5),)]
