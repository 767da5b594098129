"""What a worker asks a translator, and what comes back: a body to be read, or an answer to be written.

    Read   ─▶ codec.decode ─▶ the request
    Write  ─▶ codec.encode ─▶ headers and body        or Raised, with the refusal

It is done by the interface of a version alone; no graph, no journal and no loop is known here.
"""

import pickle
import traceback
from typing import Any, Final

import msgspec

from gateway.inference import InferenceRequest
from gateway.interface import Interface
from gateway.protocols.codec import Answer, Codec, Headers
from groundwork.errors import DriftgateError

READY: Final = b"r"
"""What a translator says before it is asked anything."""


class Read(msgspec.Struct, frozen=True):
    """Decode a body."""

    codec: Codec
    model: Interface
    headers: Headers
    body: Any

    def answer(self) -> InferenceRequest:
        """The request, or a Refusal."""
        return self.codec.decode(self.model, self.headers, bytes(self.body))


class Write(msgspec.Struct, frozen=True):
    """Encode an answer to a request, whose tensors are left out."""

    codec: Codec
    request: InferenceRequest
    told: Answer

    def answer(self) -> tuple[Any, pickle.PickleBuffer]:
        """Headers and body, or a refusal."""
        headers, body = self.codec.encode(self.request, self.told)
        return headers, pickle.PickleBuffer(body)


class Raised(msgspec.Struct, frozen=True):
    """What a codec raised: a refusal, or else a mistake of ours as the lines of its traceback."""

    error: DriftgateError | None = None
    trace: str = ""


def answer(question: Read | Write) -> Any:
    """What the codec gives, or Raised."""
    try:
        return question.answer()
    except DriftgateError as error:
        return Raised(error.with_traceback(None))
    except Exception:  # noqa: BLE001  the worker tells its operator
        return Raised(trace=traceback.format_exc())
