"""The shape of the project, held by tests where import-linter and ruff cannot hold it."""

import ast
import graphlib
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests import sources

LONGEST_FILE: Final = 400
LONGEST_FUNCTION: Final = 60
MOST_DEPENDENCIES: Final = 12
TARGET: Final = re.compile(rf"({'|'.join(sources.PACKAGES)})(\.[a-z_0-9]+)+:[A-Za-z_]\w*")
EMPTY_WORDS: Final = frozenset(
    {
        "base",
        "common",
        "context",
        "handler",
        "helper",
        "helpers",
        "manager",
        "misc",
        "service",
        "util",
        "utils",
    },
)
WIDER: Final = frozenset({"contract", "decision_errors", "edges", "golden"})
"""Subjects of tests that are wider than a module: a contract, error rates, two edges alike, frozen bytes."""
HEAVY: Final = frozenset(
    {"matplotlib", "onnx", "onnxruntime", "pandas", "pyarrow", "river", "scipy", "skl2onnx", "sklearn"},
)
ALLOWED: Final = {
    "groundwork": frozenset[str](),
    "prediction_log": frozenset[str](),
    "registry_client": frozenset[str](),
    "rollouts": frozenset[str](),
    "driftgate": frozenset[str](),
    "gateway": frozenset({"onnxruntime"}),
    # What river loads for itself is its own affair.
    "monitor": HEAVY - {"onnxruntime", "skl2onnx"},
}
"""Heavy libraries that importing every module of a package may load."""

ALL_FILES: Final = [*sources.package_files(), *sources.test_files(), *sources.other_files()]


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    """No file has more than 400 lines."""
    lengths = {str(file.relative_to(sources.ROOT)): file.read_text().count("\n") for file in ALL_FILES}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    """No function has more than 60 lines, its docstring included."""
    long = [
        f"{sources.where(file, function.lineno)} {function.name}"
        for file in ALL_FILES
        for function in sources.functions(file)
        if (function.end_lineno or 0) - function.lineno >= LONGEST_FUNCTION
    ]
    assert long == []


def test_no_import_cycle_of_any_kind() -> None:
    """Modules import each other in one direction, imports inside functions and for type checkers included."""
    known = set(sources.modules())
    graph = {sources.module_name(file): sources.imported(file, known) for file in sources.package_files()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_own_imports_name_the_module() -> None:
    """Our code imports from modules, never from a package: the one exception is `registry_client.publish`."""
    packages = {name for name in sources.modules() if (sources.ROOT / name.replace(".", "/")).is_dir()}
    known = set(sources.modules())
    found = [
        f"{sources.where(file, node.lineno)} from {node.module} import {alias.name}"
        for file in sources.package_files()
        for node in ast.walk(sources.tree(file))
        if isinstance(node, ast.ImportFrom) and node.module in packages
        for alias in node.names
        if f"{node.module}.{alias.name}" not in known | {"registry_client.publish"}
    ]
    assert found == []


def test_packages_open_with_a_docstring_and_nothing_else() -> None:
    """An `__init__` says what its package is; only registry_client's also lends out `publish`, lazily."""
    for file in sources.package_files():
        if file.name == "__init__.py":
            allowed = (ast.Expr,) if file.parent.name != "registry_client" else (ast.stmt,)
            assert ast.get_docstring(sources.tree(file)), file
            assert all(isinstance(node, allowed) for node in sources.tree(file).body), file


def tables() -> Iterator[tuple[str, str]]:
    """Every entry "module:Name" of every table in the packages, with the place of the table."""
    for name in sources.modules():
        module = importlib.import_module(name)
        for attribute, value in vars(module).items():
            if isinstance(value, Mapping):
                targets = [target for target in value.values() if isinstance(target, str)]
                yield from ((f"{name}.{attribute}", target) for target in targets if TARGET.fullmatch(target))


def test_every_table_entry_resolves() -> None:
    """What a table names by "module:Name" can be imported."""
    entries = list(tables())
    assert entries
    for _, target in entries:
        assert pkgutil.resolve_name(target) is not None


def loaded_by(package: str) -> set[str]:
    """The heavy libraries in memory after every module of a package was imported, in a fresh interpreter."""
    names = [name for name in sources.modules() if name.split(".")[0] == package and "__main__" not in name]
    script = (
        "import importlib, sys\n"
        "names, heavy = (part.split(',') for part in sys.argv[1:])\n"
        "for name in names: importlib.import_module(name)\n"
        "print(*sorted(set(heavy) & sys.modules.keys()))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script, ",".join(names), ",".join(HEAVY)],
        capture_output=True,
        text=True,
        check=True,
        cwd=sources.ROOT,
        timeout=120,
    )
    return set(finished.stdout.split())


@pytest.mark.parametrize("package", sources.PACKAGES)
def test_importing_a_package_loads_no_heavy_library_of_anothers(package: str) -> None:
    """Heavy libraries are loaded where they are needed: onnxruntime in the gateway, river in the monitor."""
    assert loaded_by(package) <= ALLOWED[package]


@pytest.mark.parametrize(
    ("program", "spared"),
    [
        (
            "gateway.supervisor",
            "click cryptography httpx onnxruntime prometheus_client rich river scipy starlette uvicorn",
        ),
        ("gateway.worker", "httpx numpy.random prometheus_client rich river scipy"),
        ("monitor.__main__", "httpx onnxruntime prometheus_client rich river scipy"),
        ("driftgate.cli.up", "httpx numpy onnxruntime rich river starlette uvicorn"),
    ],
)
def test_a_program_loads_only_what_it_needs(program: str, spared: str) -> None:
    """A start waits for every import: nothing of HTTP or of models is in the process that keeps workers."""
    script = f"import sys, {program}; print(*sorted(set({spared.split()}) & sys.modules.keys()))"
    finished = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=sources.ROOT,
        timeout=120,
    )
    assert finished.stdout.split() == []


