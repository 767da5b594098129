"""A verb whose libraries are missing says what to install."""

import pytest

from driftgate.errors import MissingExtraError
from driftgate.extras import EXTRAS, missing_modules, require
from tests.sources import ROOT


def test_what_is_installed_is_not_asked_for() -> None:
    """In a full install nothing is missing."""
    require(*EXTRAS)
    assert [extra for extra in EXTRAS if missing_modules(extra)] == []


def test_a_missing_library_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is missing is brought by one command."""
    monkeypatch.setitem(EXTRAS, "export", ("no_such_library",))
    with pytest.raises(MissingExtraError, match=r"no_such_library.*pip install 'driftgate\[export\]'"):
        require("monitor", "export")


def test_every_extra_is_one_of_the_distributions() -> None:
    """The names are those of pyproject.toml."""
    declared = (ROOT / "pyproject.toml").read_text()
    assert all(f"\n{extra} = [" in declared for extra in EXTRAS)
