"""A live screen draws what changed and ends by itself."""

from collections.abc import Iterator

import pytest

from driftgate.waiting import redraw


def test_it_looks_until_nothing_is_live_any_more(capsys: pytest.CaptureFixture[str]) -> None:
    """The last look is returned; off a terminal a drawing is printed only when it differs."""
    looks: Iterator[int] = iter([1, 1, 2, 3])
    found = redraw(lambda: next(looks), lambda seen: [f"seen {seen}"], lambda seen: seen < 3, seconds=0.0)
    assert found == 3
    assert capsys.readouterr().out == "seen 1\n\nseen 2\n\nseen 3\n\n"
