"""Manifests: the naming rule and the document."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_client.errors import BadNameError, ManifestError
from registry_client.manifest import check_name, check_version, decode_manifest, encode_manifest
from tests.registry_client.support import a_manifest


def test_round_trip() -> None:
    """What is written is read."""
    manifest = a_manifest(profile=b"{}")
    assert decode_manifest(encode_manifest(manifest), where="x") == manifest


@pytest.mark.parametrize("name", ["a", "Fraud-2.model_x", "9lives", "a" * 100])
def test_good_names(name: str) -> None:
    """Letters, digits, dot, underscore and hyphen, beginning with a letter or digit."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "-x", "a/b", "../x", "a\\b", "a b", "a\n", "ä", "a" * 101, "a\0"]
)
def test_bad_names(name: str) -> None:
    """Nothing that could leave the folder, hide in it or break a line is a name."""
    with pytest.raises(BadNameError):
        check_name(name)


@pytest.mark.parametrize("version", ["0", "01", "-1", "1.0", "", "v1", " 1", "1\n", "\u0661", "1" * 19])
def test_bad_versions(version: str) -> None:
    """A version is a positive whole number in its one spelling."""
    with pytest.raises(BadNameError):
        check_version(version)


@pytest.mark.parametrize("field", ["name", "version", "digest"])
def test_hostile_documents(field: str) -> None:
    """A manifest whose name, version or digest breaks its rule is refused, a trailing line break too."""
    document = msgspec.to_builtins(a_manifest())
    for value in (document[field] + "\n", "../../etc"):
        with pytest.raises(ManifestError, match=field):
            decode_manifest(msgspec.json.encode({**document, field: value}), where="x")


def test_unknown_field() -> None:
    """A field from another format is an error, not a surprise later."""
    document = {**msgspec.to_builtins(a_manifest()), "colour": "red"}
    with pytest.raises(ManifestError, match="colour"):
        decode_manifest(msgspec.json.encode(document), where="x")


def test_later_format() -> None:
    """A manifest of a later format is called newer; nobody is told to publish the version again."""
    document = {**msgspec.to_builtins(a_manifest()), "format": 2, "colour": "red"}
    with pytest.raises(
        ManifestError, match=r"^x: wanted a manifest of format 1 or lower, found 2, written by a newer"
    ):
        decode_manifest(msgspec.json.encode(document), where="x")


@given(st.data())
def test_cut_documents(data: st.DataObject) -> None:
    """A manifest cut anywhere is one clear line."""
    content = encode_manifest(a_manifest()).rstrip()
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(ManifestError) as caught:
        decode_manifest(content[:cut], where="fraud version 1")
    assert "\n" not in str(caught.value)
