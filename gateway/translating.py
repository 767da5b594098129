"""The worker's end of its translators: processes that read large bodies and write large answers for it.

Rules:

1. A translator is started for the first request that wants one, and ended when none did for IDLE_SECONDS.
2. There are two: who is large need not wait for who is huge.
3. One that is killed (the system may want its memory back), ends while it works, or says nothing for
   `patience` seconds costs that request, which is refused, and nothing else: the next has a new process.
4. Where none can be started, or there is no room for what is sent, that is said once, and the codec works in
   a thread; the next try is AGAIN_SECONDS later.
5. They hold nothing that anybody wants, so they are ended by SIGKILL, whatever they do.

Asked on the loop; each process has a thread that talks to it.
"""

import asyncio
import logging
import pickle
import signal
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
from gateway.translation import READY, Raised, Read, Write, answer

IDLE_SECONDS: Final = 60.0
HUGE_BYTES: Final = 4 << 20
PATIENCE_SECONDS: Final = 120.0
"""What takes longest (64 MiB of a table, on a machine that is busy) takes a quarter of it."""
AGAIN_SECONDS: Final = 10.0
_log: Final = logging.getLogger(__name__)


class Translators:
    """Those of one worker, each ended when nobody asked for `idle` seconds; owned by its loop."""

    def __init__(self, idle: float = IDLE_SECONDS, patience: float = PATIENCE_SECONDS) -> None:
        self._large = _Translator(idle, patience)
        self._huge = _Translator(idle, patience)

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
        """Let processes and threads go; whoever still asks is refused."""
        self._large.close()
        self._huge.close()

    def _for(self, size: int) -> "_Translator":
        return self._huge if size > HUGE_BYTES else self._large


class _Translator:
    """One process; `_asked` and what it calls run in its thread, one at a time."""

    def __init__(self, idle: float, patience: float) -> None:
        self._idle = idle
        self._patience = patience
        self._thread = ThreadPoolExecutor(1, "translator")
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._asking = 0
        self._rest: asyncio.TimerHandle | None = None
        self._again = 0.0
        self._said = False
        self._closed = False

    async def ask(self, question: Read | Write) -> Any:
        if self._rest is not None:
            self._rest.cancel()
        loop = asyncio.get_running_loop()
        self._asking += 1
        try:
            found = await loop.run_in_executor(self._thread, self._asked, question, loop.time())
        finally:
            self._asking -= 1
            if not (self._asking or self._closed):
                self._rest = loop.call_later(self._idle, self._thread.submit, self._end)
        if not isinstance(found, Raised):
            return found
        error, found = found.error or RuntimeError(found.trace), None
        try:
            raise error
        finally:
            del error, question  # else the error holds this frame and the frame the error, body and all

    def close(self) -> None:
        self._closed = True
        if self._rest is not None:
            self._rest.cancel()
        process = self._process
        if process is not None:
            process.kill()  # so that the thread waits for it no longer
        self._thread.submit(self._end)
        self._thread.shutdown(wait=False)

    def _asked(self, question: Read | Write, now: float) -> Any:
        try:
            line = self._begun(now)
            parcel.send(line, question)
            return _plain(parcel.receive(line))
        except (ConnectionError, TimeoutError, EOFError):
            return self._lost()
        except OSError as error:
            return self._without(question, error, now)
        except BaseException:
            self._end()  # nobody knows what else would come
            raise

    def _lost(self) -> Raised:
        self._end()
        return Raised(OverloadedError("the process that had the request was ended; send it again"))

    def _without(self, question: Read | Write, error: OSError, now: float) -> Any:
        """What a process would have answered."""
        self._end()
        if now >= self._again:
            self._again = now + AGAIN_SECONDS
        if not self._said:
            self._said = True
            _log.warning("no process can be started for large requests, threads read them: %s", error)
        return _plain(answer(question))

    def _begun(self, now: float) -> socket.socket:
        """The line to the process, which is started where there is none; OSError where it cannot be."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._closed:
            raise ConnectionError("this worker ends")
        if self._line is not None:
            return self._line
        if now < self._again:
            raise OSError("none could be started a moment ago")
        ours, theirs = socket.socketpair()
        ours.settimeout(self._patience)
        self._line = ours
        command = [sys.executable, "-P", "-m", "gateway.translator", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL)
        if ours.recv(len(READY)) != READY:
            code = self._process.wait()
            raise ConnectionError if code == -signal.SIGKILL else OSError(f"it ended with {code} at once")
        return ours

    def _end(self) -> None:
        """End the process, whatever it does."""
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._line = None


def _plain(found: Any) -> Any:
    """What was told, with the body of an answer as bytes."""
    if not isinstance(found, tuple):
        return found
    headers, body = found
    return headers, parcel.copied(memoryview(body))
