"""`driftgate drift`: what is printed of what the monitor says."""

from typing import Any

import pytest

from driftgate.cli.drift import nothing_seen, tell_labels, tell_signals, tell_strange_labels
from driftgate.show import count


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


def test_labels_of_unknown_classes_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """How many there are, and nothing where there are none or the monitor does not say."""
    for accuracy in ({"unknown_class": 1200}, {"unknown_class": 0}, {}):
        tell_strange_labels({"model": "m", "version": "1", "accuracy": accuracy})
    assert capsys.readouterr().out == f"m 1: {count(1200)} labels are none of the classes in its manifest\n"


def test_what_became_of_labels_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """In the words of the reader, what there is none of left out; nothing of a model without any."""
    tell_labels({"model": "m", "matched": 1200, "early": 5, "waiting": 3, "not_drawn": 0, "duplicate": 2})
    tell_labels({"model": "n", "matched": 0, "waiting": 0})
    tell_labels({"model": "o", "matched": 0, "early": 1, "unmatched": 1})
    assert capsys.readouterr().out.splitlines() == [
        f"m labels: {count(1200)} matched, 3 waiting for their predictions, 2 of rows that had one",
        "o labels: 1 given up without a prediction",
    ]


def test_nothing_seen_is_said_of_what_was_asked_for() -> None:
    """Rows of another version are no reason to say that a model has none."""
    assert nothing_seen("m", "2") == "the monitor has seen no rows of m version 2 yet"
    assert nothing_seen("m", None) == "the monitor has seen no rows of m yet"
    assert nothing_seen(None, None) == "the monitor has seen no rows of any model yet"
