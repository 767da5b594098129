"""What a program that keeps running tells on its way, in the form that its settings ask for.

For eyes, where it answers is a table on standard output, and an error the command's one line. For machines
all of it is events on standard error, like everything the program says afterwards.
"""

from __future__ import annotations

from collections.abc import Callable

from groundwork.clock import SystemClock
from groundwork.errors import DriftgateError
from groundwork.logs import Log, MessageSettings, capture, program_log


def told(messages: MessageSettings, work: Callable[[Log], int]) -> int:
    """Do `work` with the program's log; its exit code, 1 for an error that was told as an event.

    Raises:
        DriftgateError: what `work` raises, where lines are for eyes: the command tells it.
    """
    log = program_log(messages, SystemClock())
    capture(log)
    try:
        return work(log)
    except DriftgateError as error:
        if messages.form == "text":
            raise
        log.error("failed", code=error.code, fault=error)  # noqa: TRY400  our own log writes one line
        return 1


def place_text(place: str) -> str:
    """A registry's place, and that no model is there yet where that is so."""
    from registry_client.backends import open_registry  # noqa: PLC0415  only a start that answers needs it

    try:
        held = open_registry(place).models()
    except DriftgateError:  # the gateway says so itself, where it matters
        return place
    return place if held else f"{place}, where none is yet: `driftgate push` publishes one"


def gateway_places(
    *, http: str, grpc: str | None, operator: str, status: str, models: str, workers: int
) -> list[tuple[str, str, str]]:
    """What a gateway answers for, where, and a word on it: rows of the table for eyes.

    `status` is how one asks for a rollout's.
    """
    by_grpc = [] if grpc is None else [("gRPC", grpc, "the same predictions by gRPC")]
    return [
        ("predictions", f"{http}/v2", f"{workers} workers, models from {place_text(models)}"),
        *by_grpc,
        ("endpoints", f"{http}/docs", "all of them, to try in a browser"),
        ("rollouts", operator, status),
    ]


def greet(messages: MessageSettings, log: Log, show: Callable[[], None], **facts: object) -> None:
    """Say that everything answers: by `show`, or for machines as an event with these facts."""
    if messages.form == "text":
        show()
    else:
        log.info("ready", **facts)
