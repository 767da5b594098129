"""Publishing from end to end."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from groundwork.clock import FakeClock
from registry_client import publish
from registry_client.directory import DirectoryRegistry
from registry_client.errors import BadNameError, PublishError, ReferenceDataError, VersionExistsError
from registry_client.manifest import Manifest, digest_of
from registry_client.memory import MemoryRegistry
from registry_client.profile import CategoricalColumn, NumericColumn, Risk
from registry_client.publishing import previous
from registry_client.signature import Datatype, Signature, TensorSpec
from tests.registry_client.support import a_graph, approvals, loans, pipeline, with_gaps

FRAME = with_gaps(loans())
Y = approvals(FRAME)
FITTED = pipeline().fit(FRAME, Y)


def test_pipeline(tmp_path: Path) -> None:
    """A pipeline over numeric and categorical columns becomes a version with everything known about it."""
    held_out = with_gaps(loans(seed=1))
    manifest = publish(
        FITTED,
        name="loans",
        registry=tmp_path,
        reference=held_out,
        labels=approvals(held_out),
        held_out=True,
        clock=FakeClock(1_700_000_000_000_000_000),
    )
    registry = DirectoryRegistry(tmp_path)
    assert registry.manifest("loans", "1") == manifest
    assert (manifest.version, manifest.task, manifest.label_output) == ("1", "classification", "label")
    assert (manifest.score_output, manifest.classes) == ("probabilities", ("0", "1"))
    assert manifest.created == "2023-11-14T22:13:20Z"
    assert (manifest.source, manifest.producer) == ("estimator sklearn.Pipeline", "skl2onnx")
    profile = registry.profile(manifest)
    assert profile is not None
    assert (profile.model, profile.version, profile.digest) == ("loans", "1", manifest.digest)
    assert (profile.rows, profile.held_out) == (300, True)
    assert profile.risk == Risk(300, int((FITTED.predict(held_out) != approvals(held_out)).sum()))
    salary, _, _, car = profile.columns
    assert isinstance(salary, NumericColumn)
    assert isinstance(car, CategoricalColumn)
    assert (salary.name, salary.missing) == ("salary (EUR)", int(held_out["salary (EUR)"].isna().sum()))
    assert (set(car.categories), car.missing) == (
        {"audi", "bmw", "citroën"},
        int(held_out["car"].isna().sum()),
    )
    assert [column.name for column in profile.outputs] == ["label", "probabilities[0]", "probabilities[1]"]


def test_served_answers(tmp_path: Path) -> None:
    """The stored graph answers a row given by column names as the pipeline did."""
    manifest = publish(FITTED, name="loans", registry=tmp_path, reference=FRAME)
    session = onnxruntime.InferenceSession(str(DirectoryRegistry(tmp_path).artifact(manifest)))
    feeds = {
        "salary (EUR)": np.array([[70_000.0]], np.float32),
        "age": np.array([[40]], np.int64),
        "owns home": np.array([[True]]),
        "car": np.array([["bmw"]], object),
    }
    assert session.run(["label"], feeds)[0].tolist() == [1]


def test_same_again() -> None:
    """The same publication again returns the version that is there; a newer one is the next number."""
    registry = MemoryRegistry()
    first = publish(FITTED, name="loans", registry=registry, reference=FRAME, labels=Y)
    assert publish(FITTED, name="loans", registry=registry, reference=FRAME, labels=Y) == first
    assert publish(FITTED, name="loans", version=1, registry=registry, reference=FRAME, labels=Y) == first
    other = publish(FITTED, name="loans", registry=registry, reference=FRAME[:200], labels=Y[:200])
    assert other.version == "2"
    assert registry.versions("loans") == ["1", "2"]


def test_an_older_version_again() -> None:
    """What an older version holds is that version, and no copy under a new number that nobody asked for."""
    registry = MemoryRegistry()
    first, _ = (publish(a_graph(factor), name="m", registry=registry) for factor in (1.0, 2.0))
    assert publish(a_graph(1.0), name="m", registry=registry) == first
    assert registry.versions("m") == ["1", "2"]
    assert publish(a_graph(1.0), name="m", registry=registry, version=3).version == "3"
    assert publish(a_graph(1.0), name="m", registry=registry).version == "3"


def test_other_bytes_under_a_version() -> None:
    """Other bytes under a version that exists are refused."""
    registry = MemoryRegistry()
    publish(a_graph(1.0), name="m", version="3", registry=registry)
    with pytest.raises(VersionExistsError, match="m version 3"):
        publish(a_graph(2.0), name="m", version="3", registry=registry)
    assert publish(a_graph(2.0), name="m", registry=registry).version == "4"


@pytest.mark.parametrize("version", [None, 3])
def test_a_broken_older_version_keeps_nobody_from_publishing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, version: int | None
) -> None:
    """With the manifest of the highest version cut, the next is published, and the broken one is named."""
    first = publish(FITTED, name="loans", registry=tmp_path, reference=FRAME[:200])
    publish(FITTED, name="loans", registry=tmp_path, reference=FRAME, version=2)
    (tmp_path / "loans" / "2" / "manifest.json").write_text('{"name": "loans", ')
    third = publish(FITTED, name="loans", registry=tmp_path, reference=FRAME, version=version)
    assert (third.version, third.digest) == ("3", first.digest)
    assert third.signature == first.signature
    assert "version 2 of model loans is passed over" in caplog.text


def test_no_version_above_the_highest() -> None:
    """Where no higher number is left the model is named, and what to do; a free one is still taken."""
    registry = MemoryRegistry("")
    publish(a_graph(), name="m", registry=registry, version=10**18 - 1)
    with pytest.raises(VersionExistsError, match=r"'m' has version 9+, the highest .* --version"):
        publish(a_graph(5.0), name="m", registry=registry)
    assert publish(a_graph(5.0), name="m", registry=registry, version=1).version == "1"


def test_racing_publishers(tmp_path: Path) -> None:
    """Publishers that race without naming a version all get one of their own."""
    start = threading.Barrier(6)

    def attempt(number: int) -> Manifest:
        start.wait()
        return publish(a_graph(float(number)), name="m", registry=tmp_path)

    with ThreadPoolExecutor(6) as pool:
        manifests = list(pool.map(attempt, range(6)))
    assert sorted(manifest.version for manifest in manifests) == ["1", "2", "3", "4", "5", "6"]
    assert list(tmp_path.glob(".staging-*")) == []


def test_graph_file(tmp_path: Path) -> None:
    """The path of a graph is published as its bytes, with a reference as its profile."""
    file = tmp_path / "any name.onnx"
    file.write_bytes(a_graph())
    registry = DirectoryRegistry(tmp_path / "models")
    manifest = publish(
        file, name="m", registry=registry, reference=np.array([[1.0], [2.0]]), labels=[2.0, 5.0]
    )
    assert registry.artifact(manifest).read_bytes() == file.read_bytes()
    assert (manifest.task, manifest.label_output, manifest.source) == ("regression", "prediction", "onnx")
    profile = registry.profile(manifest)
    assert profile is not None
    assert profile.risk == Risk(2, 1.0, "absolute")
    assert not profile.held_out


def test_a_graph_in_any_form() -> None:
    """A graph's bytes and the message they were written from are the same model."""
    registry, graph = MemoryRegistry(), a_graph()
    first = publish(graph, name="m", registry=registry)
    assert publish(onnx.load_model_from_string(graph), name="m", registry=registry) == first


