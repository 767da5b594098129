"""Rollout files: read in full or refused in one line that says where and what to do."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollouts.errors import SpecError
from rollouts.rollout import Bake, Errors, Guards, Hold, MetricSpec, RolloutSpec, Step
from rollouts.spec_file import lint, parse, read

SECTIONS = {
    (Step, "hold"),
    (RolloutSpec, "bake"),
    (RolloutSpec, "decision"),
    (RolloutSpec, "metrics"),
    (RolloutSpec, "guards"),
}
"""Keys of a rollout file whose own keys are listed instead."""

WHOLE = """
model: fraud
candidate: "43"
key: header:X-User-Id
steps:
  - shadow: 100
    hold: {for: 30s, samples: 50}
  - {weight: 0.5, shadow: 20%, hold: {for: 2m, samples: 200, pairs: 10, until: pass, max: 20m, on_max: abort}}
bake: {for: 1h}
decision: {rollback_alpha: 0.01, promote_beta: 0.1}
metrics:
  - {name: error-rate, margin: 1.5, floor: 0.002, cap: 0.02, weight: 3}
  - {name: accuracy, margin: 0.01, required: false}
guards: {consecutive_errors: 5, max_exposed_errors: 0, crashes: 1}
"""


def test_every_field_is_read() -> None:
    """What is written is what is meant, durations and percentages included."""
    spec = parse(WHOLE)
    assert (spec.model, spec.candidate, spec.key) == ("fraud", "43", "header:X-User-Id")
    assert spec.steps == (
        Step(shadow=100, hold=Hold(for_=30, samples=50)),
        Step(0.5, 20, Hold(for_=120, samples=200, pairs=10, until="pass", max=1200, on_max="abort")),
    )
    assert spec.bake == Bake(3600)
    assert (spec.decision.rollback_alpha, spec.decision.promote_beta) == (0.01, 0.1)
    assert spec.metrics == (
        MetricSpec("error-rate", margin=1.5, floor=0.002, cap=0.02, weight=3),
        MetricSpec("accuracy", margin=0.01, required=False),
    )
    assert spec.guards == Guards(5, 0, 1)


def test_an_empty_file_is_the_default() -> None:
    """A rollout needs no file, and an empty one changes nothing."""
    assert parse("") == parse("# nothing\n") == parse("{}") == RolloutSpec()
    assert lint(RolloutSpec()) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: [{wieght: 5}]", r"steps\[0\]: key 'wieght' is unknown; did you mean weight\?"),
        (
            "steps: [{weight: 5, hold: {fro: 2m}}]",
            r"steps\[0\]\.hold: key 'fro' is unknown; did you mean for\?",
        ),
        ("metric: []", r"top level: key 'metric' is unknown; did you mean metrics\?"),
        ("guards: {zzz: 1}", "known here: consecutive_errors, max_exposed_errors, crashes"),
        ("steps: [{weight: 500}]", r"steps\[0\]: weight: .*wanted a percentage"),
        ("steps: [{weight: 5, hold: {for: soon}}]", r"steps\[0\]\.hold: wanted a duration"),
        ("steps: [{weight: 5, hold: {until: maybe}}]", "one of no-regression, pass, duration was wanted"),
        ("steps: [{weight: 5, hold: {on_max: shrug}}]", "one of pause, continue, abort was wanted"),
        ("steps: [{weight: 5, weight: 50}]", "weight stands there again in line 1; remove one"),
        ("metrics: [{name: error-rate, weight: .inf}]", "a weight from .* was wanted, inf found"),
        ("metrics: [{name: error-rate, weight: 1.0e+308}]", "1e.308 found"),
        ("metrics: [{name: error-rate, weight: 1.0e-309}]", "1e-309 found"),
        ("steps: [{weight: 010}]", "010 in line 1 is 8 to YAML"),
        ("bake: {for: 1:30}", "1:30 in line 1 is 90 to YAML"),
        ("bake: {for: 1h}\nbake: {for: 1s}", "bake stands there again in line 2; remove one"),
        ("candidate: 2026-13-01", "it is not YAML .month must be in 1..12 in line 1"),
        ("[" * 5000, "stand too deep in each other"),
        (f"bake: {{for: {'9' * 400}d}}", "wanted a duration that a clock can tell"),
        ("candidate: 3", 'candidate: expected .*got `int`, a version is a text: candidate: "3"'),
        ("key: header:X User", "names a header that no request can have"),
        ("steps: 3", "steps: expected `array`, got `int`"),
        ("- 1", "top level: expected `object`, got `array`"),
        ("steps: []", "at least one step was wanted"),
        ("steps: [{hold: {for: 2m}}]", "such a step shows nothing"),
        ("steps: [{weight: 50}, {weight: 5}]", "weights only rise"),
        ("steps: [{weight: 5, hold: {for: 2m, max: 1m}}]", "shorter than for"),
        ("steps: [{weight: 5, hold: {for: 0, until: duration}}]", "say how long"),
        ("metrics: []", "at least one metric"),
        ("metrics: [{name: latency}]", "one of accuracy, error-rate was wanted"),
        ("metrics: [{name: accuracy}, {name: accuracy}]", "accuracy is listed twice"),
        ("metrics: [{name: accuracy, floor: 0.1}]", "metric accuracy: it has no floor"),
        (
            "{steps: [{weight: 5, hold: {until: pass}}], metrics: [{name: accuracy, required: false}]}",
            "no metric is required",
        ),
        ("key: cookie", "header:NAME"),
        ("decision: {rollback_alpha: 2}", r"decision\.rollback_alpha: expected `float` < 0.5"),
        ("a: [", r"it is not YAML \(while parsing .* in line 1, column"),
    ],
)
def test_what_cannot_be_honoured_is_refused_where_it_stands(text: str, said: str) -> None:
    """Unknown keys, wrong types and impossible wishes: the name of the file, the place, and what to do."""
    with pytest.raises(SpecError, match=f"^canary.yaml: .*{said}") as refused:
        parse(text, name="canary.yaml")
    assert "\n" not in str(refused.value)


@given(st.text())
def test_any_text_is_a_spec_or_one_line(text: str) -> None:
    """Whatever lies in a file, reading it never fails otherwise."""
    try:
        spec = parse(text)
    except SpecError as error:
        assert "\n" not in str(error)  # noqa: PT017  most texts are refused, few are not
    else:
        assert spec.steps


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, or no text."""
    with pytest.raises(SpecError, match=r"nowhere\.yaml"):
        read(tmp_path / "nowhere.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match=r"bytes\.yaml"):
        read(tmp_path / "bytes.yaml")
    (tmp_path / "good.yaml").write_text("steps: [{weight: 5}]")
    assert read(tmp_path / "good.yaml").steps[0].weight == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: [{weight: 5, hold: {max: 1h}}]", "promotes without proof"),
        ("steps: [{weight: 5, hold: {max: 1h}}]", "begin with a shadow"),
        ("steps: [{weight: 5}]", "it may wait for ever"),
        ("steps: [{weight: 5, hold: {pairs: 5}}]", "pairs come from shadow runs"),
        ("steps: [{weight: 5, hold: {max: 1h, on_max: continue}}]", "pause is safer"),
        ("{steps: [{weight: 5}], metrics: [{name: accuracy}]}", "no pair will ever be labelled"),
        ("bake: {for: 0}", "the old version is let go at once"),
    ],
)
def test_what_is_probably_not_meant_is_said(text: str, said: str) -> None:
    """Advice is given, and the file is honoured all the same."""
    assert any(said in line for line in lint(parse(text)))


def test_the_page_shows_the_defaults_and_names_every_key() -> None:
    """docs/rollouts.md shows the default file, and its table leaves no key out."""
    page = (Path(__file__).parents[2] / "docs" / "rollouts.md").read_text()
    text = page.partition("```yaml\n")[2].partition("```")[0]
    assert parse(text) == RolloutSpec()
    for kind, prefix in (
        (RolloutSpec, ""),
        (Step, "steps[]."),
        (Hold, "hold."),
        (Bake, "bake."),
        (Errors, "decision."),
        (MetricSpec, "metrics[]."),
        (Guards, "guards."),
    ):
        for field in msgspec.structs.fields(kind):
            if (kind, field.encode_name) not in SECTIONS:
                assert f"| `{prefix}{field.encode_name}` |" in page, field.encode_name
