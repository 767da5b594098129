"""`driftgate rollout`: what is refused before anybody is asked, and what is said of an edit."""

import msgspec
import pytest

from driftgate.__main__ import MISUSED, run
from driftgate.cli.rollout import answers
from rollouts.status import Status


@pytest.mark.parametrize("weight", ["abc", "101", "-1", "nan", ""])
def test_a_weight_that_is_no_percentage_is_misuse(weight: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, whether or not a gateway runs."""
    arguments = ["rollout", "set-weight", "m", "--operator", "http://127.0.0.1:9", "--", weight]
    assert run(arguments) == MISUSED
    assert "wanted a percentage from 0 to 100" in capsys.readouterr().err


def test_what_answers_is_said_as_it_is() -> None:
    """A version in shadow answers nobody; without a candidate one version answers everything."""
    alone = Status(
        model="m", revision=1, stable="1", candidate=None, previous=None, state="", weight="0", shadow="0"
    )
    shadowed = msgspec.structs.replace(alone, candidate="2", shadow="100")
    assert answers(alone) == "version 1 answers everything"
    assert answers(shadowed) == "version 2 runs in shadow of 100 %, version 1 answers everything"
    assert (
        answers(msgspec.structs.replace(shadowed, weight="25"))
        == "version 2 answers 25 %, version 1 the rest"
    )
