"""Options that several verbs share."""

from driftgate.cli.options import OPERATOR_URL, typed


def test_a_verb_is_typed_with_the_url_that_it_would_not_ask_by_itself() -> None:
    """What is told for typing asks the program that told it, on whatever port that is."""
    assert typed("driftgate rollout status M", "--operator", OPERATOR_URL) == "driftgate rollout status M"
    assert typed("driftgate drift status", "--monitor", "http://h:1") == (
        "driftgate drift status --monitor http://h:1"
    )
