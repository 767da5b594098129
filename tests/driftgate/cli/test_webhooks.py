"""`driftgate webhooks`: what became of a delivery, and what comes next."""

from typing import Any

import pytest

from driftgate import show
from driftgate.cli.webhooks import last_said

AT = "2023-11-14T22:13:20.000Z"
LATER = "2023-11-14T22:13:50.000Z"


def tried(at: str, status: int) -> dict[str, Any]:
    """One attempt as the monitor tells it."""
    return {"at": at, "status": status, "said": "", "took_ms": 3}


@pytest.mark.parametrize(
    ("state", "history", "next_at", "said"),
    [
        ("pending", [], None, None),
        (
            "pending",
            [tried(AT, 0)],
            LATER,
            f"no answer at {show.moment(AT)}, again at {show.moment(LATER)}",
        ),
        ("pending", [tried(AT, 503)], None, f"503 at {show.moment(AT)}"),
        ("delivered", [tried(AT, 0), tried(LATER, 202)], None, f"202 at {show.moment(LATER)}"),
    ],
)
def test_a_delivery_says_when_it_is_tried_again(
    state: str, history: list[Any], next_at: str | None, said: str | None
) -> None:
    """The latest attempt, and the next one only where there is one to come."""
    assert last_said({"state": state, "history": history, "next_at": next_at}) == said
