"""Who leaves when there is no room, and who waits."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.budget import Budget, Resident, leavers
from gateway.errors import LoadError, OverBudgetError

RESIDENTS = st.lists(
    st.builds(
        Resident,
        model=st.sampled_from("abc"),
        versions=st.just(("1",)),
        size=st.integers(1, 50),
        used=st.integers(0, 20),
        whole=st.booleans(),
    ),
    max_size=8,
)


@given(RESIDENTS, st.integers(1, 120), st.integers(0, 20))
def test_the_longest_unused_leave_and_no_more_than_needed(
    residents: list[Resident], wanted: int, used_before: int
) -> None:
    """Who leaves was used before the others and not lately; all together are just enough, or none leaves."""
    chosen = leavers(residents, wanted, used_before)
    idle = [resident for resident in residents if resident.used < used_before]
    if chosen is None:
        assert sum(resident.size for resident in idle) < wanted
        return
    assert sum(resident.size for resident in chosen) >= wanted
    assert sum(resident.size for resident in chosen[:-1]) < wanted
    stays = [resident.used for resident in idle if resident not in chosen]
    assert all(resident.used <= min(stays, default=resident.used) for resident in chosen)


async def test_room_is_waited_for() -> None:
    """Who wants room has those leave that must, and goes on when they have left."""
    budget = Budget(100, 5.0)
    asked: list[int] = []

    def free(missing: int) -> bool:
        asked.append(missing)
        budget.leave(60)
        return True

    await budget.take(60, free, title="one")
    taking = asyncio.create_task(budget.take(70, free, title="two"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asked == [30]
    assert not taking.done()
    budget.give(60)
    await taking
    assert budget.held == 70


async def test_no_room_is_said() -> None:
    """Where nobody may leave, that is an error with the figures."""
    budget = Budget(100, 5.0)
    await budget.take(60, lambda _: False, title="one")
    with pytest.raises(OverBudgetError, match=r"two: wanted 50 bytes beside the 60 .* \(100\)"):
        await budget.take(50, lambda _: False, title="two")
    assert budget.held == 60


async def test_what_never_fits_is_not_put_off() -> None:
    """A version larger than the whole budget cannot be loaded, and nobody leaves for it or is waited for."""
    budget = Budget(100, 5.0)
    await budget.take(60, lambda _: False, title="one")
    with pytest.raises(LoadError, match=r"two: its file has 101 bytes.* raise runs.max_bytes \(100\)"):
        await budget.take(101, lambda _: pytest.fail("somebody was asked to leave"), title="two")
    assert budget.held == 60


async def test_those_who_never_leave_are_not_waited_for_long() -> None:
    """A taker's patience ends."""
    budget = Budget(100, 0.01)
    await budget.take(60, lambda _: False, title="one")
    with pytest.raises(OverBudgetError):
        await budget.take(60, lambda _: True, title="two")


async def test_without_a_limit_all_have_room() -> None:
    """0 is no limit; what is held is counted all the same."""
    budget = Budget(0, 0.01)
    await budget.take(1 << 40, lambda _: False, title="one")
    assert budget.held == 1 << 40
    budget.give(1 << 40, left=False)
    assert budget.held == 0
