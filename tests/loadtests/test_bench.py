"""Where the servers of a benchmark run."""

import pytest

from loadtests.bench.servers import sides


@pytest.mark.parametrize(
    ("processors", "servers", "generator"), [({0, 1}, "0", 1), ({3, 1, 2}, "1,2", 3), (range(4), "0,1,2", 3)]
)
def test_a_generator_shares_its_processor_with_no_server(
    processors: set[int], servers: str, generator: int
) -> None:
    """The last of the processors that may be used is the generator's, all others are the server's."""
    assert sides(processors) == (servers, generator)
