"""The worker's end of its translators: processes that read large bodies and write large answers for it.

Rules:

1. A translator is started for the first request that wants one, and ended when none did for IDLE_SECONDS.
2. There are two: who is large need not wait for who is huge.
3. One that ends while it works (the system may want its memory back) costs that request, which is refused,
   and nothing else: the next one has a new process. Where none can be started, that is said once, and the
   codec works in a thread.

Asked on the loop; each process has a thread that talks to it.
"""

import asyncio
import logging
import pickle
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec

from gateway import parcel
from gateway.errors import OverloadedError
from gateway.inference import InferenceRequest
from gateway.interface import Interface
from gateway.protocols.codec import Answer, Codec, Headers
from gateway.responses import Header
from gateway.translation import Raised, Read, Write, answer

IDLE_SECONDS: Final = 60.0
HUGE_BYTES: Final = 4 << 20
_END_SECONDS: Final = 10.0
_log: Final = logging.getLogger(__name__)


class Translators:
    """Those of one worker, each ended when nobody asked for `idle` seconds; owned by its loop."""

    def __init__(self, idle: float = IDLE_SECONDS) -> None:
        self._large = _Translator(idle)
        self._huge = _Translator(idle)

    async def read(self, codec: Codec, model: Interface, headers: Headers, body: bytes) -> InferenceRequest:
        """As the codec's `decode`; OverloadedError where the process was ended over it."""
        question = Read(codec, model, headers, pickle.PickleBuffer(body))
        found: InferenceRequest = await self._for(len(body)).ask(question)
        return found

    async def write(
        self, codec: Codec, request: InferenceRequest, told: Answer
    ) -> tuple[tuple[Header, ...], bytes]:
        """As the codec's `encode`; OverloadedError where the process was ended over it."""
        size = sum(array.nbytes for array in told.outputs)
        bare = msgspec.structs.replace(request, feeds={})
        found: tuple[tuple[Header, ...], bytes] = await self._for(size).ask(Write(codec, bare, told))
        return found

    def close(self) -> None:
        """Let processes and threads go; nobody may be asking."""
        self._large.close()
        self._huge.close()

    def _for(self, size: int) -> "_Translator":
        return self._huge if size > HUGE_BYTES else self._large


class _Translator:
    """One process; `_asked` and what it calls run in its thread, one at a time."""

    def __init__(self, idle: float) -> None:
        self._idle = idle
        self._thread = ThreadPoolExecutor(1, "translator")
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._asking = 0
        self._rest: asyncio.TimerHandle | None = None
        self._said = False

    async def ask(self, question: Read | Write) -> Any:
        if self._rest is not None:
            self._rest.cancel()
        loop = asyncio.get_running_loop()
        self._asking += 1
        try:
            found = await loop.run_in_executor(self._thread, self._asked, question)
        finally:
            self._asking -= 1
            if not self._asking:
                self._rest = loop.call_later(self._idle, self._thread.submit, self._end)
        if isinstance(found, Raised):
            raise found.error or RuntimeError(found.trace)
        return found

    def close(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        self._thread.submit(self._end)
        self._thread.shutdown(wait=False)

    def _asked(self, question: Read | Write) -> Any:
        try:
            line = self._begun()
        except OSError as error:
            if not self._said:
                self._said = True
                _log.warning("no process can be started for large requests, threads read them: %s", error)
            return _plain(answer(question))
        try:
            parcel.send(line, question)
            return _plain(parcel.receive(line))
        except (OSError, EOFError):
            self._end()
            return Raised(OverloadedError("the process that had the request was ended; send it again"))

    def _begun(self) -> socket.socket:
        """The line to the process, which is started where there is none; OSError where it cannot be."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._line is not None:
            return self._line
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "gateway.translator", str(theirs.fileno())]
        with theirs:
            try:
                self._process = subprocess.Popen(
                    command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL
                )
            except BaseException:
                ours.close()
                raise
        self._line = ours
        return ours

    def _end(self) -> None:
        """Close the line, at which the process ends; one that is still at work is killed."""
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = self._line = None


def _plain(found: Any) -> Any:
    """What was told, with the body of an answer as bytes."""
    if not isinstance(found, tuple):
        return found
    headers, body = found
    return headers, parcel.copied(memoryview(body))
