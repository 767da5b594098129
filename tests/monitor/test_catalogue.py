"""Tests of monitor.catalogue."""

from typing import Any

import pytest

from monitor.catalogue import Catalogue
from registry_client.errors import RegistryError
from registry_client.manifest import Manifest, digest_of
from registry_client.memory import MemoryRegistry
from registry_client.profile import Profile
from registry_client.registry import Registry
from tests.monitor.worlds import MODEL, registry


class Away:
    """A registry of which one operation fails for so many calls."""

    def __init__(self, whole: Registry, operation: str, failures: int) -> None:
        self._whole = whole
        self._operation = operation
        self.failures = failures

    def manifest(self, name: str, version: str) -> Manifest:
        """As the whole one."""
        self._fail("manifest")
        return self._whole.manifest(name, version)

    def profile(self, manifest: Manifest) -> Profile | None:
        """As the whole one."""
        self._fail("profile")
        return self._whole.profile(manifest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def _fail(self, operation: str) -> None:
        if operation == self._operation and self.failures:
            self.failures -= 1
            raise RegistryError(f"{operation}: away")


def asked(operation: str, failures: int, times: int) -> list[str]:
    """The problem after each of so many frames."""
    away: Any = Away(registry("1", rows=10), operation, failures)
    catalogue = Catalogue(away)
    return [catalogue.version(MODEL, "1").problem for _ in range(times)]


@pytest.mark.parametrize("operation", ["manifest", "profile"])
def test_what_could_not_be_read_is_asked_for_again(operation: str) -> None:
    """A registry that was away for a moment costs a version nothing lasting; it is asked ever less often."""
    problems = asked(operation, 3, 8)
    assert [bool(problem) for problem in problems] == [True] * 7 + [False]
    assert f"{operation}: away" in problems[0]


def test_a_version_without_a_profile_is_read_once() -> None:
    """What it was published without never comes."""
    bare = MemoryRegistry()
    bare.publish(Manifest(name=MODEL, version="1", digest=digest_of(b"x"), size=1), b"x", None)
    away: Any = Away(bare, "manifest", 0)
    catalogue = Catalogue(away)
    first = catalogue.version(MODEL, "1")
    away.failures = 1
    assert first.problem == "no reference profile"
    assert catalogue.version(MODEL, "1") is first
