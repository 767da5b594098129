"""`driftgate drift`: what is printed of what the monitor says."""

from typing import Any

import pytest

from driftgate.cli.drift import tell_signals


def signal(name: str, evidence: float | None) -> dict[str, Any]:
    """One signal as the monitor's API has it."""
    return {
        "signal": name,
        "evidence": evidence,
        "effect": 0.5,
        "event": "error-rate",
        "before": 0.1,
        "after": 0.6,
    }


def test_a_signal_without_evidence_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    """What only advises (ADWIN) has no evidence and is shown behind what has, with a hyphen."""
    found = {"model": "m", "version": "1", "signals": [signal("error-change", None), signal("income", 21.0)]}
    tell_signals(found, 8)
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["m", "1", "income", "21.0", "error-rate", "10.0%", "→", "60.0%"]
    assert second.split() == ["m", "1", "error-change", "-", "error-rate", "10.0%", "→", "60.0%"]
