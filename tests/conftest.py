"""How every test runs: hypothesis without a stopwatch, and the same way each time but for `make torture`."""

import logging
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from groundwork import logs
from tests.counts import TORTURE

settings.register_profile(
    "test",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "torture",
    deadline=None,
    max_examples=1000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("torture" if TORTURE else "test")


@pytest.fixture(autouse=True)
def own_messages() -> Iterator[None]:
    """A program that a test runs in this process takes over its messages; the next test has them back."""
    root = logging.getLogger()
    level = root.level
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    yield
    root.handlers[:] = [one for one in root.handlers if not isinstance(one, logs._Bridge)]
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
