"""A program of its own that rewrites one graph and looks whether that pays: `python -m gateway.rewriting`.

It is what holds a graph three times at once: as it was published, as it was rewritten, and as the bytes to
write. So it is the supervisor's child and no worker's thread: it has a bound of memory, is the first that the
system ends where memory is short, and takes only what others leave of the processor.

A copy is kept where opening it takes at most three quarters of what opening the published graph takes, its
digest included, and where made-up rows come out of both bit for bit alike.
"""

import contextlib
import os
import resource
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from gateway import optimised
from gateway.errors import InvalidInputError, RunError
from gateway.inference import Array
from gateway.measuring import made_up
from gateway.opening import as_written
from gateway.optimised import SUFFIX, Copy
from gateway.options import RunOptions
from gateway.runtime import open_session
from gateway.session import Session
from groundwork.errors import DriftgateError
from registry_client.graph import one_line

PAYS: Final = 0.75
_NICEST: Final = 19
_FIRST_TO_GO: Final = "1000"
_LARGER: Final = 4
_LARGER_BY: Final = 64 << 20
"""A copy may be so many times, and so much, larger than the graph, whose bytes can stand for any weights."""
_PLACES: Final = 3

Seconds = Callable[[], float]


class LeftError(DriftgateError):
    """There will be no copy; says why."""


def main(arguments: list[str]) -> int:
    """Make the copy that a record wants: CACHE NAME BYTES (of memory, at most); returns the exit code."""
    cache, name, most = Path(arguments[0]), arguments[1], int(arguments[2])
    copy = optimised.read(cache, name)
    if copy is None:
        return 1
    _yield_to_others(most, _LARGER * copy.size + _LARGER_BY)
    optimised.write(cache, name, rewrite(cache, name, copy, time.process_time))
    return 0


def rewrite(cache: Path, name: str, copy: Copy, seconds: Seconds) -> Copy:
    """Make the copy and judge it; its record, kept or left."""
    beside = cache / f".{name}{SUFFIX}.{secrets.token_hex(6)}"
    try:
        judged = _judged(beside, copy, seconds)
        beside.replace(cache / f"{name}{SUFFIX}")
    except Exception as error:  # noqa: BLE001  the runtime raises many kinds; each leaves the published graph
        return msgspec.structs.replace(copy, state="left", reason=one_line(error))
    finally:
        beside.unlink(missing_ok=True)
    optimised.discard_older(cache, name)
    return judged


def _judged(beside: Path, copy: Copy, seconds: Seconds) -> Copy:
    """Write the copy to `beside`; its record where it is to be kept."""
    path, title = Path(copy.artifact), f"model {copy.model} version {copy.version}"
    options = RunOptions(optimisation=copy.level)
    if f"sha256:{optimised.digest_of(path)}" != copy.digest:
        raise LeftError(f"{path} was altered since it was opened")
    open_session(path, options, title=title, rewritten=beside)
    beside.chmod(0o600)
    before, published = _opened(path, options, title, seconds)
    answers = _answers(published)
    published.close()
    after, rewritten = _opened(beside, as_written(options), title, seconds)
    began = seconds()
    sha256 = optimised.digest_of(beside)
    after += seconds() - began
    if after > PAYS * before:
        raise LeftError(f"opening takes {before:.3f} s, from a copy {after:.3f} s")
    if rewritten.signature != published.signature:
        raise LeftError("the rewritten graph has another signature")
    if not answers or _answers(rewritten) != answers:
        raise LeftError("made-up rows do not show that it answers the same")
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    return msgspec.structs.replace(copy, state="kept", sha256=sha256, before=before, after=after)


def _opened(path: Path, options: RunOptions, title: str, seconds: Seconds) -> tuple[float, Session]:
    began = seconds()
    session = Session.open(path, title=title, options=options)
    return seconds() - began, session


def _answers(session: Session) -> list[list[bytes | list[object]]]:
    """What made-up rows give, bit for bit; nothing where the graph refuses them."""
    with contextlib.suppress(RunError, InvalidInputError):
        return [
            [_bits(array) for array in session.run(made_up(session.signature, place))]
            for place in range(_PLACES)
        ]
    return []


def _bits(array: Array) -> bytes | list[object]:
    return array.ravel().tolist() if array.dtype.kind == "O" else array.tobytes()


def _yield_to_others(memory: int, file: int) -> None:
    """Keep to a bound of memory and of the file, and let everybody else go first."""
    os.nice(_NICEST)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file, file))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the runtime ends itself where it gets no memory
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
