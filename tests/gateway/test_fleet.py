"""Loading and releasing versions."""

import asyncio
import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import IncompatibleSignatureError, LoadError, RunError, UnknownVersionError
from gateway.fleet_meters import LOADS
from registry_client.manifest import Manifest, digest_of
from registry_client.profile import NumericColumn, Profile, encode
from registry_client.signature import Datatype, Signature, TensorSpec
from rollouts.route import Route
from tests.facts import until
from tests.gateway.worlds import World, request
from tests.models import identity, logistic


async def test_a_version_is_loaded_once(here: World) -> None:
    """However many ask at the same time, all get the same object."""
    await here.publish("m", "2", logistic())
    first, second = await asyncio.gather(here.fleet.load("m", "2"), here.fleet.load("m", "2"))
    assert first is second is await here.fleet.load("m", "2")
    assert here.counted("driftgate_version_loaded", version="2") == 1


async def test_it_tells_of_what_it_holds(here: World) -> None:
    """How each version is run, what it answered, and how often it failed in a row; of others nothing."""
    loaded = await here.fleet.load("m", "1")
    before = here.fleet.served()
    for index in loaded.meters.ok.values():
        here.slot.counters.values[index] += 3
    here.slot.counters.values[loaded.meters.consecutive_errors] = 2
    assert here.fleet.served() - before == 3 * len(loaded.meters.ok)
    assert (here.fleet.in_a_row("m", "1"), here.fleet.in_a_row("m", "9")) == (2, 0)
    assert here.fleet.schedules()["m", "1"] is loaded.schedule
    await here.fleet.release(loaded)
    assert ("m", "1") not in here.fleet.schedules()
    assert here.fleet.in_a_row("m", "1") == 0


@pytest.mark.parametrize(
    ("model", "version"), [("m", "7"), ("m", "0"), ("m", "one"), ("nobody", "1"), ("..", "1")]
)
async def test_what_is_not_registered_is_unknown(here: World, model: str, version: str) -> None:
    """A model or version that the registry does not hold, or could not, is unknown."""
    with pytest.raises(UnknownVersionError):
        await here.fleet.load(model, version)


async def test_a_graph_that_does_not_load_is_one_line(here: World) -> None:
    """Bytes that are no graph are told in one line; what answers answers on."""
    await here.publish("m", "2", b"not a graph")
    with pytest.raises(LoadError, match="model m version 2: the graph does not load") as caught:
        await here.fleet.load("m", "2")
    assert "\n" not in str(caught.value)
    assert (await here.infer(request())).status_code == 200
    assert list(here.fleet.loaded) == [("m", "1")]


async def test_altered_bytes_are_refused(here: World, tmp_path: Path) -> None:
    """An artifact that is not what its digest says is not loaded, in one line that names it."""
    model = logistic()
    await here.publish("m", "2", model)
    manifest, _, profile = here.registry._stored["m"]["2"]
    here.registry._stored["m"]["2"] = (manifest, model[:-1] + b"x", profile)
    for cached in (tmp_path / "cache").glob("*"):
        cached.unlink()
    with pytest.raises(LoadError, match=r"^model m version 2: wanted sha256:") as caught:
        await here.fleet.load("m", "2")
    assert "\n" not in str(caught.value)


