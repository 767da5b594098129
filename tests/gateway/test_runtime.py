"""Sessions as their options ask for them."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gateway.errors import LoadError
from gateway.options import CPU, PLAIN, RunOptions
from gateway.runtime import available, check_options
from gateway.session import Session
from groundwork.errors import SettingsError
from tests import sources
from tests.models import logistic

ABSENT = "TensorrtExecutionProvider"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A file with a small graph."""
    path = tmp_path / "model.onnx"
    path.write_bytes(logistic())
    return path


@pytest.mark.skipif(ABSENT in available(), reason="it is installed here")
def test_a_provider_that_is_not_installed_is_named(graph: Path) -> None:
    """A missing provider is an error that says what there is, and the graph runs nowhere else instead."""
    options = msgspec.structs.replace(PLAIN, providers=(ABSENT, CPU))
    with pytest.raises(LoadError, match=rf"m: wanted the execution provider {ABSENT}, .*{CPU}"):
        Session.open(graph, title="m", options=options)
    with pytest.raises(SettingsError, match=ABSENT):
        check_options(options, title="m")


def test_a_provider_is_named_once() -> None:
    """The runtime would pass over the second one with a warning alone."""
    with pytest.raises(SettingsError, match=f"m: wanted each execution provider once, found {CPU}, {CPU}"):
        check_options(msgspec.structs.replace(PLAIN, providers=(CPU, CPU)), title="m")


@pytest.mark.parametrize("options", [{ABSENT: {"device_id": "0"}}, {CPU: {"cores": "3"}}])
def test_options_for_no_provider_are_an_error(options: dict[str, dict[str, str]]) -> None:
    """Options of a provider that is not asked for, or that takes none, would be honoured by nobody."""
    with pytest.raises(SettingsError, match="provider_options"):
        check_options(msgspec.structs.replace(PLAIN, provider_options=options), title="m")


@pytest.mark.parametrize(
    "options",
    [
        RunOptions(threads=2),
        RunOptions(branches=2),
        RunOptions(spin=True),
        RunOptions(optimisation="none"),
        RunOptions(arena=False, memory_pattern=False),
    ],
)
def test_every_option_answers_alike(graph: Path, options: RunOptions) -> None:
    """Options change what a run costs, not what it answers."""
    feeds = {"x": np.full((3, 30), 0.25, np.float32)}
    plain = Session.open(graph, title="m").run(feeds)
    chosen = Session.open(graph, title="m", options=options).run(feeds)
    for one, other in zip(plain, chosen, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_the_runtime_leaves_nothing_behind(graph: Path, tmp_path: Path) -> None:
    """Loading and running a graph writes no file into home or temporary folder."""
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "from pathlib import Path\n"
        "{first}\n"
        "from gateway.session import Session\n"
        "from registry_client.graph import load_graph\n"
        f"Session.open(Path({str(graph)!r}), title='m')\n"
    )
    publishing = (
        f"from registry_client.graph import load_graph; load_graph(open({str(graph)!r}, 'rb').read())"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    for first in ("", publishing):
        subprocess.run(
            [sys.executable, "-c", program.replace("{first}", first)],
            check=True,
            cwd=sources.ROOT,
            env={**environment, "HOME": str(home), "TMPDIR": str(home)},
        )
    assert list(home.rglob("*")) == []
