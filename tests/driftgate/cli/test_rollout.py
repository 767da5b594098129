"""`driftgate rollout`: what is refused before anybody is asked."""

import pytest

from driftgate.__main__ import MISUSED, run


@pytest.mark.parametrize("weight", ["abc", "101", "-1", "nan", ""])
def test_a_weight_that_is_no_percentage_is_misuse(weight: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, whether or not a gateway runs."""
    arguments = ["rollout", "set-weight", "m", "--operator", "http://127.0.0.1:9", "--", weight]
    assert run(arguments) == MISUSED
    assert "wanted a percentage from 0 to 100" in capsys.readouterr().err
