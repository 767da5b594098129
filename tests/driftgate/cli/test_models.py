"""`driftgate models`: what a registry holds, without a gateway."""

from pathlib import Path

import msgspec
import onnx
import pytest

from driftgate.__main__ import run
from driftgate.cli.models import listed, standing
from gateway.views import ModelView
from registry_client import publish
from tests.registry_client.support import a_graph


def test_a_registry_is_listed_without_a_gateway(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever has just pushed sees what is there before anything runs."""
    for factor in (2.0, 3.0):
        publish(a_graph(factor), name="fraud", registry=tmp_path)
    assert run(["models", "list", "--models", str(tmp_path)]) == 0
    titles, row = capsys.readouterr().out.splitlines()
    assert titles.split() == ["MODEL", "VERSIONS", "TASK", "PROFILE", "NEWEST", "PUBLISHED"]
    assert row.split()[:5] == ["fraud", "1", "2", "regression", "none"]
    assert run(["models", "--models", str(tmp_path), "--json"]) == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found == {"models": [{"name": "fraud", "versions": ["1", "2"]}], "faults": []}


def test_an_empty_registry_is_said_to_be_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without a model is no error, one that is not there is."""
    assert run(["models", "list", "--models", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no model is in {tmp_path}\n"
    assert run(["models", "list", "--models", str(tmp_path / "none")]) == 1
    assert "not found" in capsys.readouterr().err


def test_a_folder_that_is_not_served_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever lists a registry sees below the models what lies there like one, and why nobody serves it."""
    (tmp_path / "my\tmodel" / "1").mkdir(parents=True)
    (tmp_path / "my\tmodel" / "1" / "model.onnx").write_bytes(a_graph())
    assert run(["models", "list", "--models", str(tmp_path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"no model is in {tmp_path}"
    assert second.startswith("! my\\tmodel is not served: model name 'my\\tmodel': wanted 1 to 100 of")
    assert run(["models", "--models", str(tmp_path), "--json"]) == 0
    assert len(msgspec.json.decode(capsys.readouterr().out)["faults"]) == 1


def test_a_fault_is_told_without_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A graph names its parts as it likes, and none of it steers the terminal of who looks at its fault."""
    graph = onnx.load_from_string(a_graph())
    graph.graph.node[0].op_type = "\x1b]0;mine\x07Magic"
    (tmp_path / "m.onnx").write_bytes(graph.SerializeToString())
    asked = ["push", str(tmp_path / "m.onnx"), "--name", "m", "--models", str(tmp_path / "models")]
    assert run(asked) == 1
    said = capsys.readouterr().err
    assert "mine Magic" in said
    assert "\x07" not in said
    assert "\x07" not in listed(ModelView("m", ["1"], revision=1, stable="1", faults={"1": "a\x07b"}))[5]


def test_an_unloaded_model_is_said_to_answer_nobody() -> None:
    """Neither the list nor the model's own table shows a version as answering where none does."""
    view = ModelView("m", ["1", "2"], revision=3, stable="1", previous="2", unloaded=True)
    assert listed(view)[2] == "1, unloaded (nobody)"
    assert [standing(view, version) for version in view.versions] == ["unloaded (nobody)", "previous"]
