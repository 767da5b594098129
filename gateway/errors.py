"""Everything the gateway refuses or fails at, as a tree that knows nothing of HTTP.

    DriftgateError
    ├── Refusal                        the request is at fault; it is logged as a reject
    │   ├── MalformedError             "malformed"            not the protocol: JSON, fields, lengths
    │   ├── InvalidInputError          "invalid-input"        a tensor does not fit the signature
    │   ├── UnsupportedError           "unsupported"          a feature of the protocol we do not offer
    │   ├── UnknownModelError          "unknown-model"
    │   ├── UnknownVersionError        "unknown-version"
    │   ├── NoDefaultModelError        "no-default-model"     the path names no model, and there are several
    │   ├── NotFoundError              "not-found"            no such path
    │   ├── WrongMethodError           "wrong-method"         carries the methods that work
    │   ├── TooLargeError              "too-large"            a body above the limit
    │   ├── EncodingError              "unsupported-encoding" a body's coding or type that is not read
    │   ├── ForbiddenError             "forbidden"            a command this port does not take from anybody
    │   └── NotOfferedError            "not-offered"          a whole endpoint of a protocol that is not here
    ├── RunError                       "run-failed"           the model's graph failed on this request
    ├── UnanswerableError              "unanswerable"         the answer cannot be written in this form
    ├── NotReadyError                  "not-ready"            starting, stopping, or the version is gone
    │   └── OverBudgetError            "over-budget"          no room in memory for a version, nor to be had
    ├── OverloadedError                "overloaded"           more work than can be done now
    │   ├── QueueFullError             "queue-full"           as much waits for this version as may
    │   └── LateError                  "too-late"             it would not be its turn within its time
    ├── ExpiredError                   "deadline-exceeded"    its time was up before it could be run
    ├── LogFullError                   "log-full"             a label that could not be kept
    │   └── NotLoggedError             "not-logged"           a prediction that could not be, and had to be
    └── LoadError                      "load-failed"          a version that cannot be served
        └── IncompatibleSignatureError "incompatible-signature"

Which status a client sees is decided in one place, `responses.STATUS`.
"""

from typing import ClassVar

from groundwork.errors import DriftgateError


class Refusal(DriftgateError):  # noqa: N818  a refusal is an answer, not a fault of ours
    """A request that is not answered with a prediction, through no fault of the model or of ours."""

    code: ClassVar[str] = "refused"


class MalformedError(Refusal):
    """A body or header that is not what the protocol says."""

    code: ClassVar[str] = "malformed"


class InvalidInputError(Refusal):
    """A well-formed request whose tensors do not fit the model's signature."""

    code: ClassVar[str] = "invalid-input"


class UnsupportedError(Refusal):
    """A part of the protocol that is not offered here."""

    code: ClassVar[str] = "unsupported"


class UnknownModelError(Refusal):
    """A model name that no route names."""

    code: ClassVar[str] = "unknown-model"


class UnknownVersionError(Refusal):
    """A version that the registry does not hold."""

    code: ClassVar[str] = "unknown-version"


class NoDefaultModelError(Refusal):
    """A path that names no model, while several are served and none of them is the default."""

    code: ClassVar[str] = "no-default-model"


class NotFoundError(Refusal):
    """A path that means nothing here."""

    code: ClassVar[str] = "not-found"


class WrongMethodError(Refusal):
    """A path that exists, asked with a method it does not take; `allow` lists those it takes."""

    code: ClassVar[str] = "wrong-method"

    def __init__(self, message: str, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class TooLargeError(Refusal):
    """A body above the configured limit."""

    code: ClassVar[str] = "too-large"


class EncodingError(Refusal):
    """A Content-Encoding or a Content-Type that is not read here."""

    code: ClassVar[str] = "unsupported-encoding"


class ForbiddenError(Refusal):
    """A command that a port without keys takes from its own machine only."""

    code: ClassVar[str] = "forbidden"


class NotOfferedError(Refusal):
    """An endpoint that a protocol has and that is not offered here, whatever is asked of it."""

    code: ClassVar[str] = "not-offered"


class RunError(DriftgateError):
    """The model's graph raised on a request that fits its signature."""

    code: ClassVar[str] = "run-failed"


class UnanswerableError(DriftgateError):
    """A prediction was made, but the form the client asked for cannot carry it."""

    code: ClassVar[str] = "unanswerable"


class NotReadyError(DriftgateError):
    """This worker cannot answer now; another time it may."""

    code: ClassVar[str] = "not-ready"


class OverloadedError(DriftgateError):
    """There is more to do than can be done now; `retry_after` is in whole seconds, from what was measured."""

    code: ClassVar[str] = "overloaded"

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFullError(OverloadedError):
    """As many requests wait for this version as may."""

    code: ClassVar[str] = "queue-full"


class LateError(OverloadedError):
    """What waits before this request leaves it no time within its deadline."""

    code: ClassVar[str] = "too-late"


class ExpiredError(DriftgateError):
    """The client's deadline passed, or cannot be met even by a run that begins at once."""

    code: ClassVar[str] = "deadline-exceeded"


class OverBudgetError(NotReadyError):
    """A version for which `runs.max_bytes` leaves no room, while others may not leave."""

    code: ClassVar[str] = "over-budget"


class LogFullError(DriftgateError):
    """A label for which the log has no room now; the client keeps it and sends it again."""

    code: ClassVar[str] = "log-full"


class NotLoggedError(LogFullError):
    """A prediction that was made and could not be logged, where no answer is given without."""

    code: ClassVar[str] = "not-logged"


class LoadError(DriftgateError):
    """A version that cannot be served: its artifact, its graph or its tensors."""

    code: ClassVar[str] = "load-failed"


class IncompatibleSignatureError(LoadError):
    """A version that would not accept what the version it is to join or follow accepts."""

    code: ClassVar[str] = "incompatible-signature"
