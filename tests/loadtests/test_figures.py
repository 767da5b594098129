"""The commands that measure promised figures: named, and asking for what they say."""

import csv
import json
import pkgutil
from typing import Any

import numpy as np
import pytest

from loadtests.bench.generator import Tally
from loadtests.figures import shadow, stall, swaps
from loadtests.figures.__main__ import FIGURES, main


def test_every_figure_has_its_command() -> None:
    """A name leads to a function that takes arguments; a name that is not there is a misuse."""
    assert all(callable(pkgutil.resolve_name(place)) for place in FIGURES.values())
    assert main(["speed"]) == 2
    assert main([]) == 2


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_every_figure_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help names the command as it is typed, and says in a sentence what it measures."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"figures {name}" in said


@pytest.mark.parametrize("form", stall.FORMS)
def test_a_large_body_is_as_large_as_it_says(form: str) -> None:
    """Every form is about as long as was asked for, and its rows are whole rows of the model."""
    _, body, headers = stall.FORMS[form](100_000)
    assert 98_000 < len(body) < 102_000
    if form == "csv":
        rows: list[Any] = list(csv.reader(body.decode().splitlines()))[1:]
    elif form == "binary":
        head = int(headers["Inference-Header-Content-Length"])
        rows = np.frombuffer(body[head:], np.float32).reshape(-1, stall.SIZES[0]).tolist()
        assert json.loads(body[:head])["inputs"][0]["shape"] == [len(rows), stall.SIZES[0]]
    else:
        document = json.loads(body)
        tensor = document.get("inputs", [{}])[0]
        rows = document.get("instances") or document.get("dataframe_split", tensor)["data"]
        rows = np.array(rows).reshape(-1, stall.SIZES[0]).tolist()
        assert tensor.get("shape", [len(rows), stall.SIZES[0]]) == [len(rows), stall.SIZES[0]]
    assert {len(row) for row in rows} == {stall.SIZES[0]}


def test_latencies_belong_to_a_swap_where_their_window_touches_one() -> None:
    """Windows before, in and after a swap: those that share a moment with it are its own."""
    windows = [Tally(latencies=[place]) for place in range(5)]
    wide = int(swaps.WINDOW_S * 1e9)
    calm, swapping = swaps.apart(windows, 1000, [(1000 + wide + 1, 1000 + 3 * wide)])
    assert (calm, swapping) == ([0, 3, 4], [1, 2])


@pytest.mark.parametrize(("step", "told"), [(0.0, 7.0), (1.0, 27.0)], ids=["stands-still", "goes-on"])
def test_pairs_are_counted_once_they_have_come(step: float, told: float) -> None:
    """A count is read until it stands still, which pairs that come late do soon, and no longer than 2 s."""
    now, counts = [0.0], iter([3.0, 5.0])

    def read() -> float:
        return next(counts, 7.0 + step * round(now[0] / 0.1))

    def pause(seconds: float) -> None:
        now[0] += 2 * seconds

    assert shadow.settled(read, pause, lambda: now[0]) == told
    assert now[0] <= shadow.PATIENCE_S + 0.1
