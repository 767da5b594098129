"""stub"""
from gateway.inference import Array
from gateway.model import LoadedModel
from gateway.settings import JournalSettings
from groundwork.clock import Clock
from groundwork.slots import Slot
from prediction_log.ids import PredictionIds
from prediction_log.rows import RowFile

class PredictionStream: ...

class Journal:
    """Owns the row files of one slot; used on the event loop of one worker, `open*` also from a thread."""

    def __init__(self, slot: Slot, ids: PredictionIds, clock: Clock, settings: JournalSettings) -> None: ...

    def open(self, loaded: LoadedModel) -> None:
        """Allocate the prediction stream of a version; where there is no room it serves unlogged (`unlogged`)."""

    def files(self) -> list[RowFile]:
        """Every row file, for the flusher."""
        return []

    def close(self, loaded: LoadedModel) -> None:
        """The version is released: its file takes no more rows and leaves `files()` once it is spooled."""
