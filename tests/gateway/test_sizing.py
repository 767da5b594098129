"""What is left to the machine."""

import pytest

from gateway.run_settings import RunSettings
from gateway.settings import GatewaySettings
from gateway.sizing import sized


@pytest.mark.parametrize(
    ("processors", "given", "workers", "pool"),
    [
        (0.5, GatewaySettings(), 1, 2),
        (2.0, GatewaySettings(), 2, 2),
        (64.0, GatewaySettings(), 8, 8),
        (16.0, GatewaySettings(workers=1), 1, 16),
        (1.0, GatewaySettings(workers=3), 3, 2),
        (64.0, GatewaySettings(workers=2, runs=RunSettings(pool=1)), 2, 1),
    ],
)
def test_workers_and_runs_follow_the_processors(
    processors: float, given: GatewaySettings, workers: int, pool: int
) -> None:
    """Where nobody says how many: a worker a processor, and the processors shared out; else what was said."""
    found = sized(given, processors)
    assert (found.workers, found.runs.pool) == (workers, pool)
    assert sized(found, 1.0) == found
