"""`driftgate demo`: the whole ring, once, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from driftgate.extras import require
from driftgate.verbs import TaughtCommand


@click.command(
    cls=TaughtCommand,
    examples=(
        "driftgate demo",
        "driftgate demo --seed 7 --keep",
        "driftgate demo --sabotage v3-bad",
    ),
)
@click.option(
    "--seed", type=int, default=1, show_default=True, metavar="N", help="Another seed, other people."
)
@click.option("--keep", is_flag=True, help="Leave everything running at the end, and print where.")
@click.option(
    "--sabotage",
    type=click.Choice(("labels", "v3-bad", "v4-good")),
    help="No labels, a bad version 3, or a good version 4: the demo then fails, and says at what.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-run"),
    show_default=True,
    metavar="DIR",
    help="Where all of its files go.",
)
def demo(*, seed: int, keep: bool, sabotage: str | None, folder: Path) -> int:
    """Watch the whole ring close on a small world, in two minutes.

    A loan model is trained, published and served; the world changes; the monitor notices and calls a training
    job; the new version comes to traffic on evidence; a good one is promoted after it and a bad one is rolled
    back. Real processes, real HTTP, on free ports of this machine; everything it writes is in one folder.
    Exit code 0 only if every fact it waits for happened.
    """
    require("monitor", "publish", "export", "demo")
    from driftgate.demo.play import Options, Sabotage  # noqa: PLC0415  the demo's libraries are extras
    from driftgate.demo.run import run  # noqa: PLC0415  the same

    chosen = next((kind for kind in get_args(Sabotage) if kind == sabotage), None)
    return run(Options(seed=seed, folder=folder, keep=keep, sabotage=chosen))
