"""`python -m loadtests.figures NAME`: one promised figure, measured against real processes, printed.

Every one starts what it needs on free loopback ports, in a folder of its own, and ends it. The exit code is 0
where the figure is within what docs/performance.md wants, and 1 where it is not: on a machine that does
something else besides that says more about the machine.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Mapping, Sequence
from typing import Final

FIGURES: Final[Mapping[str, str]] = {
    "start": "loadtests.figures.start:main",
    "swaps": "loadtests.figures.swaps:main",
    "shadow": "loadtests.figures.shadow:main",
    "stall": "loadtests.figures.stall:main",
    "workers": "loadtests.figures.workers:main",
}


def main(arguments: Sequence[str]) -> int:
    """Measure the figure that is named first; the rest are its own arguments."""
    if not arguments or arguments[0] not in FIGURES:
        print(f"usage: python -m loadtests.figures {'|'.join(FIGURES)} [--help]", file=sys.stderr)
        return 2
    found: int = pkgutil.resolve_name(FIGURES[arguments[0]])(arguments[1:])
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
