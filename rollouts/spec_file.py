"""Reading a rollout file: YAML in, a specification that can be honoured out, or one clear line.

`parse` refuses what cannot be honoured: unknown keys, what YAML reads in another way than people do, wrong
types, metrics nobody knows, steps that prove nothing. `lint` returns advice about what can be honoured but is
probably not meant. Neither touches a store.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import yaml

from groundwork import decoders, marks
from rollouts.errors import SpecError
from rollouts.judge import settings
from rollouts.rollout import Bake, Errors, Guards, Hold, MetricSpec, OnMax, RolloutSpec, Step, Until
from rollouts.route import key_complaint

_UNKNOWN: Final = re.compile(r"unknown field `(?P<name>[^`]*)`(?: - at `\$\.?(?P<where>[^`]*)`)?")
_PLACE: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<where>[^`]*)`)?$")
_KINDS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "": RolloutSpec,
    "steps[...]": Step,
    "steps[...].hold": Hold,
    "bake": Bake,
    "decision": Errors,
    "metrics[...]": MetricSpec,
    "guards": Guards,
}
_CHOICES: Final = {"until": get_args(Until), "on_max": get_args(OnMax)}
_HEADER: Final = "header:"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What a header's name is made of (RFC 9110)."""
_MOST_WEIGHT: Final = 1e6
_SMALL: Final = 1.0
"""Percent: a first step above this with no shadow before it deserves a word."""


def read(path: Path) -> RolloutSpec:
    """Return the specification in a file.

    Raises:
        SpecError: The file cannot be read, or says something it may not.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"rollout file {path}: a readable UTF-8 text was wanted, {error}; check path and rights"
        ) from error
    return parse(text, name=str(path))


def parse(text: str, *, name: str = "rollout file") -> RolloutSpec:
    """Return the specification in a YAML (or JSON) text; an empty text is the default one.

    Raises:
        SpecError: With `name`, the place in the file, what was wanted, what was found and what to do.
    """
    try:
        doubt = marks.doubt(text)
        document = yaml.safe_load(text)
    except marks.UNREADABLE as error:
        told = marks.unreadable(error, text)
        raise SpecError(f"{name}: it is not YAML ({told}); correct it there") from error
    if doubt is not None:
        raise SpecError(f"{name}: {doubt}")
    return convert(document if document is not None else {}, name=name)


def convert(document: Any, *, name: str = "rollout") -> RolloutSpec:
    """Return the specification in a decoded document.

    Raises:
        SpecError: As for `parse`.
    """
    try:
        spec = decoders.converted(document, RolloutSpec)
    except msgspec.ValidationError as error:
        raise SpecError(f"{name}: {_friendly(str(error))}") from error
    except SpecError as error:
        raise SpecError(f"{name}: {error}") from error
    for problem in problems(spec):
        raise SpecError(f"{name}: {problem}")
    return spec


def problems(spec: RolloutSpec) -> Iterator[str]:
    """Yield why a specification cannot be honoured, one line each."""
    if not spec.steps:
        yield "steps: at least one step was wanted, none found; leave steps out for the default ones"
    if not spec.metrics:
        yield "metrics: at least one metric was wanted, none found; leave metrics out for the default ones"
    if (complaint := key_complaint(spec.key)) is not None:
        yield complaint
    elif spec.key.startswith(_HEADER) and _TOKEN.fullmatch(spec.key.removeprefix(_HEADER)) is None:
        yield f"key {spec.key!r} names a header that no request can have; write one such as header:X-User-Id"
    names = [one.name for one in spec.metrics]
    for twice in sorted({one for one in names if names.count(one) > 1}):
        yield f"metrics: {twice} is listed twice; keep one"
    for one in spec.metrics:
        if not 1 / _MOST_WEIGHT <= one.weight <= _MOST_WEIGHT:
            yield (
                f"metrics: {one.name}: a weight from {1 / _MOST_WEIGHT:g} to {_MOST_WEIGHT:g} was wanted, "
                f"{one.weight:g} found; they are shares of one budget, 1 is a whole one"
            )
    try:
        settings(spec)
    except SpecError as error:
        yield f"metrics: {error}"
    for index, step in enumerate(spec.steps):
        yield from _step_problems(spec, index, step)


def lint(spec: RolloutSpec) -> tuple[str, ...]:
    """Return advice about a specification that can be honoured, one line each; empty when there is none."""
    return tuple(_advice(spec))


def _step_problems(spec: RolloutSpec, index: int, step: Step) -> Iterator[str]:
    place, hold = f"steps[{index}]", step.hold
    if not step.weight_share and not step.shadow_share:
        yield f"{place}: a weight or a shadow was wanted, both are 0; such a step shows nothing, remove it"
    if hold.longest and hold.longest < hold.shortest:
        yield f"{place}.hold: max is {hold.longest:g} s, shorter than for with {hold.shortest:g} s; raise max"
    if hold.until == "pass" and not any(one.required for one in spec.metrics):
        yield f"{place}.hold: until pass was found, but no metric is required; set required on one"
    if hold.until == "duration" and not hold.shortest:
        yield f"{place}.hold: until duration was found, but for is 0; say how long"
    before = spec.steps[index - 1].weight_share if index else 0
    if step.weight_share < before:
        yield f"{place}: weight {step.weight:g} is below the step before; weights only rise"


def _advice(spec: RolloutSpec) -> Iterator[str]:
    if spec.steps[-1].hold.until != "pass":
        yield "the last step promotes without proof; set its hold to until: pass"
    if spec.steps[0].weight_share and float(spec.steps[0].weight) > _SMALL and not spec.steps[0].shadow_share:
        yield f"steps[0]: {spec.steps[0].weight:g} % of users meet a version never tried; begin with a shadow"
    for index, step in enumerate(spec.steps):
        hold = step.hold
        if not hold.longest:
            yield f"steps[{index}]: without max it may wait for ever; set hold.max"
        if hold.pairs and not step.shadow_share:
            yield f"steps[{index}]: pairs come from shadow runs, but shadow is 0; it will wait until max"
        if hold.longest and hold.on_max == "continue":
            yield f"steps[{index}]: on_max: continue goes on unproven; pause is safer"
    if any(one.name == "accuracy" and one.required for one in spec.metrics) and not any(
        step.shadow_share for step in spec.steps
    ):
        yield "accuracy is required but no step has a shadow, so no pair will ever be labelled; add shadow"
    if not spec.bake.duration:
        yield "bake is 0: the old version is let go at once after promotion; give it some time"


def _friendly(message: str) -> str:
    unknown = _UNKNOWN.search(message)
    if unknown is not None:
        where = unknown["where"] or ""
        known = _known(where)
        close = difflib.get_close_matches(unknown["name"], known, n=1)
        advice = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
        return f"{where or 'top level'}: key {unknown['name']!r} is unknown; {advice}"
    found = _PLACE.match(message)
    what, where = (found["what"], found["where"] or "") if found is not None else (message, "")
    if where == "candidate" and "got `int`" in what:
        what += ', a version is a text: candidate: "3"'
    choices = _CHOICES.get(where.rpartition(".")[2])
    if choices is not None:
        what += f", one of {', '.join(choices)} was wanted"
    return f"{where or 'top level'}: {what[:1].lower()}{what[1:]}; correct it there"


def _known(where: str) -> list[str]:
    kind = _KINDS.get(re.sub(r"\[\d+\]", "[...]", where), RolloutSpec)
    return [field.encode_name for field in msgspec.structs.fields(kind)]
