"""Runs beside an answer."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from gateway.beside import AT_ONCE, Job, together
from gateway.run_settings import ShadowSettings
from gateway.schedule import Measured, Schedule, strayed
from gateway.settings import GatewaySettings
from gateway.stream import Noted
from prediction_log.record import Arm, Kind, Outcome
from rollouts.route import FULL, Route
from tests.gateway.shadowed import SHADOWED, Watched, ask
from tests.gateway.worlds import ROW, World, call, request, world
from tests.models import fragile_logistic, logistic


async def test_a_version_that_turned_out_dear_runs_off_the_loop(tmp_path: Path) -> None:
    """How a version is run is looked at for each job, not once."""
    async with world(tmp_path) as here:
        versions = await here.beside(SHADOWED, v2=logistic())
        versions["2"].session = ran = Watched(versions["2"].session)
        for _ in range(2):
            await ask(here, [ROW])
            await here.core.shadow.idle()
        versions["2"].schedule = strayed(versions["2"].schedule, 0, 0.5)
        await ask(here, [ROW])
        await here.core.shadow.idle()
        assert ran.off_the_loop == [True, False, True]
        assert here.counted("driftgate_pairs_total", outcome="ok") == 3


async def test_pairs_without_room_cost_no_version(tmp_path: Path) -> None:
    """Where a stream of pairs cannot be made, jobs are dropped, counted and let go; later ones are run."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: told.append(said))
    async with world(tmp_path) as here:
        await here.beside(SHADOWED, v2=logistic())
        aside = here.slot.folder.with_name("aside")
        here.slot.folder.rename(aside)
        await ask(here, [ROW])
        await here.core.shadow.idle()
        aside.rename(here.slot.folder)
        assert here.counted("driftgate_shadow_dropped_total", version="2", reason="fault") == 1
        assert [type(said["exception"]) for said in told] == [FileNotFoundError]
        await ask(here, [ROW])
        await here.core.shadow.idle()
        assert here.counted("driftgate_pairs_total", outcome="ok") == 1


async def test_what_waits_is_joined(tmp_path: Path) -> None:
    """Jobs for one version are one run, up to its longest batch; those that differ, or may not, run apart."""
    async with world(tmp_path) as here:
        await here.publish("m", "2", logistic())
        versions = await here.serve(Route(model="m", revision=3, stable="1", shadow="2", shadow_share=FULL))
        one, two = versions["1"], versions["2"]
        two.schedule = msgspec.structs.replace(two.schedule, batch_rows=4)
        one.schedule = msgspec.structs.replace(one.schedule, batch_rows=1)
        wide, wider = np.zeros((1, 30), np.float32), np.zeros((1, 31), np.float32)
        noted = Noted(bytes(16), 0, 0, Arm.STABLE, 3)
        asked = [
            (two, wide, 1),
            (two, wide, 2),
            (one, wide, 1),
            (two, wider, 1),
            (one, wide, 1),
            (two, wide, 2),
        ]
        jobs = [Job(one, beside, noted, {"x": array}, [], rows, 0) for beside, array, rows in asked]
        assert together(jobs) == [[0, 1], [2], [3], [4], [5]]


async def test_a_failing_job_harms_no_other_of_its_run(tmp_path: Path) -> None:
    """Where a joined run fails, only the pair of the request that caused it says so."""
    async with world(tmp_path) as here:
        await here.publish("m", "2", fragile_logistic())
        await here.serve(Route(model="m", revision=3, stable="1", shadow="2", shadow_share=FULL))
        for row in (ROW, [5.0, *ROW[1:]], ROW):
            here.core.begin(call(request([row])))
        await here.core.shadow.idle()
        (frame,) = here.frames(Kind.PAIR)
        assert frame.array("candidate_outcome").tolist() == [Outcome.OK, Outcome.FAILED, Outcome.OK]


async def shadow_cheaply(here: World) -> None:
    """Shadow everything by runs that cost next to nothing; the first of them is over."""
    await here.publish("m", "2", logistic())
    versions = await here.serve(Route(model="m", revision=3, stable="1", shadow="2", shadow_share=FULL))
    for version in versions.values():
        version.inline_rows = 1
        version.schedule = Schedule("inline", 1, 32, measured=Measured(((1, 1e-6),), handoff=1.0))
    here.core.begin(call())
    await here.core.shadow.idle()


