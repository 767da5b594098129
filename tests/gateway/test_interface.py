"""What a protocol knows of a version, in a process that has no graph."""

import pickle
from pathlib import Path

from gateway.interface import Interface, rows_of
from tests.gateway.protocols.loading import opened
from tests.models import constant, logistic


def test_a_loaded_version_travels_as_its_interface(tmp_path: Path) -> None:
    """Pickled, a version in memory is who it is and what its tensors are, and nothing else."""
    model = opened(tmp_path, logistic(30), classes=("no", "yes"))
    found = pickle.loads(pickle.dumps(model))  # noqa: S301  of ours
    assert type(found) is Interface
    assert (found.name, found.version, found.classes) == ("m", "1", ("no", "yes"))
    assert found.signature == model.signature
    assert list(found.inputs) == list(model.inputs)
    assert found.batched == model.batched


def test_a_request_without_inputs_is_one_row(tmp_path: Path) -> None:
    """A model that takes nothing has no batch axis: whoever asks it asks once."""
    model = opened(tmp_path, constant())
    assert (model.batched, rows_of(model, {})) == (False, 1)
