"""What the command itself refuses or fails at; the packages below bring their own errors.

    DriftgateError
    └── CommandError             "command"            the verb could not do what it says
        ├── RemoteError          "remote"             an API answered no; carries its code
        │   └── UnreachableError "unreachable"        nobody answers at that address
        ├── MissingExtraError    "missing-extra"      a verb whose libraries are not installed
        ├── ProgramError         "program-failed"     gateway or monitor did not start, or would not stay up
        └── DemoError            "demo-fact-missing"  a fact of the demo did not happen

Rules: one line, for a person at a terminal; `driftgate.__main__` puts the name of the command before it.
"""

from __future__ import annotations

from typing import ClassVar

from groundwork.errors import DriftgateError


class CommandError(DriftgateError):
    """A verb that could not do what it says."""

    code: ClassVar[str] = "command"


class RemoteError(CommandError):
    """An operator or monitor API that answered with an error; `remote_code` is the code it gave."""

    code: ClassVar[str] = "remote"

    def __init__(self, message: str, *, status: int, remote_code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.remote_code = remote_code


class UnreachableError(CommandError):
    """An API that nobody answers for."""

    code: ClassVar[str] = "unreachable"


class MissingExtraError(CommandError):
    """A verb whose optional libraries are not installed."""

    code: ClassVar[str] = "missing-extra"


class ProgramError(CommandError):
    """A program of ours that did not start, or would not stay up."""

    code: ClassVar[str] = "program-failed"


class DemoError(CommandError):
    """A fact of the demo that did not happen within its deadline."""

    code: ClassVar[str] = "demo-fact-missing"
