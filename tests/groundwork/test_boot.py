"""Which boot of the machine this is."""

from pathlib import Path

import pytest

from groundwork.boot import boot_id, is_past


def test_a_machine_that_names_no_boot_has_an_empty_one(tmp_path: Path) -> None:
    """The file's one line is the boot; without the file it is empty."""
    (tmp_path / "boot").write_text("b5e0\n")
    assert (boot_id(tmp_path / "boot"), boot_id(tmp_path / "none")) == ("b5e0", "")


@pytest.mark.parametrize(("boot", "now"), [("a", "a"), ("", "b"), ("a", ""), ("", "")])
def test_only_another_known_boot_is_past(boot: str, now: str) -> None:
    """What is not known is taken for the same boot."""
    assert is_past("one", "another")
    assert not is_past(boot, now)
