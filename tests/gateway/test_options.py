"""The options a model's graph is run with."""

import msgspec
import pytest

from gateway.options import PLAIN, options_of
from gateway.run_settings import RunSettings
from gateway.settings import GatewaySettings
from groundwork.errors import SettingsError
from groundwork.settings import load


def test_what_nobody_speaks_of_is_plain() -> None:
    """Without a word in the settings a model has the defaults, and as many threads as all have."""
    assert options_of(RunSettings(), "m") == PLAIN
    assert options_of(RunSettings(threads=3), "m").threads == 3


def test_a_models_own_word_stands_above_that_for_every_model() -> None:
    """Options merge one by one: own entry, then `*`, then the defaults."""
    entries = {"*": {"threads": 2, "arena": False}, "m": {"arena": True, "optimisation": "basic"}}
    runs = msgspec.convert({"models": entries}, RunSettings)
    own, other = options_of(runs, "m"), options_of(runs, "other")
    assert (own.threads, own.arena, own.optimisation) == (2, True, "basic")
    assert (other.threads, other.arena, other.optimisation) == (2, False, "all")


@pytest.mark.parametrize(
    "entry", [{"thread": 2}, {"threads": 0}, {"optimisation": "most"}, {"providers": []}, {"arena": 1}]
)
def test_an_unknown_option_is_an_error(entry: dict[str, object]) -> None:
    """An option that does not exist, or a value it cannot have, is refused and named."""
    with pytest.raises(SettingsError, match=r"runs.models"):
        load(GatewaySettings, file=None, environ={}, flags={"runs.models": {"m": entry}})