def test_graph_without_reference() -> None:
    """A graph needs no reference; it then has no profile."""
    registry = MemoryRegistry()
    manifest = publish(a_graph(), name="m", registry=registry)
    assert manifest.profile_digest is None
    assert registry.profile(manifest) is None


def test_labels_with_gaps() -> None:
    """The risk counts the rows whose label is known."""
    registry = MemoryRegistry()
    labels = [None if i < 100 else int(label) for i, label in enumerate(Y)]
    manifest = publish(FITTED, name="m", registry=registry, reference=FRAME, labels=labels)
    profile = registry.profile(manifest)
    assert profile is not None
    assert profile.risk is not None
    assert profile.risk.n == 200


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["yes"] * 300, "labels hold 'yes', the model predicts"),
        ([0.25] * 300, "labels hold 0.25, the model predicts"),
        ([7] * 300, "labels hold 7, and none of them is one of the model's classes, 0, 1; give the column"),
        ([None] * 300, "no value"),
        (Y[:10], "one per reference row"),
    ],
)
def test_unusable_labels(labels: object, said: str) -> None:
    """Labels of another type or length, or none at all, are refused before anything is visible."""
    registry = MemoryRegistry()
    with pytest.raises(ReferenceDataError, match=said):
        publish(FITTED, name="m", registry=registry, reference=FRAME, labels=labels)
    assert registry.models() == []


