"""The demo's retraining job: export the labelled window, train, validate, publish.

It uses the product as anybody would: `driftgate log export` for the rows, `registry_client.publish` for the
version. As a program of its own it makes one version after another from one window:

    python -m driftgate.demo.retraining --models DIR --data DIR --since TIME --rows N --seed N RESULT.json…

A result named `mistake-…` is of a job that swaps two columns before training, as a careless one would;
nothing in its own validation can notice, for the held-out rows are swapped as well.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driftgate.demo import training
from driftgate.demo.world import COLUMNS, NUMBERS
from driftgate.errors import DemoError
from groundwork.errors import DriftgateError
from groundwork.files import write_atomic

if TYPE_CHECKING:
    import pandas as pd

WAIT_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.5
NICE: Final = 5
MISTAKE: Final = "mistake"
EARLIEST: Final = 0.25
"""The share of early rows that is left out, of those that are used."""


class Result(msgspec.Struct, frozen=True):
    """What came of a job: its rows, and accuracy on held-out ones, of the new version and the present one."""

    version: str
    rows: int
    held_out: int
    accuracy: float
    present_accuracy: float


class Order(msgspec.Struct, frozen=True):
    """What a job is asked: where, since when (RFC 3339), how many labelled rows it wants, and the seed."""

    models: Path
    data: Path
    since: str
    rows: int
    seed: int


def make(order: Order, exported: pd.DataFrame, *, mistake: bool = False) -> Result:
    """Train on the window, validate and publish.

    Raises:
        DemoError: the new version is worse than what answers now.
    """
    labels = exported["label"].astype("int64")
    frame = exported[list(COLUMNS)].astype(dict.fromkeys(NUMBERS, "float32"))
    if mistake:
        frame = training.mistaken(frame)
    trained = training.train(frame, labels, seed=order.seed)
    present = exported.loc[trained.rows.index]
    agreed = present[training.OUTPUT].astype("int64") == present["label"].astype("int64")
    present_accuracy = float(agreed.mean())
    if trained.accuracy < present_accuracy - training.TOLERATED_LOSS:
        raise DemoError(
            f"the new version is right on {trained.accuracy:.1%} of the held-out rows, what answers now on "
            f"{present_accuracy:.1%}; not published"
        )
    manifest = training.publish(trained, order.models)
    return Result(
        version=manifest.version,
        rows=len(exported),
        held_out=len(trained.rows),
        accuracy=trained.accuracy,
        present_accuracy=present_accuracy,
    )


def labelled_window(order: Order, table: Path) -> pd.DataFrame:
    """The window's latest labelled rows, as soon as there are enough of them.

    Its earliest are left out: an onset is an estimate, and they may be from before the change.
    """
    import pandas as pd  # noqa: PLC0415  loads slowly

    deadline = time.monotonic() + WAIT_SECONDS
    pause = threading.Event()
    while True:
        summary = export(order, table)
        if summary["labelled"] >= order.rows * (1 + EARLIEST):
            exported = pd.read_parquet(table).sort_values("time", kind="stable")
            return exported[exported["label"].notna()].tail(order.rows).reset_index(drop=True)
        if time.monotonic() > deadline:
            raise DemoError(
                f"wanted {order.rows} labelled rows since {order.since}, found {summary['labelled']} of "
                f"{summary['rows']} rows within {WAIT_SECONDS:g} s"
            )
        pause.wait(LOOK_SECONDS)


def export(order: Order, table: Path) -> Any:
    """`driftgate log export`, as a command of its own; what it counted."""
    command = [
        *(sys.executable, "-P", "-m", "driftgate", "log", "export", str(table)),
        *("--model", training.MODEL, "--since", order.since, "--data", str(order.data), "--json"),
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        raise DemoError(f"`driftgate log export` failed: {done.stderr.decode().strip()}")
    return msgspec.json.decode(done.stdout)


def main() -> int:
    """The job as a program; its exit code. It stands back where others need the processor."""
    parser = argparse.ArgumentParser(prog="python -m driftgate.demo.retraining", description="Retrain.")
    parser.add_argument(
        "results", type=Path, nargs="+", help="where each version's result is written, as JSON"
    )
    for name, kind in (("models", Path), ("data", Path), ("since", str), ("rows", int), ("seed", int)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    given = vars(parser.parse_args())
    results: list[Path] = given.pop("results")
    order = Order(**given)
    os.nice(NICE)
    try:
        exported = labelled_window(order, results[0].with_suffix(".parquet"))
        for place, result in enumerate(results):
            asked = msgspec.structs.replace(order, seed=order.seed + place)
            done = make(asked, exported, mistake=result.name.startswith(MISTAKE))
            write_atomic(result, msgspec.json.encode(done))
    except DriftgateError as error:
        sys.stderr.write(f"retraining: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