NO_STRUCT_OF_OTHERS = {
    "groundwork/decoders.py",  # where they are made
    "gateway/json_elements.py",  # lists of numbers and texts, which are no structs
}
"""Who may make a decoder of its own."""


def test_decoders_are_made_one_at_a_time() -> None:
    """Two threads that first meet a struct together crash in msgspec: `groundwork.decoders` says how."""
    own = re.compile(
        r"msgspec\.(json|msgpack)\.(Decoder\(|decode\([^\n]*type=)|msgspec\.(convert\(|yaml\.decode\(.*type=)"
    )
    makers = {
        str(file.relative_to(sources.ROOT))
        for package in sources.PACKAGES
        for file in sorted((sources.ROOT / package).rglob("*.py"))
        if own.search(file.read_text())
    }
    assert makers == NO_STRUCT_OF_OTHERS


def test_names_of_modules_say_something() -> None:
    """No module is named by a word that fits everything."""
    words = {
        file: set(file.stem.split("_")) | set(file.parent.name.split("_")) for file in sources.package_files()
    }
    assert {str(file) for file, parts in words.items() if parts & EMPTY_WORDS} == set()


def test_every_test_states_its_rule() -> None:
    """Each test function has a docstring of one paragraph that ends as a sentence does."""
    mute = [
        f"{sources.where(file, function.lineno)} {function.name}"
        for file in sources.test_files()
        for function in sources.functions(file)
        if file.name.startswith("test_") and function.name.startswith("test_")
        if not re.fullmatch(r"[^\n]+(\n[^\n]+)*[.!?]", ast.get_docstring(function) or "")
    ]
    assert mute == []


def waits_for_a_time(node: ast.Call) -> bool:
    """Whether a call is time.sleep, or asyncio.sleep of more than nothing."""
    name = ast.unparse(node.func)
    if name == "asyncio.sleep":
        return not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)
    return name in {"time.sleep", "sleep"}


def test_no_test_waits_for_a_time() -> None:
    """Tests wait for facts, with a deadline; what they stand on may poll, or pace the load it sends."""
    found = [
        sources.where(file, node.lineno)
        for file in sources.test_files()
        if file.name.startswith("test_")
        for node in ast.walk(sources.tree(file))
        if isinstance(node, ast.Call) and waits_for_a_time(node)
    ]
    assert found == []


def test_tests_mirror_the_packages() -> None:
    """A test file of a package is named after a module or folder of it, and may add what it tests of that."""
    strangers = []
    for package in sources.PACKAGES:
        for file in sorted((sources.ROOT / "tests" / package).rglob("test_*.py")):
            folder = sources.ROOT / package / file.parent.relative_to(sources.ROOT / "tests" / package)
            words = file.stem.removeprefix("test_").split("_")
            subjects = [folder / "_".join(words[:number]) for number in range(1, len(words) + 1)]
            if file.stem.removeprefix("test_") in WIDER or (folder / f"__{file.stem[5:]}__.py").exists():
                continue
            if not any(subject.is_dir() or subject.with_suffix(".py").exists() for subject in subjects):
                strangers.append(str(file.relative_to(sources.ROOT)))
    assert strangers == []


def project() -> dict[str, object]:
    """The project's metadata."""
    metadata: dict[str, object] = tomllib.loads(Path(sources.ROOT / "pyproject.toml").read_text())["project"]
    return metadata


def test_the_core_has_few_dependencies() -> None:
    """Serving needs at most twelve direct dependencies."""
    dependencies = project()["dependencies"]
    assert isinstance(dependencies, list)
    assert len(dependencies) <= MOST_DEPENDENCIES


def test_constraints_pin_versions_and_nothing_else() -> None:
    """Every line of constraints.txt is `name==version`: no place, no host, no editable install."""
    lines = (sources.ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []
    assert "driftgate" not in {line.split("==")[0] for line in pins}
