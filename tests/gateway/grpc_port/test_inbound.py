"""What a client sends on its way to gRPC's server: each call marked, its message counted."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.body_room import AnswerRoom, BodyRoom
from gateway.grpc_port.inbound import Inbound
from gateway.grpc_port.incoming import MARK, Incomings
from gateway.grpc_port.turns import Turn, Turns
from gateway.run_settings import RequestSettings
from tests.gateway.grpc_port.test_frames import CUTS, pieces

SETTINGS = RequestSettings(max_body_bytes=10_000, inline_body_bytes=100, large_bodies=2)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS_FRAME, CONTINUATION = 0, 1, 3, 4, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
ACKNOWLEDGED = (SETTINGS_FRAME, ACK, 0, b"")


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def inbound_of(room: BodyRoom) -> Inbound:
    """The way of a client whom gRPC has greeted."""
    made = Inbound(Incomings(room, AnswerRoom(SETTINGS), 1.0), Turn(Turns()))
    made.greeted = True
    return made


def read(stream: bytes) -> list[tuple[int, int, int, bytes]]:
    """The frames of a stream of bytes: kind, flags, stream, payload."""
    found, at = [], 0
    while at < len(stream):
        end = at + 9 + int.from_bytes(stream[at : at + 3])
        place = int.from_bytes(stream[at + 5 : at + 9])
        found.append((stream[at + 3], stream[at + 4], place, stream[at + 9 : end]))
        at = end
    return found


@given(st.lists(st.tuples(st.binary(max_size=300), st.booleans()), min_size=1, max_size=8), CUTS)
def test_every_call_is_marked_once_however_it_is_cut(
    calls: list[tuple[bytes, bool]], cuts: list[int]
) -> None:
    """Behind a call's last headers comes one frame more, with its mark; what it sends goes on as it came."""
    inbound, sent = inbound_of(BodyRoom(SETTINGS)), [PREFACE]
    wanted: list[tuple[int, int, int, bytes | None]] = [ACKNOWLEDGED]
    for turn, (payload, parted) in enumerate(calls):
        number = 2 * turn + 1
        kind = CONTINUATION if parted else HEADERS
        if parted:
            sent.append(frame(HEADERS, END_STREAM, number, payload))
            wanted.append((HEADERS, END_STREAM, number, payload))
        sent += (frame(kind, END_HEADERS, number, payload), frame(DATA, END_STREAM, number, payload))
        wanted += [(kind, 0, number, payload), (CONTINUATION, END_HEADERS, number, None)]
        wanted.append((DATA, END_STREAM, number, payload))
    told = b"".join(b"".join(inbound.take(piece)) for piece in pieces(b"".join(sent), cuts))
    assert told.startswith(PREFACE)
    found = read(told[len(PREFACE) :])
    marks = [one[3] for one, its in zip(found, wanted, strict=True) if its[3] is None]
    assert [one for one in found if one[3] not in marks] == [one for one in wanted if one[3] is not None]
    assert len(set(marks)) == len(calls)
    assert all(mark.startswith(bytes((0, len(MARK))) + MARK) for mark in marks)


@given(st.integers(0, 3), CUTS)
def test_gRPC_hears_once_that_its_settings_are_known(behind: int, cuts: list[int]) -> None:  # noqa: N802
    """Before the first call, whenever the client says so; what it says of later settings goes on."""
    sent = [frame(SETTINGS_FRAME, 0, 0, b""), *(frame(HEADERS, END_HEADERS, one, b"") for one in (1, 3))]
    inbound, acknowledged = inbound_of(BodyRoom(SETTINGS)), frame(*ACKNOWLEDGED)
    sent.insert(behind, acknowledged if behind else b"")
    stream = PREFACE + b"".join(sent) + acknowledged
    told = b"".join(b"".join(inbound.take(piece)) for piece in pieces(stream, cuts))
    found = [one for one in read(told[len(PREFACE) :]) if one[0] != CONTINUATION]
    more = [ACKNOWLEDGED] if behind else []
    assert [one for one in found if one[0] != HEADERS] == [(SETTINGS_FRAME, 0, 0, b""), ACKNOWLEDGED, *more]
    assert found[1] == ACKNOWLEDGED


@given(st.lists(st.integers(0, 200), max_size=9), CUTS, st.sampled_from(["over", "reset", "gone"]))
def test_what_has_come_of_a_message_takes_room_until_its_call_is_over(
    sizes: list[int], cuts: list[int], ends: str
) -> None:
    """A call has what came of it, once that is large; nothing, as soon as either side has ended it."""
    room = BodyRoom(SETTINGS)
    inbound = inbound_of(room)
    sent = PREFACE + frame(HEADERS, END_HEADERS, 1, b"") + frame(HEADERS, END_HEADERS, 3, b"")
    sent += b"".join(frame(DATA, 0, 3, bytes(size)) for size in sizes)
    for piece in pieces(sent, cuts):
        inbound.take(piece)
    assert room.held == (sum(sizes) if sum(sizes) > room.small else 0)
    if ends == "over":
        inbound.over(3)
    elif ends == "reset":
        inbound.take(frame(RST_STREAM, 0, 3, bytes(4)))
    else:
        inbound.close()
    inbound.take(frame(DATA, 0, 3, bytes(1000)))
    assert room.held == 0


@given(st.lists(st.integers(0, 90), max_size=30))
def test_many_small_messages_take_room_where_they_are_more_than_one_small_body(sizes: list[int]) -> None:
    """All of a connection's messages but one small body's worth, and at most one more, are counted."""
    room = BodyRoom(SETTINGS)
    inbound = inbound_of(room)
    inbound.take(PREFACE)
    for turn, size in enumerate(sizes):
        number = 2 * turn + 1
        inbound.take(frame(HEADERS, END_HEADERS, number, b"") + frame(DATA, 0, number, bytes(size)))
    assert sum(sizes) - room.small <= room.held <= max(0, sum(sizes) - room.small + 90)
    inbound.close()
    assert room.held == 0


def test_a_stream_that_no_client_may_begin_is_no_call() -> None:
    """Even numbers and those that do not rise are passed over, as gRPC does: nothing is kept of them."""
    inbound = inbound_of(BodyRoom(SETTINGS))
    inbound.take(PREFACE + frame(HEADERS, END_HEADERS, 5, b""))
    inbound.over(5)
    for number in (0, 2, 3, 5, 6):
        headers = frame(HEADERS, END_HEADERS, number, b"")
        assert b"".join(inbound.take(headers)) == headers
