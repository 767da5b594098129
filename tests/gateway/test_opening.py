"""Graphs opened in a worker, from copies where these are kept."""

import itertools
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gateway import optimised
from gateway.errors import LoadError
from gateway.opening import Opener
from gateway.optimised import RECORD, SUFFIX, Copy
from gateway.options import PLAIN, RunOptions
from gateway.rewriting import rewrite
from gateway.session import Session
from registry_client.manifest import Manifest, digest_of
from tests.models import logistic

ROWS = {"x": np.ones((2, 30), np.float32)}


def each(seconds: float) -> Callable[[], float]:
    """A clock by which whatever is timed takes so long."""
    times = itertools.count()
    return lambda: seconds * next(times)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """The manifest of a small graph, whose file is `graph.onnx`."""
    graph = logistic()
    (tmp_path / "graph.onnx").write_bytes(graph)
    return Manifest(name="m", version="1", digest=digest_of(graph), size=len(graph))


def copies(cache: Path) -> list[tuple[str, Copy]]:
    """Every record, by the name of its copy."""
    names = sorted(path.name.removesuffix(RECORD) for path in cache.glob(f"*{RECORD}"))
    return [(name, copy) for name in names if (copy := optimised.read(cache, name)) is not None]


def made(cache: Path) -> str:
    """Make the one copy that is wanted, by a clock that finds it worth its while; its name."""
    ((name, copy),) = optimised.wanted(cache)
    times = iter([0.0, 1.0, 1.0, 1.1, 1.1, 1.1])
    optimised.write(cache, name, rewrite(cache, name, copy, lambda: next(times)))
    return name


def answers(session: Session) -> list[bytes]:
    """What some rows give, to the bit."""
    return [array.tobytes() for array in session.run(ROWS)]


def test_what_opens_slowly_is_opened_from_its_copy_the_next_time(tmp_path: Path, manifest: Manifest) -> None:
    """A slow opening asks for a copy; once that is kept it is what is opened, with the same answers."""
    opener, path = Opener(tmp_path, 0.5, each(1.0)), tmp_path / "graph.onnx"
    first = opener.open(manifest, path, PLAIN, title="m")
    assert (first.seconds, first.copied) == (1.0, False)
    made(tmp_path)
    path.unlink()  # so that it cannot be what is opened
    second = opener.open(manifest, path, PLAIN, title="m")
    assert second.copied
    assert second.session.signature == first.session.signature
    assert answers(second.session) == answers(first.session)


@pytest.mark.parametrize(("above", "seconds"), [(1.0, 0.5), (0.0, 0.5)], ids=["quick", "never"])
def test_what_opens_quickly_wants_no_copy(
    tmp_path: Path, manifest: Manifest, above: float, seconds: float
) -> None:
    """Nor does anything where copies are off."""
    Opener(tmp_path, above, each(seconds)).open(manifest, tmp_path / "graph.onnx", PLAIN, title="m")
    assert copies(tmp_path) == []


def test_options_that_leave_nothing_to_keep_want_no_copy(tmp_path: Path, manifest: Manifest) -> None:
    """A graph that is run as it was published is opened as it was published."""
    options = RunOptions(optimisation="none")
    opened = Opener(tmp_path, 0.5, each(1.0)).open(manifest, tmp_path / "graph.onnx", options, title="m")
    assert (opened.copied, copies(tmp_path)) == (False, [])


def test_a_copy_that_does_not_open_is_given_up(tmp_path: Path, manifest: Manifest) -> None:
    """The published graph answers, and the record says why."""
    opener, path = Opener(tmp_path, 0.5, each(1.0)), tmp_path / "graph.onnx"
    opener.open(manifest, path, PLAIN, title="m")
    name = made(tmp_path)
    broken = tmp_path / f"{name}{SUFFIX}"
    broken.write_bytes(b"no graph")
    ((_, copy),) = copies(tmp_path)
    optimised.write(tmp_path, name, msgspec.structs.replace(copy, sha256=optimised.digest_of(broken)))
    assert not opener.open(manifest, path, PLAIN, title="m").copied
    ((_, left),) = copies(tmp_path)
    assert (left.state, broken.exists()) == ("left", False)
    assert "does not load" in left.reason


def test_a_graph_that_does_not_open_wants_no_copy(tmp_path: Path, manifest: Manifest) -> None:
    """Its fault is told as ever."""
    path = tmp_path / "graph.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(LoadError, match="m: the graph does not load"):
        Opener(tmp_path, 0.5, each(1.0)).open(manifest, path, PLAIN, title="m")
    assert copies(tmp_path) == []
