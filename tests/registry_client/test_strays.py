"""What lies in a models folder like a model and is not served."""

from pathlib import Path

import pytest

from registry_client.directory import DirectoryRegistry
from registry_client.strays import MOST, strays
from tests.strangers import nobody, open_folder


def _lay(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"model")


@pytest.mark.parametrize(
    ("file", "place", "why"),
    [
        ("my model/1/model.onnx", "my model", "model name 'my model': wanted 1 to 100 of A-Z"),
        ("prix-éte/1/model.onnx", "prix-éte", "rename the folder"),
        ("100%/model.onnx", "100%", "rename the folder"),
        ("fraud/v2/model.onnx", "fraud/v2", "version 'v2': wanted a positive whole number"),
        ("fraud/01/model.onnx", "fraud/01", "rename the folder"),
        ("fraud/2/fraud.onnx", "fraud/2", "its ONNX file is not called model.onnx; rename the file"),
        ("fraud/model.onnx", "fraud/model.onnx", "it lies in no version's folder"),
        ("fraud.onnx", "fraud.onnx", "wanted NAME/VERSION/model.onnx; `driftgate push` it"),
    ],
)
def test_an_onnx_file_where_no_version_has_one_is_told_of(
    tmp_path: Path, file: str, place: str, why: str
) -> None:
    """Each way to be passed over is named with its place, what was wanted, and what to do."""
    _lay(tmp_path, file, "fraud/1/model.onnx")
    registry = DirectoryRegistry(tmp_path)
    assert registry.models() == ["fraud"]
    assert registry.versions("fraud") == ["1"]
    assert list(registry.strays()) == [place]
    assert why in registry.strays()[place]


def test_what_is_no_model_is_nobodys_business(tmp_path: Path) -> None:
    """Hidden and staged folders, folders without ONNX, and files beside a version's model are not told of."""
    _lay(
        tmp_path,
        ".staging-x/model.onnx",
        ".hidden/1/model.onnx",
        "lost and found/notes.txt",
        "fraud/1/model.onnx",
        "fraud/1/original.onnx",
        "fraud/.2/model.onnx",
        "fraud/config.pbtxt",
        "deep in/here/and there/model.onnx",
    )
    assert strays(tmp_path) == {}
    assert strays(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(("name", "told"), [("caf\udce9", "caf\\udce9"), ("a\nb\x1b[2J", "a\\nb\\x1b[2J")])
def test_a_strange_name_can_be_told(tmp_path: Path, name: str, told: str) -> None:
    """Whoever writes a place down, as JSON or on a terminal, meets one line that can be written."""
    _lay(tmp_path, f"{name}/1/model.onnx")
    ((place, why),) = strays(tmp_path).items()
    assert place == told
    assert (place + why).isprintable()


def test_a_folder_full_of_files_is_told_of_in_part(tmp_path: Path) -> None:
    """After so many nobody reads on."""
    _lay(tmp_path, *(f"{number}.onnx" for number in range(MOST + 5)))
    assert len(strays(tmp_path)) == MOST


def test_a_folder_that_cannot_be_read_is_passed_over() -> None:
    """What is shut hides nothing else, and looking for strays never fails."""
    with open_folder() as root:
        _lay(root, "shut/v1/model.onnx", "open/v1/model.onnx")
        for mode in (0o000, 0o644):
            (root / "shut").chmod(mode)
            with nobody():
                assert list(strays(root)) == ["open/v1"]
        (root / "shut").chmod(0o755)
