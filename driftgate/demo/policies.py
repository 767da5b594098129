"""The shipped policy files, and in what they differ from the defaults: found by comparing, never by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from driftgate import settings
from driftgate.demo.stage import POLICY, Stage
from driftgate.written import UNITS, quantity, written
from groundwork.settings import value_of
from rollouts import spec_file
from rollouts.rollout import RolloutSpec

ROLLOUT: Final = POLICY / "rollout.yaml"
CANARY: Final = POLICY / "canary.yaml"
SETTINGS: Final = POLICY / "settings.yaml"
WEBHOOK: Final = "training"
DURATIONS: Final = frozenset({"for", "max"})
"""What in a rollout file is a duration, in seconds."""


def rollout_differences(file: Path) -> list[str]:
    """One line for each value of a rollout file that is not the default's."""
    spec = spec_file.read(file)
    given = dict(_flat(msgspec.to_builtins(spec), ""))
    default = dict(_flat(msgspec.to_builtins(RolloutSpec()), ""))
    return [
        f"steps: {len(spec.steps)} (default {len(RolloutSpec().steps)})",
        *(
            f"{name}: {_said(name, value)} (default {_said(name, default.get(name))})"
            for name, value in given.items()
            if value != default.get(name)
        ),
    ]


def settings_differences(file: Path) -> list[str]:
    """One line for each setting of a file that is not the default."""
    loaded = settings.load(file, {}, {})
    found = []
    for setting in settings.all_settings():
        value = value_of(loaded.value, setting.name)
        if loaded.sources[setting.name] != "default" and value != setting.default:
            default = written(setting, setting.default)
            found.append(f"{setting.name}: {written(setting, value)} (default {default})")
    return found


def write_settings(stage: Stage, receiver: str) -> None:
    """The settings of this run: the shipped ones with its folders, free ports and the receiver's webhook."""
    document = yaml.safe_load(SETTINGS.read_text())
    webhook = {
        "name": WEBHOOK,
        "url": f"{receiver}/retrain",
        "secret": f"file:{stage.secret}",
        "events": ["retrain.requested"],
    }
    document |= {
        "models": str(stage.models),
        "data": str(stage.data),
        "http": {"port": 0},
        "operator": {"port": 0},
        "monitor": {**document["monitor"], "port": 0, "webhooks": [webhook]},
    }
    stage.settings.write_text(yaml.safe_dump(document, sort_keys=False))


def _flat(document: Any, above: str) -> Iterator[tuple[str, Any]]:
    if isinstance(document, Mapping):
        for key, value in document.items():
            yield from _flat(value, f"{above}{key}.")
    elif isinstance(document, list | tuple) and document and isinstance(document[0], Mapping):
        for place, value in enumerate(document, start=1):
            yield from _flat(value, f"{above}{value.get('name', place)}.")
    else:
        yield above.rstrip("."), document


def _said(name: str, value: Any) -> str:
    """A value as one would write it into the file."""
    if value is None or isinstance(value, bool):
        return "none" if value is None else str(value).lower()
    if not isinstance(value, float):
        return str(value)
    if name.rpartition(".")[2] in DURATIONS:
        return quantity(value, UNITS["duration"])
    return f"{value:g}"
