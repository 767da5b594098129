"""The project's own source, read as text and as syntax trees; for tests of its shape."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = (
    "driftgate",
    "gateway",
    "groundwork",
    "monitor",
    "prediction_log",
    "registry_client",
    "rollouts",
)


def package_files() -> list[Path]:
    """Every Python file of the seven packages."""
    return [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def test_files() -> list[Path]:
    """Every Python file of the tests."""
    return sorted((ROOT / "tests").rglob("*.py"))


def other_files() -> list[Path]:
    """Every Python file of the load tests and the examples."""
    return sorted([*(ROOT / "loadtests").rglob("*.py"), *(ROOT / "examples").rglob("*.py")])


@cache
def tree(file: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(file.read_text(), str(file))


def module_name(file: Path) -> str:
    """The dotted name under which a file is imported."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> list[str]:
    """The dotted names of every module of the seven packages."""
    return [module_name(file) for file in package_files()]


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file, methods and nested ones included."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imported(file: Path, known: set[str]) -> set[str]:
    """Which of the known modules a file imports anywhere: at its top, in functions, for types only."""
    found = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & known or {node.module}
    return found & known


def where(file: Path, line: int) -> str:
    """A place as an editor opens it."""
    return f"{file.relative_to(ROOT)}:{line}"
