"""`driftgate push`: what is told of a publication, and of a file that holds no model."""

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from driftgate.__main__ import MISUSED
from driftgate.cli.push import push
from tests.registry_client.support import a_graph, approvals, loans

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


@pytest.mark.parametrize("tolerance", ["nan", "inf", "-inf", "-1", "x"])
def test_a_tolerance_is_a_number_to_compare_with(tmp_path: Path, trained: list[str], tolerance: str) -> None:
    """Nothing is greater than NaN, so that every graph would be as good as the original."""
    code, said = _run(tmp_path, *trained, "--tolerance", tolerance)
    assert code == MISUSED
    assert "'--tolerance'" in said
    assert not (tmp_path / "models").exists()


def test_a_registry_that_ends_with_the_command_is_refused(trained: list[str]) -> None:
    """Nobody is told that something is published where nobody will find it."""
    done = CliRunner().invoke(push, [*trained, "--name", "m", "--models", "memory:"])
    assert done.exit_code == 1
    assert "it is one process's own, and is gone with it" in str(done.exception)
    assert done.output == ""


def test_it_says_how_good_the_version_is(tmp_path: Path, trained: list[str]) -> None:
    """Rows of the profile, and how often the model is wrong on those with a label, are told at once."""
    code, said = _run(tmp_path, *trained, "--held-out")
    assert code == 0
    assert "with a profile of 40 rows" in said
    assert "wrong on 0.00% of 40 held-out rows" in said


def test_a_file_of_another_system_is_known_by_its_suffix(tmp_path: Path, trained: list[str]) -> None:
    """MODEL.ONNX and ROWS.CSV are what they are called."""
    (tmp_path / "rows.csv").rename(tmp_path / "ROWS.CSV")
    assert _run(tmp_path, *[text.replace("rows.csv", "ROWS.CSV") for text in trained])[0] == 0
    (tmp_path / "M.ONNX").write_bytes(a_graph())
    code, said = _run(tmp_path, str(tmp_path / "M.ONNX"))
    assert (code, "version 2" in said) == (0, True)


@pytest.mark.parametrize("option", ["--tolerance", "--tolerate-rows"])
def test_nothing_less_than_no_difference_is_tolerated(
    tmp_path: Path, trained: list[str], option: str
) -> None:
    """A number below 0 is misuse, and no disagreement of the graph on none of the rows."""
    code, said = _run(tmp_path, *trained, option, "-1")
    assert (code, "-1" in said, "range x>=0" in said) == (2, True, True)


def test_the_same_again_says_that_nothing_was_published(tmp_path: Path, trained: list[str]) -> None:
    """Whoever pushes twice does not take the first version for a second one."""
    assert _run(tmp_path, *trained)[0] == 0
    code, said = _run(tmp_path, *trained)
    assert code == 0
    assert "m version 1" in said
    assert "already, and is the same: nothing was published" in said


def test_an_older_version_again_is_named(tmp_path: Path) -> None:
    """Whoever pushes the file of an older version is told which one it is."""
    for factor in (1.0, 2.0):
        (tmp_path / f"{factor}.onnx").write_bytes(a_graph(factor))
        _run(tmp_path, str(tmp_path / f"{factor}.onnx"))
    code, said = _run(tmp_path, str(tmp_path / "1.0.onnx"))
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


@pytest.mark.parametrize(
    ("called", "content", "said"),
    [
        ("train.py", "import numpy as np, joblib\n", "found a program: run it, let it write the fitted"),
        ("m.joblib", "import numpy as np, joblib\n", "found neither"),
        ("m.pkl", "version https://git-lfs.github.com/spec/v1\n", "found it is a pointer of Git LFS"),
        ("m.joblib", "", "found it is empty"),
        ("m.keras", "PK\x03\x04", "found it is a zip archive"),
    ],
)
def test_a_file_that_is_no_pickle_is_not_read_as_one(
    tmp_path: Path, called: str, content: str, said: str
) -> None:
    """A text has no names of code to import: what is wanted is said, and what was found."""
    (tmp_path / called).write_text(content)
    code, told = _run(tmp_path, str(tmp_path / called))
    assert code == 1
    assert "wanted an .onnx file or a joblib file of a fitted estimator" in told
    assert said in told
    assert "imported" not in told


