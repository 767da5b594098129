"""The tree of errors."""

import re

import pytest

from groundwork import errors

CLASSES: list[type[errors.DriftgateError]] = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.DriftgateError)
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_code_that_its_page_documents(kind: type[errors.DriftgateError]) -> None:
    """A code is kebab-case and stands in the drawing of the tree."""
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)
    assert f'"{kind.code}"' in (errors.__doc__ or "")


def test_no_two_errors_share_a_code() -> None:
    """A program that reads the code knows the kind."""
    assert len({kind.code for kind in CLASSES}) == len(CLASSES) > 1
