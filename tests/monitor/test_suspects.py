"""Tests of monitor.suspects; the loop's tests prove them at work."""

import pytest

from monitor.suspects import IN_A_ROW, KNOWN, TRIES, Frames, Suspects, origin
from prediction_log.transport import Offset
from tests.monitor import worlds

GOOD = worlds.Traffic().predictions(1)[0]
BAD = worlds.Traffic(version="2").predictions(1)[0]


def frames(*contents: bytes, first: int = 1) -> Frames:
    """These at places that follow one another."""
    return [(Offset(1, first + place), content) for place, content in enumerate(contents)]


def known(others: bytes = GOOD) -> Suspects:
    """Suspects who know the bad one, when the others were taken in after it."""
    suspects = Suspects()
    for row in range(1, KNOWN + 1):
        for _ in range(TRIES):
            suspects.failed(frames(BAD, first=row), row - 1)
    suspects.taken(frames(others, first=KNOWN + 1))
    return suspects


def test_the_frames_of_a_round_that_failed_are_read_alone_to_its_end() -> None:
    """Neither those before it, nor any behind it."""
    suspects = Suspects()
    assert not suspects.alone(Offset(1, 0))
    assert suspects.failed(frames(GOOD, BAD, first=3), 0) == "again"
    assert [suspects.alone(Offset(1, row)) for row in (2, 3, 4)] == [True, True, False]
    assert suspects.failed(frames(GOOD, first=3), 0) == "again"
    assert suspects.alone(Offset(1, 3))
    suspects.clear()
    assert not suspects.alone(Offset(1, 2))


def test_only_tries_of_the_same_frame_alone_count() -> None:
    """A round of several is nobody's try, and another frame's tries are its own."""
    suspects = Suspects()
    for _ in range(2 * TRIES):
        assert suspects.failed(frames(GOOD, BAD), 0) == "again"
    for place in (1, 2):
        said = [suspects.failed(frames(BAD, first=place), 0) for _ in range(TRIES)]
        assert said == ["again"] * (TRIES - 1) + ["leave out"]


def test_tries_before_the_log_went_on_elsewhere_are_forgotten() -> None:
    """What stands at the same place then is another frame."""
    suspects = Suspects()
    for _ in range(TRIES - 1):
        suspects.failed(frames(BAD), 0)
    suspects.clear()
    assert suspects.failed(frames(BAD), 0) == "again"


def test_an_unknown_origin_ends_where_too_many_were_left_out() -> None:
    """So many may be; the next is the program's end."""
    for left_out, verdict in ((IN_A_ROW - 1, "leave out"), (IN_A_ROW, "end")):
        suspects = Suspects()
        for _ in range(TRIES - 1):
            suspects.failed(frames(BAD), left_out)
        assert suspects.failed(frames(BAD), left_out) == verdict


def test_a_known_origin_is_fed_by_itself_between_the_others() -> None:
    """Those before, between and behind stay together, in order; each of its own is a part."""
    suspects = known()
    log = frames(BAD, GOOD, GOOD, BAD, BAD, GOOD)
    sizes = [[content == BAD for _, content in part] for part in suspects.parts(log)]
    assert sizes == [[True], [False, False], [True], [True], [False]]
    assert [frame for part in suspects.parts(log) for frame in part] == log
    assert suspects.parts([]) == Suspects().parts([]) == []
    assert suspects.failed(frames(BAD, first=9), IN_A_ROW) == "go on"
    suspects.taken(frames(BAD, first=10))
    assert suspects.parts(log) == [log]


@pytest.mark.parametrize("others", [BAD, b"no frame", worlds.Traffic().labels([])])
def test_who_is_known_must_fail_while_others_do_not(others: bytes) -> None:
    """Its own frames prove nothing of the others, nor does what is skipped; frames of another kind do."""
    suspects = known(others)
    assert suspects.streak(BAD).is_known == (origin(others) is not None and others != BAD)


def test_what_is_skipped_clears_nobody() -> None:
    """Who is known stays so while nothing is read that could be taken in."""
    suspects = known()
    suspects.taken(frames(b"no frame", first=9))
    assert suspects.streak(BAD).is_known


def test_too_few_failures_make_nobody_known() -> None:
    """Until then each frame has all its tries, and others go on in the same parts."""
    suspects = Suspects()
    for row in range(1, KNOWN):
        for _ in range(TRIES):
            suspects.failed(frames(BAD, first=row), 0)
        suspects.taken(frames(GOOD, first=50 + row))
    assert not suspects.streak(BAD).is_known
    assert len(suspects.parts(frames(GOOD, BAD, GOOD))) == 1


def test_a_frame_of_which_nothing_can_be_told_is_left_out_too() -> None:
    """Bytes that no reader makes anything of have an origin of their own."""
    suspects = Suspects()
    assert origin(b"no frame") is None
    said = [suspects.failed(frames(b"no frame"), 0) for _ in range(TRIES)]
    assert said[-1] == "leave out"
    suspects.taken(frames(GOOD, first=5))
    assert suspects.streak(b"neither").frames == 1
