"""The judge: differences of absolute totals, nothing twice, nothing lost, and one evidence of all metrics."""

import math
from pkgutil import resolve_name

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rollouts import judge
from rollouts.errors import EvidenceError, SpecError
from rollouts.evidence import ArmCounts, Observation, PairTotals
from rollouts.metric import Tick, settle
from rollouts.rollout import Errors, MetricSpec, Rollout, RolloutSpec
from rollouts.verdict import Call, Verdict

SPEC = RolloutSpec()
ROLLOUT = Rollout(id="m-2-2", model="m", stable="1", candidate="2", spec=SPEC, first_revision=2)
ARMS = ("stable", "candidate", "shadow")


class Workers(RuleBasedStateMachine):
    """Workers that count, die, are folded away and read late or twice; a judge that restarts."""

    counts: dict[int, dict[tuple[int, str], ArmCounts]]

    @initialize()
    def begin(self) -> None:
        """A judge without evidence and one worker."""
        self.state, self.seen = judge.begin(SPEC)
        self.counts = {1: {}}
        self.gone: set[int] = set()
        self.pairs: dict[int, PairTotals] = {}
        self.readings = [Observation(counts={})]
        self.verdicts: tuple[Verdict, ...] = ()

    @rule(
        worker=st.integers(1, 3),
        revision=st.integers(1, 4),
        arm=st.sampled_from(ARMS),
        requests=st.integers(0, 300),
        errors=st.integers(0, 9),
    )
    def count(self, worker: int, revision: int, arm: str, requests: int, errors: int) -> None:
        """A live worker answers some requests."""
        if worker not in self.gone:
            mine = self.counts.setdefault(worker, {})
            former = mine.get((revision, arm), ArmCounts())
            mine[revision, arm] = ArmCounts(former.requests + requests + errors, former.errors + errors)

    @rule(revision=st.integers(1, 4), new=st.tuples(*[st.integers(0, 9)] * 4))
    def label(self, revision: int, new: tuple[int, int, int, int]) -> None:
        """The monitor publishes new absolute pair totals."""
        former = self.pairs.get(revision, PairTotals("m", revision, "1", "2"))
        right, stable, candidate, wrong = new
        self.pairs[revision] = msgspec.structs.replace(
            former,
            both_right=former.both_right + right,
            only_stable=former.only_stable + stable,
            only_candidate=former.only_candidate + candidate,
            both_wrong=former.both_wrong + wrong,
        )

    @rule()
    def read(self) -> None:
        """Somebody reads every slot that is there, and the judge takes it in."""
        strangers = (PairTotals("other", 2, "1", "2", 99), PairTotals("m", 2, "1", "3", 99))
        counts = {worker: dict(strata) for worker, strata in self.counts.items() if worker not in self.gone}
        self.readings.append(Observation(counts=counts, pairs=(*self.pairs.values(), *strangers)))
        self._take(self.readings[-1])

    @rule(worker=st.integers(1, 3))
    def fold_away(self, worker: int) -> None:
        """A dead worker's slot, read to its end, disappears."""
        self.read()
        self.gone.add(worker)

    @precondition(lambda self: len(self.readings) > 1)
    @rule(age=st.integers(1, 5))
    def read_again(self, age: int) -> None:
        """An old reading of requests comes a second time."""
        old = self.readings[-min(age, len(self.readings) - 1)]
        self._take(msgspec.structs.replace(old, pairs=()))

    @rule()
    def restart(self) -> None:
        """The judge's process ends and another one takes up the checkpoint."""
        self.state, self.seen = judge.decode(SPEC, *judge.encode(self.state, self.seen))

    def _take(self, observation: Observation) -> None:
        self.state, self.seen, self.verdicts = judge.judge(ROLLOUT, self.state, self.seen, observation)

    @invariant()
    def everything_is_counted_once(self) -> None:
        """After a reading the judge has exactly what all workers, living and dead, ever counted."""
        if not hasattr(self, "readings"):
            return
        self.read()
        errors, accuracy = self.verdicts
        assert errors.detail["candidate_requests"] == self._sum("candidate") + self._sum("shadow")
        assert errors.detail["stable_requests"] == self._sum("stable")
        assert accuracy.n == sum(one.pairs for one in self.pairs.values() if one.revision >= 2)
        again = judge.judge(ROLLOUT, self.state, self.seen, self.readings[-1])
        assert again == (self.state, self.seen, self.verdicts)

    def _sum(self, arm: str) -> int:
        return sum(
            counts.requests
            for strata in self.counts.values()
            for (revision, name), counts in strata.items()
            if name == arm and revision >= 2
        )


TestWorkers = Workers.TestCase


