"""The program that rewrites one graph: what it keeps, and what it leaves and why."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gateway import optimised
from gateway.optimised import SUFFIX, Copy
from gateway.options import RunOptions
from gateway.rewriting import PAYS, rewrite
from gateway.session import Session
from registry_client.manifest import digest_of
from tests import sources
from tests.models import logistic
from tests.system.graphs import failing, slow_to_load

NAME = "ab12.0123456789abcdef.all"
ROOM = 4 << 30


def times(before: float, after: float) -> Callable[[], float]:
    """A clock by which opening takes so long, from the published graph and from the copy."""
    read = iter([0.0, before, 0.0, after, 0.0, 0.0])
    return lambda: next(read)


def wants(cache: Path, graph: bytes) -> Copy:
    """The record of a copy of this graph that is wanted."""
    path = cache / "published.onnx"
    path.write_bytes(graph)
    return Copy("m", "1", digest_of(graph), str(path), len(graph), "all")


def test_a_copy_that_pays_and_answers_the_same_is_kept(tmp_path: Path) -> None:
    """Its record has what opening takes, and its bytes open by themselves."""
    copy = wants(tmp_path, logistic())
    made = rewrite(tmp_path, NAME, copy, times(1.0, PAYS))
    assert (made.state, made.before, made.after) == ("kept", 1.0, PAYS)
    optimised.write(tmp_path, NAME, made)
    path = optimised.kept(tmp_path, NAME)
    assert path is not None
    rows = {"x": np.ones((3, 30), np.float32)}
    opened = Session.open(path, title="m", options=RunOptions(optimisation="none"))
    published = Session.open(Path(copy.artifact), title="m")
    assert [one.tobytes() for one in opened.run(rows)] == [one.tobytes() for one in published.run(rows)]


@pytest.mark.parametrize(
    ("graph", "after", "reason"),
    [
        (logistic(), PAYS + 0.01, r"opening takes 1\.000 s, from a copy 0\.760 s"),
        (failing(), 0.1, "do not show that it answers the same"),
        (b"no graph", 0.1, "Protobuf parsing failed"),
    ],
    ids=["no-gain", "fails", "no-graph"],
)
def test_what_does_not_pay_or_differs_is_left(
    tmp_path: Path, graph: bytes, after: float, reason: str
) -> None:
    """The record says why, and no file is left behind."""
    left = rewrite(tmp_path, NAME, wants(tmp_path, graph), times(1.0, after))
    assert left.state == "left"
    assert re.search(reason, left.reason), left.reason
    assert [path.name for path in tmp_path.iterdir()] == ["published.onnx"]


def test_a_graph_that_was_altered_is_left(tmp_path: Path) -> None:
    """A copy is of the bytes that were published, and of no others."""
    copy = wants(tmp_path, logistic())
    Path(copy.artifact).write_bytes(logistic(bias=1.0))
    left = rewrite(tmp_path, NAME, copy, times(1.0, 0.1))
    assert (left.state, "was altered" in left.reason) == ("left", True)


def run(cache: Path, copy: Copy, memory: int) -> Copy | None:
    """Have the program make a copy; what its record says then."""
    optimised.write(cache, NAME, copy)
    command = (sys.executable, "-m", "gateway.rewriting", str(cache), NAME, str(memory))
    subprocess.run(command, check=False, cwd=sources.ROOT, capture_output=True)
    return optimised.read(cache, NAME)


def test_the_program_keeps_what_takes_long_to_fold(tmp_path: Path) -> None:
    """A graph whose weights are computed from others opens from its copy in a small part of the time."""
    made = run(tmp_path, wants(tmp_path, slow_to_load()), ROOM)
    assert made is not None
    assert made.state == "kept", made.reason
    assert made.after < PAYS * made.before
    assert (tmp_path / f"{NAME}{SUFFIX}").stat().st_mode & 0o777 == 0o600


def test_the_program_keeps_to_its_memory(tmp_path: Path) -> None:
    """Where there is less than the graph wants it fails by itself, and keeps nothing."""
    made = run(tmp_path, wants(tmp_path, slow_to_load()), 64 << 20)
    assert made is None or made.state != "kept"
    assert not (tmp_path / f"{NAME}{SUFFIX}").exists()
