"""A graph that is loaded: read its signature, run it.

Rules: one thread inside a run unless the options say otherwise (more spin and lose on small models,
measured); the runtime's own messages stay off the terminal, for they come back as errors. `run` may be
called from several threads at once.
"""

import ctypes
import math
import mmap
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.errors import InvalidInputError, LoadError, RunError
from gateway.inference import Array
from gateway.options import PLAIN, RunOptions
from gateway.runtime import onnxruntime, open_session, runtime_errors
from registry_client.errors import SignatureError
from registry_client.graph import one_line
from registry_client.signature import Datatype, Signature, numpy_dtype, signature_of
from registry_client.value_info import check_ranks

_IN_A_NODE: Final = "while running"
_FOLDER: Final = re.compile(r'(?<=")/[^"]*/(?=[^"/]*")')
_ELSEWHERE: Final = "xternal data"
"""What the runtime speaks of where it misses the file with a graph's weights."""
_BFLOAT16: Final = 16  # onnx.TensorProto.BFLOAT16
_BITS: Final = np.dtype(numpy_dtype(Datatype.BF16))

Run = Callable[[list[str], dict[str, Array], Any], list[Array]]


class Session:
    """A loaded graph."""

    def __init__(self, session: Any, signature: Signature) -> None:
        self.signature = signature
        self._names = [spec.name for spec in signature.outputs]
        specs = (*signature.inputs, *signature.outputs)
        narrow = any(spec.datatype is Datatype.BF16 for spec in specs)
        self._run: Run = BitsRun(session, signature) if narrow else _shortest(session)
        self._options = onnxruntime.RunOptions()
        """As they are; without any the runtime makes them anew for each run, which costs 0.5 µs."""

    @classmethod
    def open(cls, path: Path, *, title: str, options: RunOptions = PLAIN) -> "Session":
        """Load the graph in `path`; LoadError names `title` and the reason in one line.

        Takes milliseconds to seconds; call it off the event loop.
        """
        try:
            session = open_session(path, options, title=title)
            signature = signature_of(session.get_inputs(), session.get_outputs())
            _check_ranks(path, signature)
        except LoadError:
            raise
        except SignatureError as error:
            raise LoadError(f"{title}: {error}") from None
        except Exception as error:  # noqa: BLE001  the runtime raises many kinds, some of them bare
            # Clients are told, and need no folders: neither that of the copies nor ours.
            reason = _FOLDER.sub("", one_line(error).replace(f"{path.parent}/", ""))
            raise LoadError(f"{title}: the graph does not load: {reason}; {_remedy(reason)}") from None
        return cls(session, signature)

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """Every output, in the signature's order.

        Raises:
            InvalidInputError: the graph refuses the inputs before it runs.
            RunError: the graph failed on these inputs.
        """
        try:
            return self._run(self._names, feeds, self._options)
        except Exception as error:  # noqa: BLE001  whatever a graph does wrong is one failed run
            line = one_line(error) or type(error).__name__
            # A failing node raises the same kind of error as inputs that are refused; only the text differs.
            if isinstance(error, runtime_errors.InvalidArgument) and _IN_A_NODE not in line:
                raise InvalidInputError(f"the graph refuses the inputs: {line}") from None
            raise RunError(f"the model failed on this request: {line}") from None

    def close(self) -> None:
        """Let the graph and its memory go; a run afterwards is a RunError. In a thread: milliseconds."""
        self._run = _closed


def _closed(_names: list[str], _feeds: dict[str, Array], _options: Any) -> list[Array]:
    raise RunError("this version was taken out of memory; ask again")


def _check_ranks(path: Path, signature: Signature) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        check_ranks(signature, content)


class BitsRun:
    """Runs a graph with BF16 tensors, which numpy lacks: their bits go in and come out as uint16."""

    def __init__(self, session: Any, signature: Signature) -> None:
        self._session = session
        self._bits = {spec.name for spec in signature.inputs if spec.datatype is Datatype.BF16}
        self._outputs = signature.outputs

    def __call__(self, names: list[str], feeds: dict[str, Array], _options: Any) -> list[Array]:
        """As the session's own `run`."""
        values = {name: self._value(name, array) for name, array in feeds.items()}
        found = self._session.run_with_ort_values(names, values)
        return [
            _bits(value) if spec.datatype is Datatype.BF16 else value.numpy()
            for spec, value in zip(self._outputs, found, strict=True)
        ]

    def _value(self, name: str, array: Array) -> Any:
        if name in self._bits:
            return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, _BFLOAT16)
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _bits(value: Any) -> Array:
    """A copy of the two-byte elements of a runtime's tensor."""
    shape = value.shape()
    size = math.prod(shape) * _BITS.itemsize
    if not size:
        return np.empty(shape, _BITS)
    held = (ctypes.c_char * size).from_address(value.data_ptr())
    return np.frombuffer(held, _BITS).reshape(shape).copy()


def _shortest(session: Any) -> Run:
    """The runtime's own `run` without its Python wrapper, where it is there as expected.

    The wrapper looks whether every input is fed, which a decoded request always is, and tries another
    provider after a failure, of which there is none. It costs 0.8 µs.
    """
    inner = getattr(session, "_sess", None)
    known = type(inner).__name__ == "InferenceSession" and callable(getattr(inner, "run", None))
    shortest: Run = inner.run if known and inner is not None else session.run
    return shortest


def _remedy(reason: str) -> str:
    """What to do about a graph that does not load, and why."""
    if _ELSEWHERE in reason:
        return "its weights stand in another file: `driftgate push` the graph, which brings them in"
    return "publish it again"