@pytest.mark.parametrize("name", judge.METRICS)
def test_every_metric_keeps_its_interface(name: str) -> None:
    """A new metric: no data is OPEN on both sides, states are values, and its state can be written."""
    metric = resolve_name(judge.METRICS[name])()
    settings = settle(metric, MetricSpec(name=name), Errors(), 1.0)
    assert metric.name == metric.defaults.name == name
    state = metric.start(settings)
    verdict = metric.verdict(state, settings)
    assert verdict.verdict is Call.OPEN
    assert verdict.fail_evidence == pytest.approx(0.0)
    assert verdict.pass_evidence == pytest.approx(0.0)
    assert verdict.reason.startswith(f"{name} OPEN: ")
    assert metric.update(state, Tick(offset=0)) == state
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=metric.state) == state


def test_without_evidence_every_verdict_is_open() -> None:
    """No data proves nothing, on either side, of any metric, nor of all together."""
    state, seen = judge.begin(SPEC)
    _, _, verdicts = judge.judge(ROLLOUT, state, seen, Observation(counts={}))
    assert [(one.metric, one.verdict, one.required) for one in verdicts] == [
        ("error-rate", Call.OPEN, True),
        ("accuracy", Call.OPEN, False),
    ]
    together = judge.rollback(verdicts, 0.05)
    assert together.evidence == pytest.approx(0.0)
    assert not together.reached


def test_a_metric_that_fails_by_itself_brings_all_together_over_the_threshold() -> None:
    """The weighted average of e-values reaches 1 / alpha when one metric reaches its own threshold."""
    for settings in judge.settings(SPEC):
        others = [
            Verdict(one.metric, weight=one.weight, fail_evidence=-1000)
            for one in judge.settings(SPEC)
            if one.metric != settings.metric
        ]
        alone = Verdict(settings.metric, weight=settings.weight, fail_evidence=settings.fail_threshold + 1e-9)
        together = judge.rollback([alone, *others], SPEC.decision.rollback_alpha)
        assert together.reached
        assert together.leading == alone


def test_several_metrics_may_prove_together_what_none_proves_alone() -> None:
    """Averaging keeps what each contributes: two just below their own thresholds are over the common one."""
    one, two = judge.settings(SPEC)
    nearly = math.log(0.6)
    verdicts = [
        Verdict(s.metric, weight=s.weight, fail_evidence=s.fail_threshold + nearly) for s in (one, two)
    ]
    assert judge.rollback(verdicts, 0.05).reached
    assert not judge.rollback(verdicts[:1], 0.05).reached


def test_weights_divide_the_budget_of_errors() -> None:
    """A metric with three quarters of the weight fails at 1 / (0.75 alpha)."""
    spec = RolloutSpec(metrics=(MetricSpec("error-rate", weight=3), MetricSpec("accuracy")))
    heavy, light = judge.settings(spec)
    assert heavy.fail_threshold == pytest.approx(-math.log(0.05 * 0.75))
    assert light.fail_threshold == pytest.approx(-math.log(0.05 * 0.25))
    assert heavy.pass_threshold == light.pass_threshold == pytest.approx(-math.log(0.05))


def test_a_number_a_metric_does_not_know_is_refused() -> None:
    """A setting that cannot be honoured is an error that names it."""
    with pytest.raises(SpecError, match=r"metric accuracy: it has no cap, cap: 0.01 was found"):
        judge.settings(RolloutSpec(metrics=(MetricSpec("accuracy", cap=0.01),)))
    with pytest.raises(SpecError, match=r"metric accuracy: a margin of at most 0.5 was wanted, 2 found"):
        judge.settings(RolloutSpec(metrics=(MetricSpec("accuracy", margin=2),)))
    with pytest.raises(SpecError, match="one of accuracy, error-rate was wanted"):
        judge.metric("latency")


def test_a_damaged_or_newer_checkpoint_is_refused_in_one_line() -> None:
    """Evidence that cannot be trusted is never guessed at."""
    state, seen = judge.encode(*judge.begin(SPEC))
    for bad_state, bad_seen in ((b"", seen), (state[:-3], seen), (state, b"\x01"), (state, seen[:-1])):
        with pytest.raises(EvidenceError):
            judge.decode(SPEC, bad_state, bad_seen)
    newer = msgspec.msgpack.encode({"metrics": {}, "version": 2})
    with pytest.raises(EvidenceError, match="version 1 was wanted, 2 found"):
        judge.decode(SPEC, newer, seen)
    with pytest.raises(EvidenceError, match="starts anew"):
        judge.decode(SPEC, msgspec.msgpack.encode({"metrics": {}}), seen)
