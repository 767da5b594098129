"""A real program of ours for the system tests: started, waited for, signalled, killed.

Everything waits for facts with a deadline; nothing sleeps for a time.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.facts import until

START: Final = 240.0
"""Until a program answers: it loads its models first, and others may have the processors."""


class Program:
    """One `python -m MODULE`; its settings, ready file and output lie in `folder`, where it runs."""

    def __init__(self, module: str, folder: Path, settings: msgspec.Struct, *ready_flag: str) -> None:
        """`ready_flag` is what stands before the ready file on the command line."""
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self._module = module
        self._given = settings
        self._flag = ready_flag
        self._process: subprocess.Popen[bytes] | None = None

    async def ready(self, environ: Mapping[str, str] | None = None) -> Any:
        """Start it and wait until it answers; what its ready file says."""
        self.launch(environ)
        file = self.folder / "ready.json"
        await until(
            lambda: file.exists() or self.code is not None,
            f"the {self._module} is ready or has ended",
            seconds=START,
        )
        assert self.code is None, self.output()
        return msgspec.json.decode(file.read_bytes())

    def launch(self, environ: Mapping[str, str] | None = None) -> None:
        """Start it, with these variables besides ours, and wait for nothing."""
        ready, settings = self.folder / "ready.json", self.folder / "settings.json"
        ready.unlink(missing_ok=True)
        settings.write_bytes(msgspec.json.encode(self._given))
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self._module, str(settings), *self._flag, str(ready)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env={**os.environ, **(environ or {})},
            )

    @property
    def code(self) -> int | None:
        """Its exit code; None while it lives."""
        assert self._process is not None
        return self._process.poll()

    def output(self) -> str:
        """What it has said so far."""
        return (self.folder / "output").read_text()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait for the end; the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        await until(lambda: self.code is not None, f"the {self._module} has ended")
        return self._process.wait()

    def kill(self) -> None:
        """Kill -9, if it lives; the workers of a supervisor follow by themselves."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
