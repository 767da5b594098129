"""How every test runs: hypothesis without a stopwatch, and the same way each time but for `make torture`."""

from hypothesis import HealthCheck, settings

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
