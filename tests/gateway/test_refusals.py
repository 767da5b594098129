"""What a refused request leaves."""

from gateway.errors import NotReadyError, OverloadedError
from gateway.refusals import Refusals
from gateway.responses import plain_fault
from prediction_log.record import Kind
from tests.gateway.worlds import World


def test_a_refusal_is_in_the_slot_counted_and_told(here: World) -> None:
    """The row bears the id that the answer names; the count is the model's."""
    refusals = Refusals(here.journal, here.slot.counters)
    for _ in range(2):
        answer = refusals.tell(OverloadedError("later"), "m", "1", 250, plain_fault, known=True)
    identifier = dict(answer.headers)[b"x-prediction-id"].decode()
    (frame,) = here.frames(Kind.REJECT)
    assert frame.rows == 2
    assert bytes(frame.array("id")[1]).hex() == identifier
    assert frame.strings("code").tolist()[1] == b"overloaded"
    assert here.counted("driftgate_refusals_total", model="m", code="overloaded") == 2


def test_a_name_that_no_route_knows_is_no_label(here: World) -> None:
    """The row says which name was asked for; the metric says no name."""
    refusals = Refusals(here.journal, here.slot.counters)
    refusals.tell(NotReadyError("no"), "made up", "1", 250, plain_fault, known=False)
    (frame,) = here.frames(Kind.REJECT)
    assert frame.strings("model").tolist() == [b"made up"]
    assert here.counted("driftgate_refusals_total", model="made up") == 0
    assert here.counted("driftgate_refusals_total", model="") == 1
