"""The demo's folder: everything it writes lies below it; it is cleared only when it is known to be ours."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import msgspec

from driftgate.errors import DemoError
from groundwork.files import lock_is_held

MARKER: Final = ".driftgate-demo"
POLICY: Final = Path(__file__).parent / "policy"


class Stage(msgspec.Struct, frozen=True):
    """Where each thing of one run lies."""

    folder: Path

    @property
    def models(self) -> Path:
        """The registry."""
        return self.folder / "models"

    @property
    def data(self) -> Path:
        """The data folder of gateway and monitor."""
        return self.folder / "data"

    @property
    def settings(self) -> Path:
        """The settings that `driftgate up` is started with."""
        return self.folder / "settings.yaml"

    @property
    def secret(self) -> Path:
        """The webhook's secret, known to monitor and receiver."""
        return self.folder / "webhook.secret"

    @property
    def notes(self) -> Path:
        """What the receiver did, a JSON line each."""
        return self.folder / "receiver.jsonl"

    @property
    def chart(self) -> Path:
        """The picture."""
        return self.folder / "demo.png"

    @property
    def timeline(self) -> Path:
        """The timeline as text."""
        return self.folder / "timeline.txt"

    def log(self, name: str) -> Path:
        """Where a program's own lines go."""
        return self.folder / f"{name}.log"

    def ready(self, name: str) -> Path:
        """The ready file of a program."""
        return self.folder / f"{name}.ready.json"


def prepare(folder: Path) -> Stage:
    """An empty folder for a run.

    Raises:
        DemoError: there is a folder of that name that is not a demo's, or whose demo is still running; or
            none can be made there.
    """
    stage = Stage(folder.resolve())
    if folder.exists():
        if not (folder / MARKER).exists() and any(folder.iterdir()):
            wanted = "wanted a new folder or one of an earlier demo"
            raise DemoError(f"{folder}: {wanted}, found another; move it away")
        if stage.data.exists() and lock_is_held(stage.data):
            raise DemoError(f"{folder}: the demo that was kept here is still running; stop it first")
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        (folder / MARKER).write_text("Written by `driftgate demo`; the next run clears this folder.\n")
        stage.models.mkdir()
        stage.data.mkdir(mode=0o700)
    except OSError as error:
        raise DemoError(f"{folder}: cannot be made here ({error.strerror}); name another --folder") from None
    return stage
