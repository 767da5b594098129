"""What a reject's row says."""

from hypothesis import given
from hypothesis import strategies as st

from gateway import rejecting
from prediction_log import record
from prediction_log.quick_reject import TEXTS
from prediction_log.record import Kept, Outcome


@given(st.text(), st.text(), st.text(), st.text(alphabet=st.characters()))
def test_no_text_of_a_client_is_too_long_or_unwritable(
    code: str, message: str, version: str, model: str
) -> None:
    """Whatever a client sent, lone surrogates among it, becomes bytes within the lengths that are kept."""
    try:
        code.encode()
    except UnicodeEncodeError:
        code = "ours"  # a code is one of ours, and can always be written
    said = rejecting.texts(code, message + "é" * 500, version * 100, model * 100)
    assert len(said[1]) <= 500
    assert max(len(said[2]), len(said[3])) <= 100


def test_a_row_has_what_the_log_wants_of_a_reject() -> None:
    """Every column of a reject but the ones that its stream gives; it is kept whatever is sampled."""
    row = rejecting.row(b"i" * 16, 7, 250, 503, rejecting.texts("overloaded", "later", "1", "m"))
    assert set(row) <= {column.name for column in record.reject_schema("").columns}
    assert set(TEXTS) <= set(row)
    assert (row["outcome"], row["kept"], row["status"]) == (Outcome.REJECTED, Kept.ALWAYS, 503)
