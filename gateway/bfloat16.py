"""BF16: the upper halves of FP32 numbers, which numpy does not know and which travel as uint16."""

from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.inference import Array

_BITS: Final = 16


def widened(halves: Array) -> npt.NDArray[np.float32]:
    """The numbers themselves, in FP32."""
    return (halves.astype("<u4") << _BITS).view("<f4")


def rounded(numbers: npt.NDArray[np.float32]) -> Array:
    """FP32 numbers, rounded to the nearest even half; a NaN stays one."""
    bits = numbers.view("<u4")
    nearest = (bits + 0x7FFF + ((bits >> _BITS) & 1)) >> _BITS
    quiet = (bits >> _BITS) | 0x40
    return np.where((bits & 0x7FFFFFFF) > 0x7F800000, quiet, nearest).astype("<u2")  # noqa: PLR2004  infinity


def cut(numbers: npt.NDArray[np.float32]) -> Array:
    """FP32 numbers without their lower halves: never more than the number, and no infinity that was none."""
    return (numbers.view("<u4") >> _BITS).astype("<u2")
