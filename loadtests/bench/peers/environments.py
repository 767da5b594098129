"""Every peer and the environment it lives in, made from the package index once and kept.

Rule: what cannot be installed is an `Absent` with its reason, and is named wherever the others are; nothing
is left out in silence. It starts no server.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

INSTALL_S: Final = 1200.0
_STAMP: Final = "installed.json"
_LIST: Final = (
    "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
)
_LINE: Final = 200

Run = Callable[[Sequence[str]], str]
"""Run a command and give what it prints; FailedError with its last line."""


class FailedError(Exception):
    """A command of an installation that did not succeed."""


@dataclass(frozen=True)
class Peer:
    """A model server of the package index, and how much less of a processor we want to need for a request."""

    name: str
    package: str
    requirements: tuple[str, ...]
    target: float


PEERS: Final[Mapping[str, Peer]] = {
    peer.name: peer
    for peer in (
        Peer("mlserver", "mlserver", ("mlserver==1.7.1", "onnxruntime"), 10.0),
        Peer("kserve", "kserve", ("kserve==0.21.0", "onnxruntime"), 12.0),
        Peer("litserve", "litserve", ("litserve==0.2.19", "onnxruntime"), 15.0),
        Peer("bentoml", "bentoml", ("bentoml==1.4.39", "onnxruntime"), 25.0),
    )
}


@dataclass(frozen=True)
class Installed:
    """A peer that can be started: its interpreter, and the versions of what is measured."""

    peer: Peer
    python: Path
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Absent:
    """A peer that cannot, and why."""

    peer: Peer
    reason: str


def install(peer: Peer, folder: Path, run: Run | None = None) -> Installed | Absent:
    """The environment of a peer below `folder`; made if it is not there as wanted. Takes minutes then."""
    run = run or _run
    home = folder / peer.name
    python, stamp = home / "bin" / "python", home / _STAMP
    try:
        if not (stamp.exists() and json.loads(stamp.read_bytes())["requirements"] == list(peer.requirements)):
            run([sys.executable, "-m", "venv", str(home)])
            run([str(python), "-m", "pip", "install", "--quiet", "--no-input", *peer.requirements])
            versions = json.loads(run([str(python), "-c", _LIST, peer.package, "onnxruntime"]))
            stamp.write_text(json.dumps({"requirements": peer.requirements, "versions": versions}))
        return Installed(peer, python, json.loads(stamp.read_bytes())["versions"])
    except (FailedError, OSError, ValueError, KeyError) as error:
        return Absent(peer, f"cannot be installed: {error}")


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise FailedError(f"{Path(command[0]).name} took longer than {INSTALL_S:g} s") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
        raise FailedError(said[-1][:_LINE])
    return done.stdout
