"""The errors the monitor raises on purpose; each message is one line that says what to do."""

from typing import ClassVar

from groundwork.errors import DriftgateError


class MonitorError(DriftgateError):
    """Anything the monitor refuses or fails at knowingly."""

    code: ClassVar[str] = "monitor"


class DetectorStateError(MonitorError):
    """A stored detector state that this version of the detector cannot continue from."""

    code: ClassVar[str] = "bad-detector-state"


class WebhookError(MonitorError):
    """A webhook that cannot be called as it is configured, or an event or delivery that does not exist."""

    code: ClassVar[str] = "bad-webhook"


class RequestError(MonitorError):
    """A call to the monitor's API that cannot be understood."""

    code: ClassVar[str] = "bad-request"


class UnknownError(MonitorError):
    """A call to the monitor's API that names something which does not exist."""

    code: ClassVar[str] = "not-found"
