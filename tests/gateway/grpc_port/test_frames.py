"""Where frames of HTTP/2 end, and the goodbye."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from gateway.grpc_port.frames import GOAWAY, UNREAD, Frames

CUTS = st.lists(st.integers(1, 40), min_size=1)


def frame(payload: bytes) -> bytes:
    """A frame of HTTP/2 with it."""
    return len(payload).to_bytes(3) + bytes(6) + payload


def pieces(stream: bytes, cuts: list[int]) -> Iterator[bytes]:
    """The stream in pieces of these lengths, again and again."""
    at, turn = 0, 0
    while at < len(stream):
        yield stream[at : at + cuts[turn % len(cuts)]]
        at += cuts[turn % len(cuts)]
        turn += 1


@given(st.lists(st.binary(max_size=300), min_size=1), CUTS)
def test_frames_end_where_they_do_however_they_are_cut(payloads: list[bytes], cuts: list[int]) -> None:
    """Each end that is found is one, the first of its piece, and none is missed."""
    ends, at = {0}, 0
    for payload in payloads:
        at += len(frame(payload))
        ends.add(at)
    stream, frames, done = b"".join(map(frame, payloads)), Frames(), 0
    for piece in pieces(stream, cuts):
        found = frames.take(piece)
        inside = sorted(end for end in ends if done <= end <= done + len(piece))
        assert found == (inside[0] - done if inside else -1)
        done += len(piece)
        assert frames.between == (done in ends)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 255), st.integers(0, 2**31 - 1))), CUTS)
def test_streams_end_where_they_do_however_they_are_cut(
    heads: list[tuple[int, int, int]], cuts: list[int]
) -> None:
    """RST_STREAM ends one, and so do DATA or HEADERS that say so; each is told once, and all data is."""
    over: list[int] = []
    passed: list[tuple[int, int]] = []
    frames = Frames(over.append, lambda *told: passed.append(told))
    stream = b"".join(
        bytes((0, 0, 3, kind, flags)) + number.to_bytes(4) + b"abc" for kind, flags, number in heads
    )
    for piece in pieces(stream, cuts):
        frames.take(piece)
    assert over == [number for kind, flags, number in heads if kind == 3 or (kind < 2 and flags & 1)]
    assert passed == [(number, 3) for kind, _, number in heads if kind == 0]


def test_the_goodbye_names_every_stream() -> None:
    """GOAWAY on stream 0 with NO_ERROR and the highest stream: nothing under way is given up by it."""
    assert bytes((0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0)) == GOAWAY


def test_who_reads_nothing_is_told_why_it_is_ended() -> None:
    """GOAWAY with ENHANCE_YOUR_CALM and a sentence, as long as its head says."""
    frames = Frames()
    assert frames.take(UNREAD) == 0
    assert frames.between
    assert UNREAD[13:] == bytes((0, 0, 0, 11)) + b"answers are not read"
