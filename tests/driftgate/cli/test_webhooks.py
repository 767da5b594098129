"""`driftgate webhooks`: what became of a delivery, and what comes next."""

from typing import Any

import pytest

from driftgate import show
from driftgate.cli.webhooks import last_said

AT = 1_700_000_000_000_000_000
LATER = AT + 30 * show.NS


@pytest.mark.parametrize(
    ("state", "history", "next_at", "said"),
    [
        ("pending", [], AT, None),
        (
            "pending",
            [[AT, 0, "refused", 3]],
            LATER,
            f"no answer at {show.moment(AT)}, again at {show.moment(LATER)}",
        ),
        ("pending", [[AT, 503, "busy", 3]], 0, f"503 at {show.moment(AT)}"),
        ("delivered", [[AT, 0, "", 3], [LATER, 202, "", 3]], LATER + 1, f"202 at {show.moment(LATER)}"),
    ],
)
def test_a_delivery_says_when_it_is_tried_again(
    state: str, history: list[Any], next_at: int, said: str | None
) -> None:
    """The latest attempt, and the next one only where there is one to come."""
    assert last_said({"state": state, "history": history, "next_at": next_at}) == said
