"""`driftgate config`: what is said of a reload."""

import pytest

from driftgate.cli.config import said_of_reload


@pytest.mark.parametrize(
    ("changed", "waits", "said"),
    [
        (["stop.linger", "log.max_age"], False, "taken up: stop.linger, log.max_age; workers are replaced"),
        ([], False, "nothing has changed"),
        ([], True, "not done yet; it will be, and the gateway's log says what comes of it"),
    ],
)
def test_what_came_of_a_reload_is_said_as_it_is(changed: list[str], said: str, *, waits: bool) -> None:
    """What was taken up is named, and what only waits is never said to be done, or to be nothing."""
    assert said_of_reload(changed, waits=waits).startswith(said)
