"""What is measured of the fleet: what each version holds, how often models came and went."""

from typing import Final

from groundwork.metrics import Instrument

BYTES: Final = "driftgate_version_bytes"
LOADING: Final = "driftgate_loading"
LOADS: Final = "driftgate_loads_total"
UNLOADS: Final = "driftgate_unloads_total"
EVICTIONS: Final = "driftgate_evictions_total"

INSTRUMENTS: Final = (
    Instrument(
        name=BYTES,
        help="Bytes of this version's model file, over the workers that hold it: what the budget counts.",
        kind="gauge",
        labels=("model", "version"),
    ),
    Instrument(
        name=LOADING,
        help="Workers that are opening this version now.",
        kind="gauge",
        labels=("model", "version"),
    ),
    Instrument(
        name=LOADS, help="Loads of versions, by how they ended: ok, failed.", labels=("model", "outcome")
    ),
    Instrument(name=UNLOADS, help="Versions that left memory.", labels=("model",)),
    Instrument(
        name=EVICTIONS,
        help="Versions of those that left for want of room (runs.max_bytes).",
        labels=("model",),
    ),
)
