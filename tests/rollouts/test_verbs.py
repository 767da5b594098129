"""The verbs: what each does to the route and its rollout, and how one is done against a store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from groundwork.clock import FakeClock
from groundwork.steady import Steady
from rollouts import edits, verbs
from rollouts.errors import ConflictError, RouteError
from rollouts.history import Entry
from rollouts.pilot import Decision, Kind
from rollouts.rollout import Hold, Rollout, RolloutSpec, Step
from rollouts.route import FULL, Route, weight_from_percent
from rollouts.store import SqliteStore
from rollouts.verbs import Change, Verb
from rollouts.way_back import is_change, way_back

SPEC = RolloutSpec(
    steps=(
        Step(shadow=100, hold=Hold(for_=0)),
        Step(weight=5, shadow=50, hold=Hold(for_=0)),
        Step(weight=50, hold=Hold(for_=0)),
    )
)
ENTRY = Entry(actor="operator:ada", verb="", reason="because")
FIVE = weight_from_percent(5)


def after(*done: Verb) -> Change:
    """What stands after some verbs, from a model at version 1."""
    change = Change(edits.first("m", "1"), None, "first")
    for now, verb in enumerate(done):
        live = change.rollout if change.rollout is not None and change.rollout.live else None
        change = verb(change.route, live, now)
    return change


class AnyVerbs(RuleBasedStateMachine):
    """Verbs in any order: route and rollout never disagree, and going back is never refused."""

    @initialize()
    def begin(self) -> None:
        """A model at version 1 without a rollout."""
        self.route = edits.first("m", "1")
        self.rollout: Rollout | None = None
        self.now = 0
        self.last: Entry | None = None

    def _do(self, verb: Verb) -> bool:
        self.now += 1
        try:
            change = verb(self.route, self.rollout, self.now)
        except RouteError:
            return False
        assert change.route.revision == self.route.revision + 1
        row = Entry(actor="operator:ada", verb=change.verb, before=self.route, after=change.route)
        self.last = row if is_change(row) else self.last
        self.route = change.route
        self.rollout = change.rollout if change.rollout is not None and change.rollout.live else None
        return True

    @rule(candidate=st.sampled_from(["1", "2", "3"]))
    def start(self, candidate: str) -> None:
        """Begin a rollout where none is live."""
        allowed = self.rollout is None and self.route.candidate is None and candidate != self.route.stable
        assert self._do(verbs.start(SPEC, candidate)) == allowed

    @rule(verb=st.sampled_from([verbs.advance, verbs.promote, verbs.finish, verbs.resume, verbs.pause("x")]))
    def move(self, verb: Verb) -> None:
        """Try to move on."""
        self._do(verb)

    @rule(weight=st.integers(0, FULL), hold=st.booleans())
    def set_weight(self, weight: int, hold: bool) -> None:  # noqa: FBT001  drawn
        """Set a weight by hand."""
        assert self._do(verbs.set_weight(weight, hold=hold)) == (self.route.candidate is not None)

    @rule()
    def abort(self) -> None:
        """Whatever rollout is live can be aborted, and then its stable answers everything."""
        back_to = self.rollout.stable if self.rollout is not None else None
        assert self._do(verbs.abort("x")) or back_to is None
        if back_to is not None:
            assert (self.route.stable, self.route.candidate, self.rollout) == (back_to, None, None)

    @rule()
    def undo(self) -> None:
        """Wherever something can be gone back from it is, once: a second undo is told of the first."""
        before = self.route
        back_to = before.previous if before.candidate is None else before.stable
        could = back_to is not None and (self.last is None or self.last.verb not in ("abort", "undo"))
        assert self._plain_undo() == could
        if could:
            assert (self.route.stable, self.route.candidate, self.rollout) == (back_to, None, None)
            assert not self._plain_undo()

    def _plain_undo(self) -> bool:
        try:
            to = way_back(self.route, self.last)
        except RouteError:
            return False
        return self._do(verbs.undo(to, "x"))

    @rule()
    def undo_by_name(self) -> None:
        """The previous version can always be gone to, and from there to the one that was left."""
        before = self.route
        if before.previous is not None and before.previous != before.candidate:
            assert self._do(verbs.undo(before.previous, "x"))
            assert self._do(verbs.undo(before.stable, "x"))
            assert (self.route.stable, self.route.previous) == (before.stable, before.previous)

    @invariant()
    def route_and_rollout_agree(self) -> None:
        """The route names the live rollout and none other."""
        if not hasattr(self, "rollout"):
            return
        assert self.route.rollout == (self.rollout.id if self.rollout is not None else None)
        if self.rollout is None:
            assert self.route.candidate is None
        elif self.rollout.state == "baking":
            assert (self.route.stable, self.route.previous) == (self.rollout.candidate, self.rollout.stable)
        else:
            assert (self.route.stable, self.route.candidate) == (self.rollout.stable, self.rollout.candidate)
            assert self.route.step == self.rollout.step


TestAnyVerbs = AnyVerbs.TestCase


def test_a_rollout_from_start_to_end() -> None:
    """Shadow, five percent, half, promotion, bake: each verb leaves the shares of its step."""
    done: list[Verb] = [verbs.start(SPEC, "2")]
    seen = [after(*done)]
    for verb in (verbs.advance, verbs.advance, verbs.promote, verbs.finish):
        done.append(verb)
        seen.append(after(*done))
    assert [(one.verb, one.route.weight, one.route.shadow_share, one.route.stable) for one in seen] == [
        ("start", 0, FULL, "1"),
        ("advance", FIVE, FULL // 2, "1"),
        ("advance", FULL // 2, 0, "1"),
        ("promote", 0, 0, "2"),
        ("finish", 0, 0, "2"),
    ]
    states = [one.rollout.state for one in seen if one.rollout is not None]
    assert states == ["progressing", "progressing", "progressing", "baking", "succeeded"]
    steps = [one.rollout.step_revision for one in seen[:4] if one.rollout is not None]
    assert steps == [2, 3, 4, 5]


def test_a_promotion_may_name_what_it_promotes() -> None:
    """Where that version is on trial it does what any promotion does."""
    done = [verbs.start(SPEC, "2"), verbs.advance]
    assert after(*done, verbs.promote_version("2")) == after(*done, verbs.promote)


def test_each_rollout_draws_its_own_requests() -> None:
    """The salt is the rollout's id, so a second rollout does not meet the first one's victims again."""
    first = after(verbs.start(SPEC, "2"))
    second = after(verbs.start(SPEC, "2"), verbs.abort(), verbs.start(SPEC, "2"))
    assert first.route.salt == "m-2-2"
    assert second.route.salt == "m-2-4"


def test_a_paused_rollout_goes_on_where_it_was_and_waits_anew() -> None:
    """Resuming counts a step's time from then on, its samples from where they were."""
    change = after(verbs.start(SPEC, "2"), verbs.advance, verbs.pause("lunch"), verbs.resume)
    assert change.rollout is not None
    assert (change.rollout.state, change.rollout.step, change.rollout.step_revision) == ("progressing", 1, 3)
    assert change.rollout.step_entered == 3
    paused = after(verbs.start(SPEC, "2"), verbs.pause("lunch"))
    assert paused.rollout is not None
    assert (paused.rollout.state, paused.rollout.reason) == ("paused", "lunch")


