"""What a protocol knows of a version, in a process that has no graph."""

import pickle
from pathlib import Path

from gateway.interface import Interface
from tests.gateway.protocols.loading import opened
from tests.models import logistic


def test_a_loaded_version_travels_as_its_interface(tmp_path: Path) -> None:
    """Pickled, a version in memory is who it is and what its tensors are, and nothing else."""
    model = opened(tmp_path, logistic(30), classes=("no", "yes"))
    found = pickle.loads(pickle.dumps(model))  # noqa: S301  of ours
    assert type(found) is Interface
    assert (found.name, found.version, found.classes) == ("m", "1", ("no", "yes"))
    assert found.signature == model.signature
    assert list(found.inputs) == list(model.inputs)
    assert found.batched == model.batched
