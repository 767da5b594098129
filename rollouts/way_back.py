"""Where an undo leads that names no version.

Rules: it is one change back, and it never follows another way back. Of two people who both undo the same bad
release the second would otherwise bring it back, or drop the good version before it; whoever means that names
the version. Pure: the route and its last change in, a version or a refusal out.
"""

from typing import Final

from groundwork.dates import rfc3339
from rollouts import edits
from rollouts.errors import GoneBackError
from rollouts.history import Entry
from rollouts.route import Route

BACK: Final = frozenset({"abort", "undo"})
"""The verbs of going back."""


def is_change(entry: Entry) -> bool:
    """Whether other versions may answer since this row of history, whatever their shares."""
    before, after = entry.before, entry.after
    if before is None or after is None:
        return after is not before
    return (before.stable, before.candidate) != (after.stable, after.candidate)


def way_back(route: Route, last: Entry | None) -> str:
    """The version that is to answer everything.

    `last` is the newest row that `is_change`, read after `route`: a route newer than it would hide an undo.

    Raises:
        GoneBackError: The last change was a way back already.
        RouteError: There is nothing to go back to.
    """
    if last is not None and last.verb in BACK and last.after is not None:
        left = last.after.previous
        remedy = "" if left is None else f"; if version {left} is wanted, name it: undo --to {left} (`to`)"
        raise GoneBackError(
            f"model {route.model!r}: {last.actor[:80]!r} has gone back to version {last.after.stable} "
            f"already ({last.verb}, {rfc3339(last.at)}); nothing was changed{remedy}"
        )
    return route.stable if route.candidate is not None else edits.previous_of(route)