def test_the_steady_moment_is_that_of_the_step(store: SqliteStore) -> None:
    """A verb that enters a step, or lets it count anew, leaves the moment beside the time; no other does."""
    seen = []
    done: list[Verb] = [
        verbs.start(SPEC, "2"),
        verbs.pause("x"),
        verbs.resume,
        verbs.set_weight(FIVE),
        verbs.promote,
    ]
    for at, verb in enumerate(done, 1):
        change = verbs.apply(store, "m", verb, ENTRY, 5 + at, steady=Steady("boot", at))
        assert change.rollout is not None
        seen.append((change.rollout.step_entered, change.rollout.entered.at))
    assert seen == [(6, 1), (6, 1), (8, 3), (8, 3), (10, 5)]
    kept = store.active("m")
    assert kept is not None
    assert kept.entered == Steady("boot", 5)


def test_a_weight_set_by_hand_may_hold() -> None:
    """With hold the pilot leaves it alone until somebody resumes."""
    change = after(verbs.start(SPEC, "2"), verbs.set_weight(FIVE, hold=True))
    assert change.rollout is not None
    assert (change.route.weight, change.rollout.state, change.rollout.reason) == (
        FIVE,
        "paused",
        "held at 5 %",
    )


def test_what_was_promoted_and_aborted_is_not_gone_back_to() -> None:
    """After an abort out of the bake no undo brings the version back that was found bad."""
    done = [verbs.start(SPEC, "2"), verbs.promote, verbs.abort("v2 is bad")]
    change = after(*done)
    assert (change.verb, change.route.stable, change.route.previous) == ("abort", "1", None)
    with pytest.raises(RouteError, match="no previous version"):
        edits.previous_of(change.route)
    again = after(*done, verbs.start(SPEC, "2"), verbs.undo("1"))
    assert (again.route.stable, again.route.candidate, again.verb) == ("1", None, "undo")


