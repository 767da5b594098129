"""What a protocol needs to know of a version: who it is, and its tensors.

It is made from the signature alone, so that a process without the graph, or the runtime, can read requests
for a version and write its answers.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from gateway.bulk import MOST_BINARY_ROWS, check_rows
from gateway.errors import InvalidInputError
from gateway.inference import Array, InferenceRequest
from gateway.tensors import Tensor
from registry_client.signature import Datatype, Signature

_NO_JSON: Final = frozenset({Datatype.FP16, Datatype.BF16})


class Interface:
    """The name, the version, the tensors and what the classes are called; it never changes what it says.

    What is pickled of it, or of whatever is more than it, is an interface and nothing else.
    """

    def __init__(self, name: str, version: str, signature: Signature, classes: tuple[str, ...] = ()) -> None:
        self.name = name
        self.version = version
        self.signature = signature
        self.classes = classes
        self.inputs = {spec.name: Tensor(spec) for spec in signature.inputs}
        tensors = [tensor for tensor in self.inputs.values() if tensor.datatype not in _NO_JSON]
        self.only = tensors[0] if len(tensors) == len(self.inputs) == 1 else None
        """Its input, where it has no other and JSON carries it."""
        leaves = {tensor.leaf for tensor in self.inputs.values()}
        self.leaf = leaves.pop() if len(leaves) == 1 else None
        """What JSON elements of every input are, where all inputs are alike in that."""
        self.outputs = tuple(Tensor(spec) for spec in signature.outputs)
        self.output_index = {spec.name: index for index, spec in enumerate(signature.outputs)}
        self.batched = bool(self.inputs) and all(tensor.batched for tensor in self.inputs.values())
        self.open_inputs = tuple(
            (tensor.name, max(1, math.prod(size for size in tensor.shape if size != -1)))
            for tensor in self.inputs.values()
            if tensor.row_shape is None
        )
        """Inputs of which a request chooses more than the rows, with the elements of their smallest row."""
        self.answers: dict[str, tuple[bytes, tuple[bytes, ...]]] = {}
        """Arm to what every plain answer of this version has in common; kept here by what writes them."""
        self.binaries: dict[bytes, Any] = {}
        """The JSON of requests in binary to what it means; kept here by what reads them."""

    def __reduce__(self) -> tuple[type["Interface"], tuple[str, str, Signature, tuple[str, ...]]]:
        return Interface, (self.name, self.version, self.signature, self.classes)

    def __repr__(self) -> str:
        return f"<{self.name} version {self.version}>"


def extent_of(model: Interface, request: InferenceRequest) -> int:
    """How many of the smallest rows are as many elements as a request has: what a run costs grows with it.

    A model that leaves sizes to the request may get one row as long as a thousand.
    """
    extent = request.rows
    for name, least in model.open_inputs:
        extent = max(extent, request.feeds[name].size // least)
    return extent


def rows_of(model: Interface, feeds: Mapping[str, Array]) -> int:
    """The length of the batch axis, which all inputs share.

    InvalidInputError where they do not, TooLargeError where it is too long.
    """
    if not model.batched:
        return 1
    rows = 0
    for array in feeds.values():
        length = len(array)
        if rows not in (0, length):
            raise InvalidInputError(f"inputs disagree on the number of rows: {rows} and {length}; wanted one")
        rows = length
    check_rows(rows, MOST_BINARY_ROWS)
    return rows
