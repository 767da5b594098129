"""What one element of a tensor is called."""

import pytest

from groundwork.elements import element_names


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ((), ("x",)),
        ((1,), ("x",)),
        ((1, 1), ("x",)),
        ((2,), ("x[0]", "x[1]")),
        ((2, 2), ("x[0]", "x[1]", "x[2]", "x[3]")),
        ((0,), ()),
    ],
)
def test_elements_are_named_row_major(shape: tuple[int, ...], names: tuple[str, ...]) -> None:
    """A single element has its tensor's name; several are numbered row-major."""
    assert element_names("x", shape) == names
