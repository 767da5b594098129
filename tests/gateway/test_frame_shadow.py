"""Shadow runs that follow the log: which are, what they may take, and what becomes of what they hold."""

import asyncio
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from gateway.frame_shadow import LONGEST_S
from gateway.log_rate import LOOK_SECONDS
from gateway.log_settings import JournalSettings
from gateway.run_settings import RunSettings, ShadowSettings
from gateway.schedule import Schedule
from gateway.settings import GatewaySettings
from prediction_log.record import Kind
from rollouts.route import FULL, Route
from tests.facts import until
from tests.gateway.shadowed import BAD, CANARY, PLAIN, SETTINGS, SHADOWED, Watched, ask, close_gate
from tests.gateway.worlds import ROW, world
from tests.models import fragile_logistic, logistic


@pytest.mark.parametrize("settings", SETTINGS)
async def test_what_the_log_keeps_whole_is_not_offered(tmp_path: Path, settings: str) -> None:
    """A lane is followed where every row is recorded as it was; else its requests are offered."""
    async with world(tmp_path, SETTINGS[settings], follows=True) as here:
        await here.beside(SHADOWED, v2=logistic())
        bound = here.core.lanes.bound["m"]
        whole = settings in {"as-ever", "large"}
        assert (bool(bound.ways), bound.lane.shadow is None, bound.plain) == (whole, whole, whole)


async def test_what_is_dear_or_may_not_be_joined_is_offered(tmp_path: Path) -> None:
    """Only cheap runs that may be longer are made from the log."""
    async with world(tmp_path, follows=True) as here:
        versions = await here.beside(SHADOWED, v2=logistic())
        good = versions["2"].schedule
        dear = msgspec.structs.replace(good, mode="batched")
        alone = msgspec.structs.replace(good, batch_rows=1)
        for revision, schedule, followed in ((4, dear, False), (5, alone, False), (6, good, True)):
            versions["2"].schedule = schedule
            await here.serve(msgspec.structs.replace(SHADOWED, revision=revision))
            assert bool(here.core.lanes.bound["m"].ways) is followed


async def test_a_revision_that_began_to_be_offered_stays_so(tmp_path: Path) -> None:
    """What is under way was offered, so that a follower that came in between would compare it again."""
    async with world(tmp_path, follows=True) as here:
        versions = await here.beside(SHADOWED, v2=logistic())
        cheap = versions["2"].schedule
        versions["2"].schedule = Schedule()
        route = msgspec.structs.replace(SHADOWED, revision=4)
        await here.serve(route)
        await ask(here, [ROW])
        versions["2"].schedule = cheap
        await here.serve(route)
        await ask(here, [ROW])
        await here.settle()
        assert here.counted("driftgate_pairs_total", outcome="ok") == 2


async def test_a_version_that_turns_out_dear_is_offered_what_waits(tmp_path: Path) -> None:
    """A schedule that changes while it is served loses no pair."""
    async with world(tmp_path, follows=True) as here:
        versions = await here.beside(SHADOWED, v2=logistic())
        await ask(here, [ROW], [ROW] * 2)
        versions["2"].schedule = Schedule()
        await ask(here, [ROW])
        versions["2"].session = ran = Watched(versions["2"].session)
        await here.settle()
        assert here.counted("driftgate_pairs_total", outcome="ok") == 3
        assert ran.rows == [1, 2, 1]


@pytest.mark.parametrize(("batching", "runs"), [("close", [11]), ("exact", [4, 4, 3])])
async def test_exact_runs_are_no_longer_than_those_of_callers(
    tmp_path: Path, batching: Literal["close", "exact"], runs: list[int]
) -> None:
    """Where no bit may change, runs are as long as was looked at when the version was loaded."""
    settings = GatewaySettings(runs=RunSettings(batching=batching))
    async with world(tmp_path, settings, follows=True) as here:
        versions = await here.beside(SHADOWED, v2=logistic())
        versions["2"].schedule = msgspec.structs.replace(versions["2"].schedule, batch_rows=4)
        versions["2"].session = ran = Watched(versions["2"].session)
        await ask(here, *[[ROW]] * 11)
        await here.settle()
        assert ran.rows == runs


@pytest.mark.parametrize("share", [0.0, 0.3])
async def test_a_share_is_drawn_by_request(tmp_path: Path, share: float) -> None:
    """Of a share of the requests all rows are compared, of the others none."""
    async with world(tmp_path, follows=True) as here:
        await here.beside(msgspec.structs.replace(SHADOWED, shadow_share=int(share * FULL)), v2=logistic())
        await ask(here, *[[ROW] * 2] * 400)
        await here.settle()
        pairs = here.counted("driftgate_pairs_total", outcome="ok")
        assert abs(pairs - share * 400) <= 4 * 10
        assert sum(frame.rows for frame in here.logged(Kind.PAIR)) == 2 * pairs
        assert here.counted("evidence_requests_total", arm="shadow") == pairs
        assert here.counted("driftgate_shadow_dropped_total") == 0


