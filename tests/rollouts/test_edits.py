"""The edits of a route: pure, checked, one revision each."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rollouts import edits
from rollouts.errors import GoneBackError, RouteError
from rollouts.route import FULL, Route, arm, check

VERSIONS = st.sampled_from(["1", "2", "3", "4"])
SHARES = st.one_of(st.sampled_from([0, 1, FULL // 2, FULL]), st.integers(-1, FULL + 1))


class AnyEdits(RuleBasedStateMachine):
    """Edits in any order, sensible or not; a refused one must leave everything as it was."""

    route: Route

    @initialize(stable=VERSIONS)
    def begin(self, stable: str) -> None:
        """A model is seen for the first time."""
        self.route = edits.first("m", stable)

    def _try(self, after: Callable[[], Route]) -> bool:
        before = msgspec.json.encode(self.route)
        try:
            route = after()
        except RouteError:
            assert msgspec.json.encode(self.route) == before
            return False
        assert route.revision == self.route.revision + 1
        self.route = route
        return True

    @rule(candidate=VERSIONS, weight=SHARES, share=SHARES)
    def start(self, candidate: str, weight: int, share: int) -> None:
        """Start a rollout by hand or of a spec."""
        self._try(
            lambda: edits.start(
                self.route, candidate, weight=weight, shadow_share=share, rollout="r", salt="r"
            )
        )

    @rule(weight=SHARES)
    def set_weight(self, weight: int) -> None:
        """Give the candidate another share."""
        if self._try(lambda: edits.set_weight(self.route, weight)):
            assert self.route.weight == weight

    @rule(step=st.integers(0, 3), weight=SHARES, share=SHARES)
    def enter_step(self, step: int, weight: int, share: int) -> None:
        """Enter another step."""
        if self._try(lambda: edits.enter_step(self.route, step, weight=weight, shadow_share=share)):
            assert (self.route.step, self.route.shadow_share) == (step, share)

    @rule()
    def promote(self) -> None:
        """Make the candidate stable; the old stable is what undo returns to."""
        before = self.route
        if self._try(lambda: edits.promote(before)):
            assert (self.route.stable, self.route.previous) == (before.candidate, before.stable)
            assert edits.undo(self.route, before.stable).stable == before.stable

    @rule()
    def abort(self) -> None:
        """Drop whatever is being tried; possible whenever something is."""
        before = self.route
        could = before.candidate is not None or before.shadow is not None
        assert self._try(lambda: edits.abort(before)) == could
        if could:
            previous = before.previous if before.previous != before.candidate else None
            assert (self.route.stable, self.route.previous) == (before.stable, previous)
            assert (self.route.candidate, self.route.shadow) == (None, None)

    @rule(to=VERSIONS)
    def undo(self, to: str) -> None:
        """Go back to the version that is named, and said again, as another would, it changes nothing more."""
        before = self.route
        behind = before.previous if before.previous != before.candidate else None
        could = to == behind or (to == before.stable and before.candidate is not None)
        assert self._try(lambda: edits.undo(before, to)) == could
        if could:
            assert (self.route.stable, self.route.candidate, self.route.weight) == (to, None, 0)
            assert not self._try(lambda: edits.undo(self.route, to))
        if could and to != before.stable:
            assert edits.undo(self.route, before.stable).stable == before.stable

    @rule()
    def take_back(self) -> None:
        """Go back from what was promoted; nothing is left to go forward to again."""
        before = self.route
        assert self._try(lambda: edits.take_back(before)) == (before.previous is not None)
        if before.previous is not None:
            assert (self.route.stable, self.route.previous) == (before.previous, None)

    @rule()
    def finish_or_touch(self) -> None:
        """End a bake, or pause and resume."""
        self._try(lambda: edits.finish(self.route))
        assert self._try(lambda: edits.touch(self.route))

    @invariant()
    def somebody_answers(self) -> None:
        """The document may stand, survives being written, and every bucket has an answering version."""
        assert check(self.route).stable
        assert msgspec.json.decode(msgspec.json.encode(self.route), type=Route) == self.route
        for place in (0, FULL // 2, FULL - 1):
            answering = self.route.candidate if arm(self.route, place) == "candidate" else self.route.stable
            assert answering
        assert self.route.weight == 0 or self.route.candidate is not None


TestAnyEdits = AnyEdits.TestCase


def test_a_second_rollout_is_refused_while_one_is_live() -> None:
    """Two candidates at once are never split on one route."""
    route = edits.start(edits.first("m", "1"), "2")
    with pytest.raises(RouteError, match="version 2 is being rolled out already"):
        edits.start(route, "3")


def test_undo_leads_where_it_says() -> None:
    """To stable a candidate is dropped, to previous stable is left too; said twice it changes nothing."""
    route = edits.start(edits.promote(edits.start(edits.first("m", "1"), "2")), "3", weight=FULL, rollout="r")
    back = edits.undo(route, "2")
    assert (back.stable, back.candidate, back.weight, back.rollout) == ("2", None, 0, None)
    further = edits.undo(route, "1")
    assert (further.stable, further.previous, further.candidate) == ("1", "2", None)
    with pytest.raises(GoneBackError, match="version 1 is stable already, and nothing is on trial"):
        edits.undo(further, "1")


def test_undo_never_brings_a_candidate_to_everybody() -> None:
    """A candidate that is the previous version, or the only other one, can only be dropped."""
    tried_again = edits.start(edits.undo(edits.promote(edits.start(edits.first("m", "1"), "2")), "1"), "2")
    for route in (tried_again, edits.start(edits.first("m", "1"), "2", weight=FULL)):
        back = edits.undo(route, "1")
        assert (back.stable, back.candidate, back.weight, back.previous) == ("1", None, 0, None)
        with pytest.raises(
            RouteError, match="undo cannot lead to version 2, only to 1; a candidate is promoted"
        ):
            edits.undo(route, "2")


def test_a_refused_edit_names_the_revision_that_stands() -> None:
    """A person reads the number that `rollout status` shows, not one that was never written."""
    with pytest.raises(RouteError, match="route of 'm' at revision 1: candidate 1 is stable already"):
        edits.start(edits.first("m", "1"), "1")


def test_a_bake_ends_only_without_a_candidate() -> None:
    """What has a candidate is not finished."""
    with pytest.raises(RouteError, match="promote or abort it first"):
        edits.finish(edits.start(edits.first("m", "1"), "2"))


def test_nothing_is_begun_with_a_model_that_is_unloaded() -> None:
    """A start says what comes first, as does what needs a candidate; after an undo it is unloaded still."""
    route = edits.unload(edits.promote(edits.start(edits.first("m", "1"), "2")))
    said = r"it is unloaded: load it first \(POST /v2/repository/models/m/load\)"
    with pytest.raises(RouteError, match=said):
        edits.start(route, "3")
    with pytest.raises(RouteError, match=said):
        edits.promote(route)
    back = edits.undo(route, "1")
    assert (back.stable, back.unloaded) == ("1", True)
    with pytest.raises(RouteError, match="abort or promote it before unloading"):
        edits.unload(edits.start(edits.first("m", "1"), "2"))


def test_what_lets_a_version_answer_more_is_told_from_going_back() -> None:
    """A start, more weight and a promotion want a way back; less weight and what goes back do not."""
    first = edits.first("m", "1")
    begun = edits.start(first, "2", weight=FULL // 2)
    assert edits.exposes(first, begun)
    assert edits.exposes(begun, edits.set_weight(begun, FULL))
    assert edits.exposes(begun, edits.promote(begun))
    assert not edits.exposes(begun, edits.set_weight(begun, 1))
    assert not edits.exposes(begun, edits.abort(begun))
    assert not edits.exposes(begun, edits.touch(begun))
