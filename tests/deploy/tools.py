"""Programs from outside Python that these tests ask; a test whose program is missing skips and says so."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

INSTALL: Final = {
    "promtool": "apt-get install --no-install-recommends prometheus (let no daemon run)",
    "kubectl": "apt-get install kubectl from pkgs.k8s.io, or brew install kubernetes-cli",
}


def run(program: str, *arguments: str, folder: Path, given: str | None = None) -> str:
    """What the program prints, run in a folder, `given` on its input; where it says no, the test fails."""
    place = shutil.which(program)
    if place is None:
        pytest.skip(f"{program} is not on PATH; install it: {INSTALL[program]}")
    finished = subprocess.run(
        [place, *arguments], cwd=folder, input=given, capture_output=True, text=True, check=False, timeout=60
    )
    if finished.returncode:
        pytest.fail(f"{program} {' '.join(arguments)}:\n{finished.stdout}{finished.stderr}")
    return finished.stdout