async def test_callers_come_first(tmp_path: Path) -> None:
    """Cheap runs take a small share of what waits in each turn of the loop, and all of it in the end."""
    async with world(tmp_path) as here:
        await shadow_cheaply(here)
        for _ in range(80):
            here.core.begin(call())
        done = 1
        while done < 81:
            await asyncio.sleep(0)
            now = here.counted("driftgate_pairs_total", outcome="ok")
            assert now - done <= 10
            done = now


async def test_what_comes_alone_and_what_has_company_is_taken_up_at_once(tmp_path: Path) -> None:
    """A cheap run waits for others only where the last was a moment ago, and for so many as make a turn."""
    async with world(tmp_path) as here:
        await shadow_cheaply(here)
        for count in (1, AT_ONCE):
            before = here.counted("driftgate_pairs_total", outcome="ok")
            for _ in range(count):
                here.core.begin(call())
            for _ in range(4):
                await asyncio.sleep(0)
            assert here.counted("driftgate_pairs_total", outcome="ok") - before == count
        here.core.begin(call())
        await here.core.shadow.idle()
        assert here.counted("driftgate_pairs_total", outcome="ok") == AT_ONCE + 3


async def test_a_budget_protects_the_callers(tmp_path: Path) -> None:
    """What would exceed the budget is dropped and counted by reason, and the caller has its answer."""
    for limit, reason in ((ShadowSettings(max_waiting=1), "waiting"), (ShadowSettings(max_bytes=1), "bytes")):
        async with world(tmp_path / reason, GatewaySettings(shadow=limit)) as here:
            await here.publish("m", "2", logistic())
            await here.serve(Route(model="m", revision=3, stable="1", shadow="2", shadow_share=FULL))
            loaded = here.core.lanes.table["m"].stable
            for _ in range(3):
                here.core.begin(call())
            await here.core.shadow.idle()
            dropped = here.counted("driftgate_shadow_dropped_total", version="2", reason=reason)
            kept = here.counted("driftgate_pairs_total")
            assert dropped + kept == 3
            assert dropped >= 2
            assert here.counted("driftgate_requests_total", outcome="ok") == 3
            await loaded.idle()


async def test_a_released_version_waits_for_its_shadow_runs(tmp_path: Path) -> None:
    """A version is let go only after the runs that hold on to it are recorded."""
    async with world(tmp_path) as here:
        await here.publish("m", "2", logistic())
        versions = await here.serve(Route(model="m", revision=3, stable="1", shadow="2", shadow_share=FULL))
        here.core.begin(call())
        await here.serve(Route(model="m", revision=4, stable="1"))
        await here.fleet.release(versions["2"])
        (frame,) = here.frames(Kind.PAIR)
        assert frame.rows == 1
        assert len(here.journal.files()) == 2


async def test_one_busy_model_keeps_no_other_waiting(tmp_path: Path) -> None:
    """Jobs given back wait for room for themselves, not for a moment in which nothing is under way."""
    one = GatewaySettings(shadow=ShadowSettings(max_waiting=1))
    async with world(tmp_path, one) as here:
        versions = await here.beside(
            Route(model="m", revision=3, stable="1", shadow="2", shadow_share=FULL), v2=logistic()
        )
        stable, beside = versions["1"], versions["2"]
        feeds = {"x": np.zeros((1, 30), np.float32)}
        noted = Noted(bytes(16), 0, 0, Arm.STABLE, 3)
        job = Job(stable, beside, noted, feeds, stable.session.run(feeds), 1, 1)
        for _ in range(3):
            await here.core.shadow.room(job)
            here.core.shadow.offer(job)
        await here.core.shadow.idle()
        assert here.counted("driftgate_shadow_dropped_total") == 0
        assert here.counted("driftgate_pairs_total") == 3
        large = msgspec.structs.replace(job, size=1 << 40)
        async with asyncio.timeout(10):
            await here.core.shadow.room(large)  # which there will never be
