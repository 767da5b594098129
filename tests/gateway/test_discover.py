"""Finding models that have no route."""

import io
import threading
from pathlib import Path

from gateway.discover import Discovery
from groundwork.clock import FakeClock
from groundwork.logs import Log
from registry_client.memory import MemoryRegistry
from rollouts.store import SqliteStore
from tests.models import logistic, publish


def test_a_new_model_is_routed_to_its_highest_version(tmp_path: Path) -> None:
    """Revision 1 names the highest version as a number; models with a route are left alone."""
    store = SqliteStore(tmp_path / "rollouts.db", FakeClock())
    registry = MemoryRegistry("", None)
    for version in ("2", "10"):
        publish(registry, "m", version, logistic(bias=float(version)))
    publish(registry, "old", "1", logistic())
    discovery = Discovery(registry, store, Log(io.StringIO(), FakeClock()))
    discovery.look({"old"})
    route = store.route("m")
    assert route is not None
    assert (route.stable, route.revision) == ("10", 1)
    assert store.route("old") is None
    assert store.history()[0].actor == "gateway"
    publish(registry, "m", "11", logistic(bias=11.0))
    discovery.look(set())
    assert store.route("m") == route
    store.close()


def test_a_registry_that_is_gone_is_said_once(tmp_path: Path) -> None:
    """A registry that cannot be read is a fault, told once and forgotten when it is back."""
    store = SqliteStore(tmp_path / "rollouts.db", FakeClock())
    lines = io.StringIO()

    class Flaky(MemoryRegistry):
        """A registry that comes and goes."""

        gone = True

        def models(self) -> list[str]:
            """List, when it is there."""
            if self.gone:
                raise OSError("the registry's disk is gone")
            return super().models()

    registry = Flaky("", None)
    discovery = Discovery(registry, store, Log(lines, FakeClock()))
    discovery.look(set())
    discovery.look(set())
    assert discovery.faults == {"": "the registry's disk is gone"}
    assert lines.getvalue().count("registry-not-read") == 1
    registry.gone = False
    discovery.look(set())
    assert discovery.faults == {}
    store.close()


def test_looks_do_not_meet(tmp_path: Path) -> None:
    """A look that comes while another is under way waits until that has ended."""
    store = SqliteStore(tmp_path / "rollouts.db", FakeClock())
    begun, met = threading.Semaphore(0), threading.Event()

    class Slow(MemoryRegistry):
        """A registry that is asked once more while it answers."""

        asked = 0

        def models(self) -> list[str]:
            """None, after a while in which nobody else may ask."""
            self.asked += 1
            if self.asked == 1:
                begun.release()
                assert not met.wait(0.05)
            else:
                met.set()
            return []

    discovery = Discovery(Slow("", None), store, Log(io.StringIO(), FakeClock()))
    first = threading.Thread(target=discovery.look, args=(set(),))
    first.start()
    assert begun.acquire(timeout=10)
    discovery.look(set())
    first.join()
    assert met.is_set()
    store.close()