async def test_a_cut_profile_is_refused(here: World) -> None:
    """A version whose reference profile is cut in half is not loaded."""
    model = logistic()
    column = NumericColumn("x", 2, 0, 0.0, 1.0, 0.5, 0.5, (0.5,), (1, 1))
    whole = encode(Profile(rows=2, columns=(column,), outputs=()))
    manifest = Manifest(
        name="m", version="2", digest=digest_of(model), size=len(model), profile_digest=digest_of(whole)
    )
    here.registry.publish(manifest, model, whole)
    here.registry._stored["m"]["2"] = (manifest, model, whole[: len(whole) // 2])
    with pytest.raises(LoadError, match="profile"):
        await here.fleet.load("m", "2")


async def test_a_manifest_must_tell_the_graphs_signature(here: World) -> None:
    """A manifest that promises other tensors than the graph has is refused."""
    model = logistic()
    promised = Signature((TensorSpec("x", Datatype.FP32, (-1, 29)),), ())
    here.registry.publish(
        Manifest(name="m", version="2", digest=digest_of(model), size=len(model), signature=promised),
        model,
        None,
    )
    with pytest.raises(LoadError, match="signature"):
        await here.fleet.load("m", "2")


async def test_a_newcomer_must_fit(here: World) -> None:
    """A version that would refuse what stable accepts cannot join it, but can be asked for."""
    await here.publish("m", "2", logistic(29))
    stable = here.core.lanes.table["m"].stable
    with pytest.raises(IncompatibleSignatureError, match="version 2 cannot stand in for 1"):
        await here.fleet.load("m", "2", joins=stable)
    assert (await here.fleet.load("m", "2")).version == "2"


async def test_released_is_forgotten_when_it_is_idle(here: World) -> None:
    """A version leaves memory at once for newcomers, and for good when its last run has ended."""
    await here.publish("m", "2", logistic())
    loaded = await here.fleet.load("m", "2")
    loaded.hold()
    release = asyncio.create_task(here.fleet.release(loaded))
    await asyncio.sleep(0)
    assert ("m", "2") not in here.fleet.loaded
    assert not release.done()
    loaded.let_go()
    await release
    assert here.counted("driftgate_version_loaded", version="2") == 0
    again = await here.fleet.load("m", "2")
    assert again is not loaded


async def test_a_released_version_leaves_no_thread(here: World) -> None:
    """What ran off the loop is held by nobody afterwards: nothing needs a collector to be freed."""
    loaded = await here.fleet.load("m", "1")
    loaded.inline_rows, loaded.strays = -1, True
    assert (await here.infer(request())).status_code == 200
    runs = weakref.ref(loaded.batcher) if loaded.batcher is not None else None
    assert runs is not None
    gc.collect()
    gc.disable()
    try:
        await here.fleet.release(loaded)
        await until(lambda: runs() is None, "its runs are gone")
    finally:
        gc.enable()


async def test_a_closed_version_runs_no_more(here: World) -> None:
    """Once it is let go of, a version holds no graph: a run of it is an error like any other."""
    loaded = await here.fleet.load("m", "1")
    await here.fleet.release(loaded)
    with pytest.raises(RunError, match="taken out of memory"):
        loaded.session.run({"x": np.zeros((1, 30), np.float32)})


async def test_versions_that_roll_through_use_the_same_series(here: World) -> None:
    """What left memory is counted under `unloaded`: sums stay, and the table does not fill."""
    await here.publish("m", "2", logistic())
    sizes = []
    for round_number in range(4):
        await here.infer(request(), path="versions/2/infer")
        sizes.append(len(here.slot.counters.read()))
        await here.fleet.release(here.fleet.loaded["m", "2"])
        assert here.counted("driftgate_rows_total", model="m") == round_number + 1
    assert here.counted("driftgate_rows_total", version="unloaded") == 4
    assert here.counted("driftgate_requests_total", version="2") == 0
    assert sizes[-1] == sizes[1]


async def test_its_rows_outlive_a_version(here: World) -> None:
    """What a released version recorded is still flushed; then its file is gone."""
    await here.infer(request())
    loaded = here.core.lanes.table["m"].stable
    await here.publish("m", "2", logistic())
    await here.serve(Route(model="m", revision=2, stable="2"))
    await here.fleet.release(loaded)
    before = sorted(file.path for file in here.journal.files())
    (frame,) = here.frames(1)
    assert frame.schema.version == "1"
    after = sorted(file.path for file in here.journal.files())
    (gone,) = set(before) - set(after)
    assert not gone.exists()


async def test_a_load_that_nobody_waits_for_any_more_goes_on(here: World) -> None:
    """Who stops waiting does not stop the load for the others."""
    await here.publish("m", "2", identity([("x", "FP32", [None, 1])]))
    impatient = asyncio.create_task(here.fleet.load("m", "2"))
    patient = asyncio.create_task(here.fleet.load("m", "2"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).version == "2"
    assert impatient.cancelled()


async def test_a_load_that_fails_when_all_have_left_is_counted_and_no_more(here: World) -> None:
    """Nobody waits for it, nobody is told, and the loop has no exception that was never retrieved."""
    await here.publish("m", "2", b"this is no graph")
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context))
    asking = asyncio.create_task(here.fleet.load("m", "2"))
    await asyncio.sleep(0)
    asking.cancel()
    await until(lambda: here.counted(LOADS, model="m", outcome="failed") == 1, "it has failed")
    await asyncio.gather(asking, return_exceptions=True)
    gc.collect()
    assert said == []
