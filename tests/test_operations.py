"""docs/operations.md promises nothing that no test proves, and names nothing that is not there."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from driftgate.cli.doctor import doctor
from gateway.metrics import INSTRUMENTS as GATEWAY
from groundwork.series_table import REFUSED
from monitor.metrics import INSTRUMENTS as MONITOR

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = (ROOT / "docs" / "operations.md").read_text()
TEST: Final = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
WANTED: Final = (
    *("monitor killed", "worker killed", "supervisor killed", "disk full", "power cut", "registry gone"),
    *("bad version published", "webhook receiver down", "clock wrong", "candidate crashes a worker"),
    *("two `up` on one folder", "files of a newer driftgate", "corrupt segment", "label flood"),
)
COLUMNS: Final = 7


def rows() -> dict[str, list[str]]:
    """The cells of each failure's line."""
    table = PAGE.partition("## When something fails")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {line[0]: line for line in cells}


ROWS: Final = rows()


def test_every_failure_has_a_line() -> None:
    """The failures an operator asks about on day one are all there."""
    assert [name for name in WANTED if name not in ROWS] == []


@pytest.mark.parametrize("name", ROWS)
def test_a_line_is_whole_and_proved(name: str) -> None:
    """Every cell of a line says something, and the last names tests."""
    assert len(ROWS[name]) == COLUMNS
    assert all(ROWS[name])
    assert TEST.search(ROWS[name][-1])


@pytest.mark.parametrize(("file", "test"), sorted(set(TEST.findall(PAGE))))
def test_a_named_test_is_there(file: str, test: str) -> None:
    """A test that the page names is a function of that file."""
    tree = ast.parse((ROOT / file).read_text())
    assert test in {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_named_metrics_and_alerts_are_there() -> None:
    """What one is told to look for can be found, and every alert that may come is told."""
    shown = {instrument.name for instrument in (*GATEWAY, *MONITOR)} | {REFUSED.name}
    assert set(re.findall(r"driftgate_\w+", PAGE)) - shown == set()
    rules = (ROOT / "k8s" / "overlays" / "prometheus" / "driftgate.rules.yml").read_text()
    alerts = set(re.findall(r"alert: (\w+)", rules))
    assert set(re.findall(r"`(Driftgate\w+)`", PAGE)) == alerts


def test_named_events_are_told() -> None:
    """A line one is told to look for is written somewhere."""
    packages = ("gateway", "monitor", "driftgate", "groundwork")
    source = "".join(path.read_text() for name in packages for path in (ROOT / name).rglob("*.py"))
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", PAGE))
    assert {name for name in named if f'"{name}"' not in source} == set()


def test_named_options_of_the_doctor_are_there() -> None:
    """The commands of the page can be typed."""
    known = {option for parameter in doctor.params for option in parameter.opts} | {*doctor.commands}
    assert set(re.findall(r"driftgate doctor (--\w+|backup|restore)", PAGE)) <= known