@pytest.mark.parametrize("compress", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_an_estimator_in_any_compression(tmp_path: Path, trained: list[str], compress: str) -> None:
    """Whatever way joblib packs a file, it is taken."""
    joblib.dump(joblib.load(trained[0]), trained[0], compress=(compress, 3))
    assert _run(tmp_path, *trained)[0] == 0


def test_an_estimator_in_the_oldest_form(tmp_path: Path, trained: list[str]) -> None:
    """A pickle of text alone is one too."""
    Path(trained[0]).write_bytes(pickle.dumps(joblib.load(trained[0]), protocol=0))
    assert _run(tmp_path, *trained)[0] == 0


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


@pytest.fixture
def retrained(tmp_path: Path) -> dict[str, list[str]]:
    """The arguments of a linear model, of trees behind the same scaler, and of one that lost a column."""
    rows = loans(600)
    numbers, truth = rows[["salary (EUR)", "age"]], approvals(rows)
    numbers.assign(y=truth).to_csv(tmp_path / "rows.csv", index=False)
    numbers[["age"]].assign(y=truth).to_csv(tmp_path / "fewer.csv", index=False)
    trees = make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0))
    models = {
        "linear": make_pipeline(StandardScaler(), LogisticRegression()).fit(numbers, truth),
        "trees": trees.fit(numbers, truth),
        "fewer": LogisticRegression().fit(numbers[["age"]], truth),
    }
    for called, model in models.items():
        joblib.dump(model, tmp_path / f"{called}.joblib")
    files = {called: "fewer.csv" if called == "fewer" else "rows.csv" for called in models}
    return {
        called: [str(tmp_path / f"{called}.joblib"), "--reference", str(tmp_path / file), "--labels", "y"]
        for called, file in files.items()
    }


def test_doubles_where_single_ones_answer_otherwise_are_told(
    tmp_path: Path, retrained: dict[str, list[str]]
) -> None:
    """Why it has FP64, that no rollout can go there, and what to do, before somebody starts one."""
    _run(tmp_path, *retrained["linear"])
    _, said = _run(tmp_path, *retrained["trees"])
    assert re.search(r"its inputs are FP64: in FP32 \d+ of 600 reference rows are answered otherwise", said)
    assert "! it cannot stand in for version 1: input 'salary (EUR)': wanted FP32, found FP64" in said
    assert "under another name, or accept the rows that differ in FP32: --tolerate-rows N" in said
    assert "rollout start" not in said


def test_tolerated_rows_keep_what_clients_send(tmp_path: Path, retrained: dict[str, list[str]]) -> None:
    """The number that was told makes a version that can be rolled out from the first, though doubles came."""
    _run(tmp_path, *retrained["linear"])
    _, said = _run(tmp_path, *retrained["trees"])
    found = re.search(r"--tolerate-rows (\d+) accepts them", said)
    assert found is not None
    _, said = _run(tmp_path, *retrained["trees"], "--tolerate-rows", found[1])
    assert "rollout start m --to 3" in said
    assert "! it cannot stand in for version 2: input 'salary (EUR)': wanted FP64, found FP32" in said


def test_a_lost_column_is_told(tmp_path: Path, retrained: dict[str, list[str]]) -> None:
    """A version that no client's request fits is published, and said to be out of a rollout's reach."""
    _run(tmp_path, *retrained["linear"])
    _run(tmp_path, *retrained["trees"])
    code, said = _run(tmp_path, *retrained["fewer"])
    assert code == 0
    assert "cannot stand in for version 2 (nor for 1 older): input 'salary (EUR)' is gone" in said
    assert "tolerate" not in said
    assert "rollout start" not in said


def test_what_a_gateway_will_answer_by_is_told(tmp_path: Path) -> None:
    """One that is new begins with the highest version, whichever came first; others do not move."""
    for version, factor in (("5", 1.0), ("7", 2.0), ("6", 3.0)):
        (tmp_path / f"{version}.onnx").write_bytes(a_graph(factor))
    said = {
        version: _run(tmp_path, str(tmp_path / f"{version}.onnx"), "--version", version)[1].splitlines()[1:]
        for version in ("5", "7", "6")
    }
    assert said == {
        "5": ["  the first version of a model answers as soon as a gateway sees it"],
        "7": [
            "  a gateway that has not seen m yet will answer by this one; one that has goes on as before",
            "  bring it to traffic: driftgate rollout start m --to 7",
        ],
        "6": [
            "  nothing answers differently yet",
            "  bring it to traffic: driftgate rollout start m --to 6",
        ],
    }
