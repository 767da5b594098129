"""Requests and answers that another process reads and writes: the same as here, whatever becomes of it."""

import asyncio
import errno
import fcntl
import gc
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from pkgutil import resolve_name

import msgspec
import numpy as np
import pytest

from gateway.errors import InvalidInputError, MalformedError, OverloadedError
from gateway.inference import InferenceRequest
from gateway.interface import Interface
from gateway.protocols.codec import JSON_LENGTH, Answer, Codec
from gateway.protocols.open_inference import CODEC
from gateway.translating import HUGE_BYTES, Translators
from registry_client.signature import Datatype, Signature, TensorSpec
from tests.facts import until
from tests.gateway.protocols.test_contract import CODECS, GOOD
from tests.gateway.worlds import ROW, request

NUMBERS = Interface(
    "m",
    "1",
    Signature(
        (TensorSpec("x", Datatype.FP32, (-1, 30)),),
        (TensorSpec("label", Datatype.INT64, (-1,)), TensorSpec("scores", Datatype.FP32, (-1, 2))),
    ),
)
TEXTS = Interface(
    "t",
    "1",
    Signature((TensorSpec("text", Datatype.BYTES, (-1, 1)),), (TensorSpec("out", Datatype.BYTES, (-1, 1)),)),
)
ROWS = np.ones((1, 30), "<f4")
OUTPUTS = [np.array([1], "<i8"), np.array([[0.25, 0.75]], "<f4")]


@pytest.fixture
async def translators() -> AsyncIterator[Translators]:
    """Those of one worker."""
    made = Translators()
    yield made
    made.close()


def same(one: InferenceRequest, other: InferenceRequest) -> bool:
    """Whether two requests mean the same."""
    bare = [msgspec.structs.replace(request, feeds={}) for request in (one, other)]
    return bare[0] == bare[1] and all(
        np.array_equal(one.feeds[name], array) for name, array in other.feeds.items()
    )


@pytest.mark.parametrize("target", CODECS)
async def test_another_process_reads_and_writes_the_same(translators: Translators, target: str) -> None:
    """Whatever the protocol, request and answer are byte for byte those of its codec here."""
    codec: Codec = resolve_name(target)
    body = msgspec.json.encode(GOOD[target])
    wanted = codec.decode(NUMBERS, {}, body)
    found = await translators.read(codec, NUMBERS, {}, body)
    assert same(found, wanted)
    told = Answer(NUMBERS, "stable", "0" * 32, OUTPUTS)
    assert await translators.write(codec, found, told) == codec.encode(wanted, told)


async def test_texts_are_the_same_there_and_back(translators: Translators) -> None:
    """Texts that are no ASCII come through both ways."""
    texts = ["", "zwölf", "a\u0000b", "🙂"]
    tensor = {"name": "text", "datatype": "BYTES", "shape": [4, 1], "data": texts}
    found = await translators.read(CODEC, TEXTS, {}, msgspec.json.encode({"inputs": [tensor]}))
    assert found.feeds["text"].ravel().tolist() == texts
    _, body = await translators.write(CODEC, found, Answer(TEXTS, "stable", "0", [found.feeds["text"]]))
    assert msgspec.json.decode(body)["outputs"][0]["data"] == texts


@pytest.mark.parametrize("length", [b"0", b"0" * 40, b"", b"x", b"1" * 40, b"121"])
def test_what_is_read_in_pieces_is_the_same(length: bytes) -> None:
    """Whatever the length of the JSON is said to be, a thread finds what the codec does here."""
    headers, body = {JSON_LENGTH: length}, ROWS.tobytes()
    try:
        wanted = CODEC.decode(NUMBERS, headers, body)
    except MalformedError as error:
        with pytest.raises(MalformedError, match=re.escape(str(error))):
            CODEC.read(NUMBERS, headers, body)
    else:
        found = CODEC.read(NUMBERS, headers, body)
        assert found is not None
        assert same(found, wanted)


async def test_a_refusal_is_the_codecs(translators: Translators) -> None:
    """What the codec refuses is refused in its words, and the process reads on."""
    with pytest.raises(MalformedError, match="the body is not an inference request"):
        await translators.read(CODEC, NUMBERS, {}, b"{")
    bad = request([ROW[1:]])
    with pytest.raises(InvalidInputError, match="not nested like"):
        await translators.read(CODEC, NUMBERS, {}, msgspec.json.encode(bad))
    assert (await translators.read(CODEC, NUMBERS, {}, msgspec.json.encode(request()))).rows == 1


async def test_a_refusal_keeps_no_body(translators: Translators) -> None:
    """A refused body is let go of with its refusal: one after the other would fill the memory meanwhile."""
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(MalformedError) as caught:
            await translators.read(CODEC, NUMBERS, {}, b"{")
        refusal = weakref.ref(caught.value)
        del caught
        await until(
            lambda: refusal() is None, "it is let go of"
        )  # the thread that brought it lets go of it too
    finally:
        gc.enable()


async def test_a_mistake_of_ours_is_told_in_full(translators: Translators) -> None:
    """What a codec should never raise comes with the lines of the other process, for the operator."""
    with pytest.raises(RuntimeError, match=r"translation.py(.|\n)*AttributeError"):
        await translators.read(CODEC, None, {}, b"{}")  # type: ignore[arg-type]  # the mistake