def test_labels_of_an_unknown_output() -> None:
    """Labels are refused when the graph does not say which output they are of."""
    with pytest.raises(ReferenceDataError, match="which output"):
        publish(
            a_graph(output="embedding"), name="m", registry=MemoryRegistry(), reference=[[1.0]], labels=[1]
        )
    with pytest.raises(ReferenceDataError, match="without the reference"):
        publish(a_graph(), name="m", registry=MemoryRegistry(), labels=[1])


@pytest.mark.parametrize(("name", "version"), [("../up", None), ("m", "0"), ("m", 0), ("m", "1.5")])
def test_bad_names(name: str, version: str | int | None) -> None:
    """Bad names and versions are refused before any work is done."""
    with pytest.raises(BadNameError):
        publish(b"never read", name=name, version=version, registry=MemoryRegistry())


def test_missing_file(tmp_path: Path) -> None:
    """A model file that is not there is refused by name."""
    with pytest.raises(PublishError, match=r"nothing\.onnx"):
        publish(tmp_path / "nothing.onnx", name="m", registry=tmp_path)


def test_importing_the_package_loads_nothing() -> None:
    """Neither the package nor its documents and backends load what only publishing needs."""
    program = (
        "import sys, registry_client, registry_client.backends, registry_client.directory\n"
        "heavy = {'sklearn', 'skl2onnx', 'onnx', 'onnxruntime', 'pandas'} & set(sys.modules)\n"
        "print(sorted(heavy))\n"
        "from registry_client import publish\n"
        "heavy = {'sklearn', 'skl2onnx', 'onnx', 'onnxruntime', 'pandas'} & set(sys.modules)\n"
        "print(sorted(heavy), callable(publish))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout.splitlines() == ["[]", "[] True"]


def _takes(**inputs: Datatype) -> Signature:
    tensors = tuple(TensorSpec(name, datatype, (-1, 1)) for name, datatype in inputs.items())
    return Signature(tensors, (TensorSpec("y", Datatype.FP32, (-1, 1)),))


@pytest.mark.parametrize(
    ("taken", "single", "found"),
    [
        ([], True, None),
        ([None], True, None),
        ([_takes(a=Datatype.FP32), _takes(a=Datatype.FP64)], False, 1),
        ([_takes(a=Datatype.FP32), _takes(a=Datatype.FP64), None], True, 0),
        ([_takes(a=Datatype.FP64)], True, 0),
        ([_takes(a=Datatype.FP32), _takes(a=Datatype.FP64, b=Datatype.FP64)], True, 1),
    ],
)
def test_which_types_are_tried_first(taken: list[Signature | None], single: bool, found: int | None) -> None:  # noqa: FBT001  a case
    """Those of the highest version; where rows may differ, of the newest with the same inputs and no FP64."""
    registry = MemoryRegistry()
    for version, signature in enumerate(taken, 1):
        artifact = b"%d" % version
        manifest = Manifest(
            name="m", version=str(version), digest=digest_of(artifact), size=1, signature=signature
        )
        registry.publish(manifest, artifact, None)
    assert previous(registry, "m", single=single) == (None if found is None else taken[found])