async def test_a_released_version_is_kept_until_its_rows_were_run_again(tmp_path: Path) -> None:
    """What was answered before a route changed is compared before the version leaves, and then it leaves."""
    async with world(tmp_path, follows=True) as here:
        versions = await here.beside(SHADOWED, v2=logistic())
        await ask(here, [ROW])
        await here.serve(PLAIN)
        release = asyncio.create_task(here.fleet.release(versions["2"]))
        await asyncio.sleep(0)
        assert not release.done()
        await here.settle()
        await release
        assert here.counted("driftgate_pairs_total") == 1
        assert here.journal.unlogged() == []


async def test_what_is_followed_is_in_the_log_whole_however_much_it_is(tmp_path: Path) -> None:
    """`journal.max_rate` bounds a version again when nothing follows its rows any more."""
    settings = GatewaySettings(journal=JournalSettings(max_rate=1000))
    async with world(tmp_path, settings, follows=True) as here:
        versions = await here.beside(SHADOWED, v2=logistic())
        for route, whole in ((SHADOWED, True), (Route(model="m", revision=9, stable="1"), False)):
            await here.serve(route)
            await here.settle()
            for _ in range(20):
                await ask(here, [ROW])
                here.clock.advance(LOOK_SECONDS * 1.01)
                here.journal.bound(here.clock.monotonic())
            assert here.journal.keeps_whole(versions["1"]) is whole
        assert here.counted("driftgate_pairs_total", outcome="ok") == 20


async def test_no_version_waits_for_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """After LONGEST_S rows that are not in the log are counted as not compared, and the versions let go."""
    async with world(tmp_path, follows=True) as here:
        versions = await here.beside(SHADOWED, v2=logistic())
        await ask(here, [ROW] * 3)
        await here.serve(PLAIN)
        here.frame_shadow.take([])
        here.clock.advance(LONGEST_S - 1)
        here.frame_shadow.take([])
        assert here.counted("driftgate_shadow_dropped_total") == 0
        here.clock.advance(1)
        here.frame_shadow.take([])
        assert here.counted("driftgate_shadow_dropped_total", reason="unrecorded", version="2") == 3
        async with asyncio.timeout(10):
            await versions["2"].idle()
        await here.settle()
        assert here.counted("driftgate_pairs_total") == 0


async def test_what_waits_is_bounded(tmp_path: Path) -> None:
    """Frames beyond `shadow.max_bytes` are dropped and their requests counted; the rest is compared."""
    small = GatewaySettings(
        journal=JournalSettings(buffer_bytes=16_384), shadow=ShadowSettings(max_bytes=40_000)
    )
    async with world(tmp_path, small, follows=True) as here:
        await here.beside(SHADOWED, v2=logistic())
        await ask(here, [ROW] * 40, [ROW] * 20)
        frames: list[bytes] = []
        here.flusher.after = frames.extend
        await here.flusher.flush()
        here.frame_shadow.take(frames * 4)
        await here.frame_shadow.idle()
        kept, dropped = (
            here.counted("driftgate_pairs_total"),
            here.counted("driftgate_shadow_dropped_total", reason="bytes"),
        )
        assert (kept + dropped, kept > 0, dropped > 0) == (8, True, True)


async def test_too_small_a_budget_offers_everything(tmp_path: Path) -> None:
    """Where two frames may not wait, requests are offered one by one, as they were."""
    async with world(
        tmp_path, GatewaySettings(shadow=ShadowSettings(max_bytes=1 << 20)), follows=True
    ) as here:
        await here.beside(SHADOWED, v2=logistic())
        assert here.core.lanes.bound["m"].ways == ()


async def test_callers_of_the_version_beside_come_first(tmp_path: Path) -> None:
    """While requests wait for the version beside, a frame is dropped, and its requests counted."""
    async with world(tmp_path, follows=True) as here:
        versions = await here.beside(SHADOWED, v2=logistic())
        await ask(here, [ROW], [ROW] * 2)
        frames: list[bytes] = []
        here.flusher.after = frames.extend
        await here.flusher.flush()
        gate = close_gate(versions["2"])
        busy = [asyncio.create_task(ask(here, [ROW], version="2"))]
        await until(lambda: gate.begun, "a run is under way")
        busy += [asyncio.create_task(ask(here, [ROW], version="2"))]
        await asyncio.sleep(0)
        here.frame_shadow.take(frames)
        await here.frame_shadow.idle()
        assert here.counted("driftgate_shadow_dropped_total", reason="busy", version="2") == 2
        assert here.counted("driftgate_pairs_total") == 0
        gate.go.set()
        await asyncio.gather(*busy)


