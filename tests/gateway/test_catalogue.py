"""What an operator sees of models."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from gateway.catalogue import Catalogue
from gateway.settings import RunSettings
from registry_client.memory import MemoryRegistry
from rollouts.route import Route
from tests.models import logistic, publish


class Unrouted:
    """A store without routes."""

    def routes(self) -> Mapping[str, Route]:
        """None."""
        return {}


def test_a_model_is_shown_with_its_options(tmp_path: Path) -> None:
    """What onnxruntime is told for a model is part of its view: its own entry, `*`, and the defaults."""
    registry = MemoryRegistry("test", tmp_path / "cache")
    publish(registry, "m", "1", logistic())
    entries = {"*": {"threads": 2}, "m": {"arena": False}}
    runs = msgspec.convert({"models": entries}, RunSettings)
    options = Catalogue(registry, Unrouted(), tmp_path / "slots", dict, dict, runs).model("m").options
    assert (options["threads"], options["arena"], options["optimisation"]) == (2, False, "all")
    assert list(options["providers"]) == ["CPUExecutionProvider"]
