"""Values that travel between two processes: they come as they were sent, and large ones are not copied."""

import io
import os
import pickle
import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway import parcel
from gateway.inference import InferenceRequest

ARRAYS = hnp.arrays(
    st.sampled_from(["<f4", "<f8", "<i8", "|u1", "|b1", "<u2"]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
)


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a line."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def sent(value: Any) -> Any:
    """What the other end has of a value."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=parcel.send, args=(ours, value))
        sender.start()
        found = parcel.receive(theirs)
        sender.join()
    return found


@given(arrays=st.lists(ARRAYS, max_size=4), client=st.none() | st.text())
def test_a_request_comes_as_it_was_sent(arrays: list[Any], client: str | None) -> None:
    """Every array has its dtype, shape and bytes, and what is small is equal."""
    feeds = {str(place): array for place, array in enumerate(arrays)}
    found = sent(InferenceRequest(feeds, 3, client, parameters={"a": 1}))
    assert (found.rows, found.client_id, found.parameters) == (3, client, {"a": 1})
    assert list(found.feeds) == list(feeds)
    for name, array in feeds.items():
        assert (found.feeds[name].dtype, found.feeds[name].shape) == (array.dtype, array.shape)
        assert found.feeds[name].tobytes() == array.tobytes()


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=())), max_size=20),
    copies=st.sampled_from([1, 700]),
)
def test_texts_come_as_they_were_sent(texts: list[str], copies: int) -> None:
    """Texts of any characters, more than one piece of them and none at all, keep their order and shape."""
    many = texts * copies
    found = sent(np.array(many, dtype=object).reshape(len(many), 1))
    assert found.dtype == object
    assert found.shape == (len(many), 1)
    assert found.ravel().tolist() == many


@pytest.mark.parametrize("lengths", [[parcel.PIECE_CHARACTERS // 3] * 10, [1] * 50 + [1 << 21] + [1] * 50])
def test_long_texts_travel_in_pieces_too(lengths: list[int]) -> None:
    """Nothing is pickled at once that is longer than a piece, but for a text that is so alone."""
    texts = np.array(["x" * length for length in lengths], dtype=object)
    buffers: list[pickle.PickleBuffer] = []
    parcel._Pickler(io.BytesIO(), protocol=5, buffer_callback=buffers.append).dump(texts)
    most = max(*lengths, parcel.PIECE_CHARACTERS)
    assert max(len(buffer.raw()) for buffer in buffers) < most + 100
    assert sent(texts).tolist() == texts.tolist()


def test_an_array_is_the_memory_that_was_sent() -> None:
    """A large array is a view of memory that nobody writes any more, aligned as its dtype wants."""
    found = sent([np.zeros(3, "|u1"), np.arange(1 << 20, dtype="<f8")])[1]
    assert not found.flags.writeable
    assert not found.flags.owndata
    assert found.flags.aligned
    assert found[-1] == (1 << 20) - 1


def test_a_body_comes_as_a_view_of_its_bytes() -> None:
    """What is wrapped as a buffer comes as a view, and its copy is the bytes that were sent."""
    body = bytes(range(256)) * 5000
    view = sent(pickle.PickleBuffer(body))
    assert isinstance(view, memoryview)
    assert parcel.copied(view) == body


def test_an_end_is_told_from_a_value(line: tuple[socket.socket, socket.socket]) -> None:
    """A line that is closed, before a value or within one, is a ClosedError and no value."""
    ours, theirs = line
    parcel.send(ours, "whole")
    ours.close()
    assert parcel.receive(theirs) == "whole"
    with pytest.raises(parcel.ClosedError):
        parcel.receive(theirs)


def test_a_value_that_was_cut_is_an_end(line: tuple[socket.socket, socket.socket]) -> None:
    """Who ends in the middle of a value has sent none."""
    ours, theirs = line
    ends, cut = socket.socketpair()
    with cut, ends:
        parcel.send(ours, "a text that is cut")
        head, descriptors, _, _ = socket.recv_fds(theirs, 16, 1)
        socket.send_fds(ends, [head], descriptors)
        os.close(descriptors[0])
        ends.sendall(theirs.recv(5))
        ends.shutdown(socket.SHUT_WR)
        with pytest.raises(parcel.ClosedError):
            parcel.receive(cut)