async def test_what_the_log_lost_is_counted(tmp_path: Path) -> None:
    """Rows that found no room in the log cannot be compared, and say so."""
    small = GatewaySettings(journal=JournalSettings(buffer_bytes=16_384))
    async with world(tmp_path, small, follows=True) as here:
        await here.beside(SHADOWED, v2=logistic())
        await ask(here, *[[ROW]] * 400)
        lost = here.counted("driftgate_log_rows_lost_total", kind="prediction")
        await here.settle()
        assert lost > 0
        assert here.counted("driftgate_shadow_dropped_total", reason="unrecorded") == lost
        assert here.counted("driftgate_pairs_total") == 400 - lost


async def test_pairs_wait_for_room_in_their_stream(tmp_path: Path) -> None:
    """More pairs than both buffers of their stream hold come into the log, none lost, as it is flushed."""
    small = GatewaySettings(journal=JournalSettings(side_buffer_bytes=4096))
    async with world(tmp_path, small, follows=True) as here:
        await here.beside(SHADOWED, v2=logistic())
        await ask(here, *[[ROW] * 7] * 100)
        await here.flusher.flush()
        while here.counted("driftgate_pairs_total") < 100:
            await here.flusher.flush()
            await asyncio.sleep(0)
        await here.settle()
        assert here.counted("driftgate_log_rows_lost_total") == 0
        assert sum(frame.rows for frame in here.logged(Kind.PAIR)) == 700


async def test_a_log_that_cannot_be_written_keeps_no_pair_waiting(tmp_path: Path) -> None:
    """Where flushes make no room, pairs are lost and counted like everything that the log has no room for."""
    small = GatewaySettings(journal=JournalSettings(side_buffer_bytes=4096))
    async with world(tmp_path, small, follows=True) as here:
        await here.beside(SHADOWED, v2=logistic())
        await ask(here, *[[ROW] * 7] * 100)
        await here.flusher.flush()
        idle = asyncio.create_task(here.frame_shadow.idle())
        while not idle.done():
            here.frame_shadow.take([])
            await asyncio.sleep(0)
        assert here.counted("driftgate_pairs_total") == 100
        assert here.counted("driftgate_log_rows_lost_total", kind="pair") > 0


async def test_what_is_left_out_is_remembered_until_its_row_comes(tmp_path: Path) -> None:
    """A frame of before that is worked off meanwhile does not let it be forgotten."""
    async with world(tmp_path, follows=True) as here:
        await here.beside(msgspec.structs.replace(CANARY, weight=FULL), v2=fragile_logistic())
        stable, _ = here.core.lanes.bound["m"].ways
        frames: list[bytes] = []
        here.flusher.after = frames.extend
        await ask(here, [BAD])
        await here.flusher.flush()
        before, frames[:] = list(frames), []
        await ask(here, [BAD])
        here.frame_shadow.take(before)
        await here.frame_shadow.idle()
        assert len(stable.left_out) == 1
        await here.flusher.flush()
        here.frame_shadow.take(frames)
        await here.frame_shadow.idle()
        assert not stable.left_out
        assert here.counted("driftgate_pairs_total") == 0


async def test_a_mistake_costs_one_frame(tmp_path: Path) -> None:
    """A frame that cannot be worked off is counted and told; the next ones are compared, nothing is held."""
    async with world(tmp_path, follows=True) as here:
        versions = await here.beside(SHADOWED, v2=logistic())
        frames: list[bytes] = []
        here.flusher.after = frames.extend
        for _ in range(3):
            await ask(here, [ROW] * 2)
            await here.flusher.flush()
        heard: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, said: heard.append(said["exception"]))
        spoilt = bytearray(frames[1])
        spoilt[100:120] = bytes(20)  # of the schema
        here.frame_shadow.take([frames[0], bytes(spoilt), frames[2]])
        await here.frame_shadow.idle()
        assert len(heard) == 1
        assert here.counted("driftgate_pairs_total") == 2
        assert here.counted("driftgate_shadow_dropped_total", reason="fault") == 2
        assert here.counted("driftgate_executing") == 0
        here.flusher.after = here.frame_shadow.take
        await here.serve(PLAIN)
        await here.settle()
        async with asyncio.timeout(10):
            await versions["2"].idle()


async def test_who_stops_finishes_what_was_taken(tmp_path: Path) -> None:
    """A close leaves nothing that was handed on uncompared, and holds no version."""
    async with world(tmp_path, follows=True) as here:
        versions = await here.beside(CANARY, v2=logistic())
        await ask(here, *[[ROW]] * 20)
        await here.flusher.flush()
        await here.frame_shadow.close()
        assert here.counted("driftgate_pairs_total") == 20
        async with asyncio.timeout(10):
            for version in versions.values():
                await version.idle()
