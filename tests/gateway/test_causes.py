"""What a worker ended of."""

import signal

import pytest

from gateway.causes import Cause, cause_of, described


@pytest.mark.parametrize(
    ("code", "hung", "oom", "wanted"),
    [
        (-signal.SIGKILL, False, False, "killed"),
        (-signal.SIGTERM, False, True, "killed"),
        (-signal.SIGKILL, False, True, "crashed"),
        (-signal.SIGSEGV, False, False, "crashed"),
        (-signal.SIGBUS, False, False, "crashed"),
        (-signal.SIGABRT, True, False, "hung"),
        (-signal.SIGKILL, True, False, "hung"),
        (1, False, True, "failed"),
        (0, False, True, "stopped"),
    ],
)
def test_the_cause_of_an_end(code: int, hung: bool, oom: bool, wanted: Cause) -> None:  # noqa: FBT001  a table
    """Fatal signals and kills for want of memory are crashes; a kill from outside is nobody's fault."""
    assert cause_of(code, hung=hung, oom=oom) == wanted


def test_an_end_in_words() -> None:
    """Exit codes and signals, also those without a name."""
    assert described(3) == "ended with exit code 3"
    assert described(-9) == "was ended by SIGKILL"
    assert described(-99) == "was ended by signal 99"
