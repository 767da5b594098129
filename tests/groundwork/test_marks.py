"""Where in a YAML text something is wrong."""

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from groundwork import marks


class Shelf(msgspec.Struct, forbid_unknown_fields=True):
    """What is wanted."""

    name: str
    books: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"a: 1\nb: [1,", "while parsing a flow node: did not find expected node content in line 3"),
        (b"a: 1\nb: [1 2", "while parsing a flow sequence in line 2, column 4: did not find expected"),
        (b"a: 1\nb: c: d", "mapping values are not allowed"),
        (b"a: 1\n\tb: 2", "line 2"),
        (b"a: 1\nb: \x00", "control characters are not allowed in line 2"),
        (b"a: 1\n\nb: \xff", "line 3"),
    ],
)
def test_an_unreadable_text_says_its_line(content: bytes, wanted: str) -> None:
    """One line says what is wrong and where, and no name that the library gave the text."""
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)) as caught:
        msgspec.yaml.decode(content)
    told = marks.unreadable(caught.value, content)
    assert wanted in told
    assert "string>" not in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a: 1\nb: 2026-99-99\n", "month must be in 1..12 in line 2"),
        (b"a: [1,\n 0x_]\n", "invalid literal for int() with base 16: '' in line 2"),
        (b"[" * 5000, "lists or mappings that stand too deep in each other"),
    ],
)
def test_what_python_says_of_a_value_gets_its_line(content: bytes, told: str) -> None:
    """A date or a number that is none is no YAML either, and so are brackets without an end."""
    with pytest.raises(marks.UNREADABLE) as caught:
        yaml.safe_load(content)
    assert marks.unreadable(caught.value, content) == told


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"a: 1\nb: {c: 1,\n  c: 2}\n", "c stands there again in line 3; remove one"),
        (b"a: &x {b: 1}\nc: {<<: *x, b: 2}\n", None),
        (b"a: &x [*x]\n", None),
        (b"", None),
    ],
)
def test_a_name_that_stands_twice_is_found(content: bytes, found: str | None) -> None:
    """The name and its second line; what an alias brings in is not there twice, though it leads to itself."""
    assert marks.doubt(content) == found
    assert marks.doubt(content, is_read=True) == found


@pytest.mark.parametrize(
    ("number", "counted"),
    [("010", "8"), ("-010", "-8"), ("0_17", "15"), ("1:30", "90"), ("1:30.5", "90.5"), ("12:00:00", "43200")],
)
def test_a_number_that_yaml_counts_in_eights_or_sixties_is_doubtful(number: str, counted: str) -> None:
    """Its line, what YAML makes of it, and what to write."""
    said = marks.doubt(f"a: 1\nb: [{number}]\n")
    assert said is not None
    assert said.startswith(f"{number} in line 2 is {counted} to YAML: wanted a number that begins with no 0")


@pytest.mark.parametrize(
    "value",
    ["0", "00", "007", "10", "0.10", "00.5", "0x10", "0b11", "1_000", ".inf", "08", '"010"', "'1:30'", "1e3"],
)
def test_a_number_with_one_reading_is_not(value: str) -> None:
    """What everybody reads as the same number, or as no number, is let through, and so is what is quoted."""
    assert marks.doubt(f"a: {value}\n") is None


def test_a_text_read_as_a_text_is_told_alike() -> None:
    """Where the reader was given no bytes its places are characters, and so are ours."""
    text = "ä: 1\nö: \x01"
    with pytest.raises(yaml.YAMLError) as caught:
        yaml.safe_load(text)
    assert marks.unreadable(caught.value, text).endswith("in line 2")


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"- name: a\n- books: []\n", "line 2: object missing required field `name`"),
        (b"- name: a\n  books: [1,\n   x]\n", "line 3, books[1]: expected `int`, got `str`"),
        (b"- name: a\n\n  page: 3\n", "line 1: object contains unknown field `page`"),
        (b"- name: a\n  books: 3\n", "line 2, books: expected `array`, got `int`"),
        (b"# nothing\nname: a\n", "line 2: expected `array`, got `object`"),
        (b"# nothing\n", "line 1: expected `array`, got `null`"),
    ],
)
def test_a_misfit_says_its_line(content: bytes, wanted: str) -> None:
    """What is there and not wanted, or wanted and not there, is told with the line of what it is part of."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.yaml.decode(content, type=tuple[Shelf, ...])
    assert marks.misfit(caught.value, content) == wanted


@given(st.binary(max_size=40))
def test_whatever_the_text_one_line_says_why(content: bytes) -> None:
    """Telling what is wrong never fails itself."""
    try:
        msgspec.yaml.decode(content, type=tuple[Shelf, ...])
    except msgspec.ValidationError as error:
        assert "\n" not in marks.misfit(error, content)  # noqa: PT017  most texts are refused
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        assert "\n" not in marks.unreadable(error, content)  # noqa: PT017  most texts are refused
    except (ValueError, TypeError, RecursionError):
        return  # what YAML makes of a text may be no value at all; the readers refuse that elsewhere
