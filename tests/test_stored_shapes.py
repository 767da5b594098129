"""What the documents of a store look like is written down beside the store's version, and stays as it is.

A file a version lies in tests/golden/stored_shapes: every field of the store's documents under its stored
name, with its type. Who changes a shape raises the store's version too (a migration more, or a format with
its step), so that older programs call the file newer instead of damaged; then
`GOLDEN=add pytest tests/test_stored_shapes.py`, and commit the new file.
"""

import os
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
import msgspec.inspect as look
import pytest

from driftgate.doctor import archive
from groundwork import data_folder, retired, slots
from monitor import store as monitor_store
from monitor.detectors.detector import DETECTORS
from registry_client import manifest, profile
from rollouts import tables
from rollouts.judge import METRICS

GOLDEN: Final = Path(__file__).parent / "golden" / "stored_shapes"
JUDGED: Final = {
    f"checkpoints.state.{name}": f"{place.partition(':')[0]}:{place.partition(':')[2]}State"
    for name, place in METRICS.items()
}
DETECTED: Final = {
    f"watches.state.detectors.{name}": f"{place.partition(':')[0]}:_Saved"
    for name, place in DETECTORS.items()
}
STORES: Final[Mapping[str, tuple[int, Mapping[str, str]]]] = {
    "rollouts.db": (
        len(tables.SCHEMA.migrations),
        {
            "routes.document": "rollouts.route:Route",
            "rollouts.document": "rollouts.rollout:Rollout",
            "history.body": "rollouts.history:Entry",
            "pairs.document": "rollouts.evidence:PairTotals",
            "checkpoints.seen": "rollouts.evidence:Seen",
            "checkpoints.state": "rollouts.judge:_Checkpoint",
            **JUDGED,
        },
    ),
    "monitor.db": (
        len(monitor_store.SCHEMA.migrations),
        {
            "incidents.document": "monitor.incidents:Incident",
            "deliveries.history": "monitor.outbox:Attempt",
            "reports.document": "monitor.reports:Report",
            "facts.time": "monitor.log_time:_Saved",
            "facts.reach": "monitor.reach:_Saved",
            "watches.state": "monitor.watch:Saved",
            "watches.state.accuracy": "monitor.accuracy:_Saved",
            "watches.state.blocks": "monitor.blocks:_Saved",
            **DETECTED,
        },
    ),
    "folder.json": (data_folder.FORMAT, {"": "groundwork.data_folder:Stamp"}),
    "slot.json": (slots.FORMAT, {"": "groundwork.slots:Place"}),
    "retired.json": (retired._FORMAT, {"": "groundwork.retired:Retired"}),
    "backup.json": (archive.FORMAT, {"": "driftgate.doctor.archive:Contents"}),
    "manifest.json": (manifest.FORMAT, {"": "registry_client.manifest:Manifest"}),
    "profile.json": (profile.FORMAT, {"": "registry_client.profile:Profile"}),
}
"""File -> (its version, where in it a document is -> the document's type)."""


@pytest.mark.parametrize("name", STORES)
def test_a_shape_is_changed_together_with_its_version(name: str) -> None:
    """The documents of a store have the fields that were written down when it got the version it has."""
    version, documents = STORES[name]
    file = GOLDEN / f"{name}-{version}.txt"
    found = "\n".join(line for place, kind in documents.items() for line in described(place, kind)) + "\n"
    if os.environ.get("GOLDEN") == "add" and not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(found)
    assert found == file.read_text(), f"the shape of {name} was changed: raise its version, and write it down"


def test_nothing_is_written_down_of_versions_to_come() -> None:
    """Every file kept is of a store there is, and of no later version than its newest."""
    kept = [path.stem.rpartition("-") for path in GOLDEN.iterdir()]
    assert {name for name, _, _ in kept} == set(STORES)
    assert all(int(version) <= STORES[name][0] for name, _, version in kept)


@pytest.mark.parametrize(
    "changed",
    [
        msgspec.defstruct("Thing", [("name", str), ("size", int, 0)]),
        msgspec.defstruct("Thing", [("name", str | None)]),
        msgspec.defstruct("Thing", [("title", str)]),
        msgspec.defstruct("Thing", [("name", str)], forbid_unknown_fields=True),
        msgspec.defstruct("Thing", [("name", str)], tag="thing-2"),
    ],
)
def test_a_description_tells_shapes_apart(changed: type[msgspec.Struct]) -> None:
    """A field more, of another type or name, and what is done with unknown ones: each is another shape."""
    thing = msgspec.defstruct("Thing", [("name", str)])
    assert list(_blocks("", thing)) != list(_blocks("", changed))


def described(place: str, kind: str) -> Iterator[str]:
    """The lines for a document at a place, and for what is nested in it."""
    return _blocks(place, pkgutil.resolve_name(kind))


def _blocks(place: str, kind: type[msgspec.Struct]) -> Iterator[str]:
    yield f"[{place}]"
    first = look.type_info(kind)
    assert isinstance(first, look.StructType)
    waiting, told = [first], set[type]()
    for struct in waiting:
        if struct.cls in told:
            continue
        told.add(struct.cls)
        how = ["array"] * struct.array_like + ["strict"] * struct.forbid_unknown_fields
        yield " ".join([struct.cls.__name__.lstrip("_"), *how, *([repr(struct.tag)] if struct.tag else [])])
        for field in struct.fields:
            yield f"    {field.encode_name}{'' if field.required else '?'}: {_word(field.type, waiting)}"


def _word(kind: look.Type, nested: list[look.StructType]) -> str:
    """A type as text, without limits and descriptions; structs in it are named, and added to `nested`."""
    match kind:
        case look.Metadata():
            return _word(kind.type, nested)
        case look.StructType():
            nested.append(kind)
            return kind.cls.__name__.lstrip("_")
        case look.UnionType():
            return " | ".join(sorted(_word(one, nested) for one in kind.types))
        case look.LiteralType():
            return " | ".join(map(repr, sorted(kind.values, key=repr)))
        case look.DictType():
            return f"dict[{_word(kind.key_type, nested)}, {_word(kind.value_type, nested)}]"
        case look.TupleType():
            return f"[{', '.join(_word(one, nested) for one in kind.item_types)}]"
        case look.CollectionType():
            return f"[{_word(kind.item_type, nested)}, ...]"
        case _:
            return type(kind).__name__.removesuffix("Type").lower()