def test_undo_in_a_step_drops_the_candidate() -> None:
    """It does what abort does, for nobody has blamed stable; by name it goes further back, and returns."""
    done = [verbs.start(SPEC, "2"), verbs.promote, verbs.finish, verbs.start(SPEC, "3"), verbs.advance]
    undone, aborted = after(*done, verbs.undo("2")).route, after(*done, verbs.abort()).route
    assert undone == aborted
    assert (undone.stable, undone.previous, undone.candidate) == ("2", "1", None)
    assert after(*done, verbs.undo("2"), verbs.undo("1")).route.stable == "1"
    assert after(*done, verbs.undo("1"), verbs.undo("2")).route.stable == "2"


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ([verbs.advance], "no rollout is live; start one first"),
        ([verbs.abort()], "nothing to abort"),
        ([verbs.promote], "nothing is being rolled out"),
        ([verbs.promote_version("2")], "nothing is being rolled out"),
        ([verbs.promote_version("1")], "version 1 is stable already, and nothing is on trial"),
        ([verbs.start(SPEC, "2"), verbs.promote_version("3")], "cannot promote version 3, version 2 is on"),
        ([verbs.start(SPEC, "2"), verbs.promote_version("1")], "cannot promote version 1, version 2 is on"),
        ([verbs.undo("1")], "is stable already"),
        ([verbs.undo("2")], "undo cannot lead to version 2, only to 1"),
        ([verbs.start(SPEC, "2"), verbs.start(SPEC, "3")], "rollout m-2-2 is progressing; abort it"),
        ([verbs.start(SPEC, "2"), verbs.resume], "only a paused one"),
        ([verbs.start(SPEC, "2"), verbs.promote, verbs.pause()], "it is baking"),
        ([verbs.start(SPEC, "2"), verbs.advance, verbs.advance, verbs.advance], "is the last; promote it"),
        ([verbs.start(SPEC, "1")], "stable already"),
        ([verbs.unload, verbs.resume], "cannot resume, it is unloaded: load it first"),
        ([verbs.start(SPEC, "2"), verbs.finish], "promote or abort it first"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_way_out(done: list[Verb], said: str) -> None:
    """Each refusal says why and what to do instead."""
    with pytest.raises(RouteError, match=said):
        after(*done)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """A store that knows the model m at version 1."""
    opened = SqliteStore(tmp_path / "rollouts.db", FakeClock())
    opened.ensure_first("m", "1", "gateway")
    yield opened
    opened.close()


def test_a_verb_is_done_by_compare_and_swap(store: SqliteStore) -> None:
    """Route, rollout and history row are there, and the row names verb, actor, reason and rollout."""
    change = verbs.apply(store, "m", verbs.start(SPEC, "2"), ENTRY, 5)
    assert store.route("m") == change.route
    assert store.active("m") == change.rollout
    row = store.latest("m", 1)[0]
    assert (row.actor, row.verb, row.reason, row.rollout) == ("operator:ada", "start", "because", "m-2-2")
    verbs.apply(store, "m", verbs.abort("no"), ENTRY, 6)
    assert store.active("m") is None
    ended = store.rollout("m-2-2")
    assert ended is not None
    assert (ended.state, ended.reason) == ("rolled-back", "no")
    assert store.latest("m", 1)[0].rollout == "m-2-2"


class Overtaken:
    """A store where somebody else edits between the reading and the writing, a number of times."""

    def __init__(self, store: SqliteStore, times: int) -> None:
        self.store = store
        self.times = times

    def route(self, model: str) -> Route | None:
        """Read from the store."""
        return self.store.route(model)

    def active(self, model: str) -> Rollout | None:
        """Read from the store."""
        return self.store.active(model)

    def edit(
        self, model: str, expected_revision: int, route: Route, entry: Entry, rollout: Rollout | None = None
    ) -> Route:
        """Let another edit come first."""
        standing = self.store.route(model)
        assert standing is not None
        if self.times:
            self.times -= 1
            self.store.edit(model, standing.revision, edits.touch(standing), replace(entry, actor="pilot"))
        return self.store.edit(model, expected_revision, route, entry, rollout)


def test_a_lost_race_is_run_again_with_what_stands_then(store: SqliteStore) -> None:
    """An operator's abort does not fail because the pilot moved at the same moment."""
    verbs.apply(store, "m", verbs.start(SPEC, "2"), ENTRY, 5)
    change = verbs.apply(Overtaken(store, 3), "m", verbs.abort(), ENTRY, 6)
    assert change.route.revision == 6
    assert change.route.candidate is None
    with pytest.raises(ConflictError):
        verbs.apply(Overtaken(store, verbs.ATTEMPTS), "m", verbs.start(SPEC, "2"), ENTRY, 7)


def test_a_decision_is_never_carried_out_on_another_revision(store: SqliteStore) -> None:
    """What the pilot decided about one revision falls to the ground when another stands."""
    judged = verbs.apply(store, "m", verbs.start(SPEC, "2"), ENTRY, 5).route
    verbs.apply(store, "m", verbs.pause("wait"), ENTRY, 6)
    with pytest.raises(ConflictError, match="decision was made at revision 2, revision 3 stands"):
        verbs.apply(store, "m", verbs.advance, ENTRY, 7, expected=judged)
    with pytest.raises(ConflictError):
        verbs.apply(Overtaken(store, 1), "m", verbs.advance, ENTRY, 7, expected=store.route("m"))


def test_a_model_nobody_saw_has_no_route_to_edit(store: SqliteStore) -> None:
    """The message says how a model gets its first route."""
    with pytest.raises(RouteError, match="there is no route for it; publish a version"):
        verbs.apply(store, "n", verbs.start(SPEC, "2"), ENTRY, 5)


@pytest.mark.parametrize("kind", ["advance", "promote", "finish", "pause", "abort", "hold"])
def test_every_decision_has_its_verb(kind: Kind) -> None:
    """What the pilot decides is carried out by the verb of the same name; to hold is to do nothing."""
    decision = Decision(kind, "why", verdict="PASS", n=7, evidence={"x": 1})
    verb = verbs.of_decision(decision)
    assert (verb is None) == (kind == "hold")
    entry = verbs.entry_of(decision, "pilot")
    assert (entry.actor, entry.reason, entry.verdict, entry.n, entry.evidence) == (
        "pilot",
        "why",
        "PASS",
        7,
        {"x": 1},
    )
    if verb is not None:
        begun = [verbs.start(SPEC, "2"), *([verbs.promote] if kind == "finish" else [])]
        assert after(*begun, verb).verb == kind