def children() -> list[int]:
    """The processes that this one has started and not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"gateway.translator" in line:
            found.append(int(folder.name))
    return found


async def test_a_process_that_ended_meanwhile_is_replaced(translators: Translators) -> None:
    """Who is killed while nobody asks costs nobody anything."""
    body = msgspec.json.encode(request())
    await translators.read(CODEC, NUMBERS, {}, body)
    (pid,) = children()
    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert (await translators.read(CODEC, NUMBERS, {}, body)).rows == 1


async def test_a_process_that_ends_over_a_request_costs_that_request(translators: Translators) -> None:
    """It is refused as one that may be sent again, and the next one has a process of its own."""
    body = msgspec.json.encode(request())
    await translators.read(CODEC, NUMBERS, {}, body)
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)
    asking = asyncio.create_task(translators.read(CODEC, NUMBERS, {}, body))
    await until(lambda: lies_unread(line_of(translators)), "it is asked")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(OverloadedError, match="send it again"):
        await asking
    assert (await translators.read(CODEC, NUMBERS, {}, body)).rows == 1
    assert children() != [pid]


async def test_one_that_is_killed_as_it_begins_costs_that_request(
    translators: Translators, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where memory is short it is not this process that reads what another was killed over."""
    doomed = tmp_path / "python"
    doomed.write_text("#!/bin/sh\nkill -9 $$\n")
    doomed.chmod(0o700)
    body = msgspec.json.encode(request())
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(doomed))
        with pytest.raises(OverloadedError, match="send it again"):
            await translators.read(CODEC, NUMBERS, {}, body)
    assert (await translators.read(CODEC, NUMBERS, {}, body)).rows == 1
    assert children()


def lies_unread(line: socket.socket) -> bool:
    """Whether the other end has not read yet what was sent."""
    return bool(struct.unpack("i", fcntl.ioctl(line, termios.TIOCOUTQ, bytes(4)))[0])


def line_of(translators: Translators) -> socket.socket:
    """The line to the process that has been asked."""
    line = translators._large._line
    assert line is not None
    return line


async def test_a_process_that_nobody_wants_is_ended() -> None:
    """After a while without a question it is gone, and the next question has a new one."""
    translators = Translators(idle=0.0)
    body = msgspec.json.encode(request())
    for _ in range(2):
        await translators.read(CODEC, NUMBERS, {}, body)
        await until(lambda: not children(), "the process has ended")
    translators.close()


async def test_the_huge_keep_only_the_huge_waiting(translators: Translators) -> None:
    """Who is large is answered while what is huge waits for its process."""
    body = msgspec.json.encode(request())
    await translators.read(CODEC, NUMBERS, {}, b" " * HUGE_BYTES + body)
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)
    huge = asyncio.create_task(translators.read(CODEC, NUMBERS, {}, b" " * HUGE_BYTES + body))
    assert (await translators.read(CODEC, NUMBERS, {}, body)).rows == 1
    assert not huge.done()
    os.kill(pid, signal.SIGCONT)
    assert (await huge).rows == 1


async def test_one_that_hangs_is_ended(translators: Translators) -> None:
    """A process that says nothing any more costs the request it had, and the next one has another."""
    body = msgspec.json.encode(request())
    await translators.read(CODEC, NUMBERS, {}, body)
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)
    line_of(translators).settimeout(0.01)  # its patience
    with pytest.raises(OverloadedError, match="send it again"):
        await translators.read(CODEC, NUMBERS, {}, body)
    assert (await translators.read(CODEC, NUMBERS, {}, body)).rows == 1
    assert children() != [pid]


async def test_one_that_hangs_does_not_keep_the_worker() -> None:
    """A worker that ends waits for no translator: who still asks is refused, and the process is gone."""
    translators = Translators()
    body = msgspec.json.encode(request())
    await translators.read(CODEC, NUMBERS, {}, body)
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)
    asking = [asyncio.create_task(translators.read(CODEC, NUMBERS, {}, body)) for _ in range(2)]
    await until(lambda: lies_unread(line_of(translators)), "it is asked")
    translators.close()
    for one in asking:
        with pytest.raises(OverloadedError, match="send it again"):
            await one
    await until(lambda: not children(), "the process has ended")


WORKER = """
import asyncio, os, signal
from pathlib import Path
from gateway.protocols.open_inference import CODEC
from gateway.translating import Translators

async def main():
    translators = Translators()
    try:
        await translators.read(CODEC, None, {}, b"{}")
    except RuntimeError:
        pass
    process = translators._large._process.pid
    os.kill(process, signal.SIGSTOP)
    print(process, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it ends when it goes on")
async def test_none_outlives_its_worker() -> None:
    """Whose worker is killed ends with it, even where it has been stopped."""
    command = [sys.executable, "-c", WORKER]
    worker = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, check=False)
    await until(lambda: not alive(int(worker.stdout)), "it has ended with its worker")


def alive(pid: int) -> bool:
    """Whether a process is there, and not only what its parent has to collect."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def no_room(_name: str) -> int:
    """As the system answers a process that has too many files open."""
    raise OSError(errno.EMFILE, "too many open files")


async def test_what_cannot_be_sent_a_thread_reads(
    translators: Translators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who finds no room for a parcel is answered all the same."""
    monkeypatch.setattr(os, "memfd_create", no_room)
    assert (await translators.read(CODEC, NUMBERS, {}, msgspec.json.encode(request()))).rows == 1


@pytest.mark.parametrize("program", ["/nowhere/python", "/bin/false"])
async def test_without_a_process_a_thread_reads(
    program: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where none can be started, or none lives, requests are read all the same; it is said once."""
    monkeypatch.setattr(sys, "executable", program)
    translators = Translators()
    body = msgspec.json.encode(request())
    for _ in range(2):
        found = await translators.read(CODEC, NUMBERS, {}, body)
        headers, told = await translators.write(CODEC, found, Answer(NUMBERS, "stable", "0", OUTPUTS))
    translators.close()
    assert (headers, told) == CODEC.encode(found, Answer(NUMBERS, "stable", "0", OUTPUTS))
    assert len(caplog.records) == 1
    assert "no process can be started" in caplog.text
