"""What an operator sees of a model."""

from collections.abc import Mapping
from pathlib import Path

from gateway.catalogue import Catalogue
from gateway.schedule import Measured, Schedule
from groundwork.slot_readings import SlotsReader
from registry_client.directory import DirectoryRegistry
from registry_client.memory import MemoryRegistry
from rollouts.route import Route
from tests.models import logistic, publish


class NoRoutes:
    """A store without routes."""

    def routes(self) -> Mapping[str, Route]:
        """None."""
        return {}

    def route(self, model: str) -> Route | None:
        """None."""
        assert model
        return None


def test_the_way_a_version_is_run_is_shown_with_its_measures(tmp_path: Path) -> None:
    """How this worker runs a version, and the measured reasons, are part of the model's view."""
    registry = MemoryRegistry("test", tmp_path / "cache")
    publish(registry, "m", "1", logistic())
    measured = Measured(((1, 0.8e-3), (16, 1.2e-3)), 20e-6, "close", 1e-7)
    schedules = {("m", "1"): Schedule("batched", -1, 16, "why", measured)}
    view = Catalogue(registry, NoRoutes(), SlotsReader(tmp_path / "slots"), dict, lambda: schedules).model(
        "m"
    )
    run = view.runs["1"]
    assert (run.mode, run.batch_rows, run.reason, run.agreement) == ("batched", 16, "why", "close")
    assert (run.run_seconds, run.row_seconds, run.handoff_seconds) == (0.8e-3, 1.2e-3 / 16, 20e-6)


def test_what_lies_in_the_registry_and_is_no_model_is_a_fault(tmp_path: Path) -> None:
    """Whoever lists the models is told of a folder that is passed over, and why."""
    (tmp_path / "my model" / "1").mkdir(parents=True)
    (tmp_path / "my model" / "1" / "model.onnx").write_bytes(logistic())
    catalogue = Catalogue(DirectoryRegistry(tmp_path), NoRoutes(), SlotsReader(tmp_path / "slots"), dict)
    found = catalogue.models()
    assert found.models == []
    (fault,) = found.faults
    assert fault.startswith("my model is not served: model name 'my model': wanted 1 to 100 of")
