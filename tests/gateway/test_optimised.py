"""Records of optimised copies, and which copy is opened."""

from pathlib import Path

import msgspec
import pytest

from gateway import optimised
from gateway.optimised import RECORD, SUFFIX, Copy
from gateway.options import CPU, PLAIN, RunOptions

NAME = "ab12.0123456789abcdef.all"
WANTED = Copy("m", "1", "sha256:ab12", "cache/ab12.onnx", 4, "all")


def keep(cache: Path, content: bytes = b"graph", *, name: str = NAME) -> Copy:
    """A copy that is kept."""
    path = cache / f"{name}{SUFFIX}"
    path.write_bytes(content)
    copy = msgspec.structs.replace(WANTED, state="kept", sha256=optimised.digest_of(path))
    optimised.write(cache, name, copy)
    return copy


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (PLAIN, "ab12.engine.all"),
        (RunOptions(optimisation="basic", threads=4), "ab12.engine.basic"),
        (RunOptions(optimisation="none"), None),
        (RunOptions(providers=("CUDAExecutionProvider", CPU)), None),
    ],
)
def test_a_copy_is_named_by_all_that_it_depends_on(options: RunOptions, wanted: str | None) -> None:
    """A graph that is not rewritten, or that runs elsewhere than on the processor, has no copy."""
    assert optimised.name_of("sha256:ab12", "engine", options) == wanted


def test_a_copy_is_wanted_once(tmp_path: Path) -> None:
    """What was tried, whatever came of it, is not asked for again."""
    optimised.want(tmp_path, NAME, WANTED)
    assert list(optimised.wanted(tmp_path)) == [(NAME, WANTED)]
    left = msgspec.structs.replace(WANTED, state="left", reason="no gain")
    optimised.write(tmp_path, NAME, left)
    optimised.want(tmp_path, NAME, WANTED)
    assert (list(optimised.wanted(tmp_path)), optimised.read(tmp_path, NAME)) == ([], left)


def test_where_no_record_can_be_written_nothing_happens(tmp_path: Path) -> None:
    """A cache that is not there, or that is full, hurts no worker."""
    optimised.want(tmp_path / "gone", NAME, WANTED)
    assert list(optimised.wanted(tmp_path / "gone")) == []


def test_a_copy_is_opened_when_it_is_kept_and_whole(tmp_path: Path) -> None:
    """Its bytes are those of its record, and the record keeps it."""
    keep(tmp_path)
    assert optimised.kept(tmp_path, NAME) == tmp_path / f"{NAME}{SUFFIX}"
    optimised.write(tmp_path, NAME, msgspec.structs.replace(WANTED, state="tried"))
    assert optimised.kept(tmp_path, NAME) is None


@pytest.mark.parametrize("content", [b"other", None], ids=["altered", "gone"])
def test_a_damaged_copy_is_forgotten(tmp_path: Path, content: bytes | None) -> None:
    """It is not opened, and wanted anew."""
    keep(tmp_path)
    if content is None:
        (tmp_path / f"{NAME}{SUFFIX}").unlink()
    else:
        (tmp_path / f"{NAME}{SUFFIX}").write_bytes(content)
    assert optimised.kept(tmp_path, NAME) is None
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_cannot_be_read_keeps_nothing(tmp_path: Path) -> None:
    """It is forgotten together with its copy."""
    keep(tmp_path)
    (tmp_path / f"{NAME}{RECORD}").write_bytes(b"{")
    assert list(optimised.wanted(tmp_path)) == []
    assert optimised.kept(tmp_path, NAME) is None
    assert list(tmp_path.iterdir()) == []


def test_a_copy_that_is_given_up_is_not_tried_again(tmp_path: Path) -> None:
    """Its record says why, and the copy is gone."""
    copy = keep(tmp_path)
    optimised.give_up(tmp_path, NAME, "does not open")
    assert optimised.read(tmp_path, NAME) == msgspec.structs.replace(
        copy, state="left", reason="does not open"
    )
    assert not (tmp_path / f"{NAME}{SUFFIX}").exists()


def test_copies_for_engines_of_before_are_removed(tmp_path: Path) -> None:
    """Those of the same engine, and those of other graphs, stay."""
    names = (NAME, "ab12.0123456789abcdef.basic", "ab12.ffffffffffffffff.all", "cd34.ffffffffffffffff.all")
    for name in names:
        keep(tmp_path, name=name)
    optimised.discard_older(tmp_path, NAME)
    left = {path.name.removesuffix(RECORD).removesuffix(SUFFIX) for path in tmp_path.iterdir()}
    assert left == {names[0], names[1], names[3]}
