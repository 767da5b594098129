"""How many workers there are, and how many runs at once, where that is left to the machine. Pure."""

from typing import Final

import msgspec

from gateway.settings import GatewaySettings

MOST_WORKERS: Final = 8
"""As many as are started unasked; each takes some 200 MiB and the memory of its models."""
LEAST_RUNS: Final = 2
"""So many runs of a version at once unasked: while the answer to one is taken, the next one runs."""


def sized(settings: GatewaySettings, processors: float) -> GatewaySettings:
    """The same settings with the numbers that were left to the machine.

    A worker a processor, up to MOST_WORKERS; and in each as many runs at once as its share of the processors.
    """
    replace = msgspec.structs.replace
    workers = settings.workers or max(1, min(MOST_WORKERS, int(processors + 0.5)))
    pool = settings.runs.pool or max(LEAST_RUNS, int(processors / workers))
    return replace(settings, workers=workers, runs=replace(settings.runs, pool=pool))
