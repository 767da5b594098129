"""The insides of uvicorn."""

from gateway.insides import mismatch


async def test_the_installed_uvicorn_is_the_one_that_was_written_against() -> None:
    """Nothing of what the fast way of requests touches has another name, parameter or first state."""
    assert mismatch(None) is None
