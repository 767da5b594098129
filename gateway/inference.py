"""The two values every protocol is translated to and from: what is asked of a model, and what came of it.

Arrays are numpy, C-contiguous and little-endian; strings travel as object arrays of `str`, which is what the
runtime takes and gives. BF16 travels as its bits in uint16, for numpy has no such type. Nothing here knows a
wire format.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
NO_PARAMETERS: Final[Mapping[str, Any]] = {}
STRING_BYTES: Final = 64
"""What Python takes for a string besides its characters."""
_STRINGS_COUNTED: Final = 4096


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """One output the client asked for; `binary` None leaves it to the request how it travels.

    `classes` above 0 asks for that many of the highest values instead of the tensor; `base64` for strings in
    base64 where they travel in JSON.
    """

    name: str
    binary: bool | None = None
    classes: int = 0
    base64: bool = False


class InferenceRequest(msgspec.Struct, frozen=True, gc=False):
    """A decoded request that fits the signature of the model it was decoded for.

    `feeds` maps every input name to its tensor; `rows` is the length of the batch axis (1 without one);
    `wanted` is empty when the client named no outputs and so gets all; `binary` says how outputs travel
    that say nothing themselves. `form` is what the codec that decoded this remembers until it encodes.
    """

    feeds: dict[str, Array]
    rows: int
    client_id: str | None = None
    wanted: tuple[Wanted, ...] = ()
    binary: bool = False
    parameters: Mapping[str, Any] = NO_PARAMETERS
    form: Any = None


def bytes_held(arrays: Iterable[Array]) -> int:
    """Bytes of memory that arrays take; of very many strings, about."""
    size = 0
    for array in arrays:
        size += array.nbytes
        if array.dtype.hasobject:
            step = array.size // _STRINGS_COUNTED + 1
            size += STRING_BYTES * array.size + step * sum(map(len, array.ravel()[::step].tolist()))
    return size


def as_bytes(array: np.ndarray[Any, np.dtype[Any]]) -> list[bytes]:
    """The strings of an object array in row-major order as UTF-8; a few hundred ns per ten values."""
    return [item.encode() for item in array.ravel().tolist()]
