"""What an element of a tensor is called where a table has a column for each: profiles, log, exports."""

import math
from collections.abc import Sequence


def element_names(name: str, shape: Sequence[int]) -> tuple[str, ...]:
    """The names of a tensor's elements, given its shape per row.

    One element has the tensor's name; several are `name[0]`, `name[1]`… in row-major order, however many axes
    there are.
    """
    size = math.prod(shape)
    return (name,) if size == 1 else tuple(f"{name}[{index}]" for index in range(size))
