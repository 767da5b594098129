"""What lies in a models folder like a model and is no version of one: where it is, and why nobody serves it.

Rules: only ONNX files are looked for, and no deeper than a version's own lies; hidden and staged folders are
nobody's business, and neither is what else lies beside a version's model. A folder that cannot be read is
passed over: who asks for its versions is told.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from registry_client.errors import BadNameError
from registry_client.manifest import check_name, check_version

MODEL: Final = "model.onnx"
"""What the file of every version is called."""
MOST: Final = 100
"""After so many nobody reads on, and the walk ends."""


def strays(root: Path) -> dict[str, str]:
    """Place below ``root`` to why it is not served, one line each; at most MOST of them."""
    found = itertools.chain(_files(root), *map(_of_model, _folders(root)))
    return {_shown(place.relative_to(root)): why for place, why in itertools.islice(found, MOST)}


def _shown(place: Path) -> str:
    """A place in one line of characters that every terminal and JSON can carry."""
    signs = (sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in str(place))
    return "".join(signs)


def _of_model(folder: Path) -> Iterator[tuple[Path, str]]:
    """What is wrong with a folder that should have a model's name, and folders of versions in it."""
    try:
        check_name(folder.name)
    except BadNameError as error:
        if any(_onnx(one) for one in (folder, *_folders(folder))):
            yield folder, f"{error}; rename the folder"
        return
    yield from _files(folder)
    for version in _folders(folder):
        yield from _of_version(version)


def _of_version(folder: Path) -> Iterator[tuple[Path, str]]:
    try:
        check_version(folder.name)
    except BadNameError as error:
        if _onnx(folder):
            yield folder, f"{error}; rename the folder"
        return
    names = {file.name for file in _onnx(folder)}
    if names and MODEL not in names:
        yield folder, f"its ONNX file is not called {MODEL}; rename the file"


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """ONNX files that lie in no version's folder."""
    for file in _onnx(folder):
        yield file, f"it lies in no version's folder, wanted NAME/VERSION/{MODEL}; `driftgate push` it"


def _onnx(folder: Path) -> list[Path]:
    return _entries(folder, lambda entry: entry.name.endswith(".onnx") and entry.is_file())


def _folders(folder: Path) -> list[Path]:
    return _entries(folder, Path.is_dir)


def _entries(folder: Path, is_wanted: Callable[[Path], bool]) -> list[Path]:
    """What of a folder is wanted and not hidden, sorted."""
    try:
        return sorted(entry for entry in folder.iterdir() if entry.name[0] != "." and is_wanted(entry))
    except OSError:
        return []
