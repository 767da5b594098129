"""`driftgate profile`: what is printed of a profile."""

from pathlib import Path

import pytest

from driftgate.__main__ import run

ROWS = 200


def test_a_profile_fits_a_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Long names are cut, values that the profile does not name are counted as others, and it has a title."""
    table = tmp_path / "rows.csv"
    lines = [f"{place},{'kind ' * 20}{place % 40}" for place in range(ROWS)]
    table.write_text("\n".join(["amount,kind", *lines]))
    assert run(["profile", "build", str(table)]) == 0
    title, _, amount, kind = capsys.readouterr().out.splitlines()
    assert title == "profile: 200 rows"
    assert "0 to 199, mean 99.5" in amount
    assert "kind kind kind kind kin… " in kind
    assert "others " in kind
    assert len(kind) < 200
