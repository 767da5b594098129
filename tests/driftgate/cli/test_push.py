"""`driftgate push`: what is told of a publication, and of a file that holds no model."""

import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression

from driftgate.cli.push import push
from tests.registry_client.support import a_graph

ROWS = pd.DataFrame({"a": np.linspace(0, 1, 40), "b": np.linspace(1, 0, 40)})
TRUTH = pd.Series([0] * 20 + [1] * 20)


class Warner:
    """An estimator's stand-in that warns as it is loaded, as one of another scikit-learn does."""

    def __reduce__(self) -> tuple[Any, ...]:
        return warnings.warn, ("made by\nscikit-learn 0.1",)


class Stranger:
    """An object whose class is gone when it is loaded."""


def _run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code, and all that is told, errors included."""
    done = CliRunner().invoke(push, [*arguments, "--name", "m", "--models", str(folder / "models")])
    said = "" if done.exception is None else str(done.exception)
    return done.exit_code, f"{done.output}{said}"


@pytest.fixture
def trained(tmp_path: Path) -> list[str]:
    """The arguments that publish a fitted estimator with labelled rows."""
    joblib.dump(LogisticRegression().fit(ROWS, TRUTH), tmp_path / "m.joblib")
    ROWS.assign(y=TRUTH).to_csv(tmp_path / "rows.csv", index=False)
    return [str(tmp_path / "m.joblib"), "--reference", str(tmp_path / "rows.csv"), "--labels", "y"]


def test_it_says_how_good_the_version_is(tmp_path: Path, trained: list[str]) -> None:
    """Rows of the profile, and how often the model is wrong on those with a label, are told at once."""
    code, said = _run(tmp_path, *trained, "--held-out")
    assert code == 0
    assert "with a profile of 40 rows" in said
    assert "wrong on 0.00% of 40 held-out rows" in said


def test_the_same_again_says_that_nothing_was_published(tmp_path: Path, trained: list[str]) -> None:
    """Whoever pushes twice does not take the first version for a second one."""
    assert _run(tmp_path, *trained)[0] == 0
    code, said = _run(tmp_path, *trained)
    assert code == 0
    assert "m version 1" in said
    assert "already, and is the same: nothing was published" in said


def test_labels_left_among_the_rows_are_refused(tmp_path: Path, trained: list[str]) -> None:
    """Without --labels their column would become an input; it is named instead."""
    code, said = _run(tmp_path, *trained[:3])
    assert code == 1
    assert "y" in said
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())


def test_what_unpickling_warns_of_is_one_line(tmp_path: Path) -> None:
    """A warning of scikit-learn about its own versions is told as ours are, without a place in its source."""
    joblib.dump(Warner(), tmp_path / "m.joblib")
    _, said = _run(tmp_path, str(tmp_path / "m.joblib"))
    assert said.splitlines()[0] == f"! {tmp_path / 'm.joblib'}: made by scikit-learn 0.1"


def test_code_that_is_not_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class that cannot be imported is told with what to do about it."""
    joblib.dump(Stranger(), tmp_path / "m.joblib")
    monkeypatch.delattr(f"{__name__}.Stranger")
    code, said = _run(tmp_path, str(tmp_path / "m.joblib"))
    assert code == 1
    assert "it needs code that cannot be imported here" in said
    assert "Stranger" in said
    assert "PYTHONPATH" in said


def test_a_file_that_is_no_graph_is_named(tmp_path: Path) -> None:
    """The message begins with the file, and says what the file is."""
    (tmp_path / "m.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    code, said = _run(tmp_path, str(tmp_path / "m.onnx"))
    assert code == 1
    assert said == (
        f"model file {tmp_path / 'm.onnx'} does not load: it is a pointer of Git LFS: fetch the file itself "
        "with `git lfs pull`"
    )


def test_a_graph_without_rows_is_told_to_have_no_profile(tmp_path: Path) -> None:
    """Nothing can be compared with it, and that is said."""
    (tmp_path / "m.onnx").write_bytes(a_graph())
    assert "without a reference profile" in _run(tmp_path, str(tmp_path / "m.onnx"))[1]
