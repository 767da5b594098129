"""What the documents say must be there."""

import importlib
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from driftgate.cli.reference import PAGES as REFERENCE
from driftgate.settings import all_settings
from gateway.protocols.codec import PROTOCOLS
from groundwork.errors import DriftgateError
from monitor.detectors.detector import DETECTORS
from monitor.events import DATA
from prediction_log.transports import TRANSPORTS
from registry_client.backends import BACKENDS
from registry_client.elementwise import KNOWN
from rollouts.judge import METRICS
from tests import sources

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TABLES: Final = {
    "BACKENDS": BACKENDS,
    "TRANSPORTS": TRANSPORTS,
    "PROTOCOLS": PROTOCOLS,
    "METRICS": METRICS,
    "DETECTORS": DETECTORS,
    "VERBS": (),  # its entries have a reference page of their own
}
"""Tables of things to choose from, by the name that docs/adding.md gives them, with their entries."""
HEADING: Final = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The fragments that a page's headings answer to."""
    headings = HEADING.findall(page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken(page: Path, target: str) -> bool:
    """Whether a link of this page leads nowhere within the project."""
    path, _, fragment = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    if not there.is_relative_to(ROOT) or not there.exists():
        return True
    return bool(fragment) and there.suffix == ".md" and fragment not in anchors(there)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    """A relative link names a file that exists, and a heading of it."""
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if broken(page, target)] == []


def test_the_readme_leads_to_every_page() -> None:
    """Whoever looks for a page finds it in the README; decisions lead to one another by their numbers."""
    linked = {target.partition("#")[0] for target in LINK.findall((ROOT / "README.md").read_text())}
    there = {str(page.relative_to(ROOT)) for page in ROOT.glob("docs/*.md")}
    assert there - linked == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_place_on_somebodys_machine(page: Path) -> None:
    """Pages speak of folders relative to the project or to the reader."""
    assert re.findall(r"(?:/home/|/root/|/Users/|file://)\S*", page.read_text()) == []


def errors_everywhere() -> dict[str, str]:
    """Every error code of the product, with a class that carries it."""
    for name in sources.modules():
        if not name.endswith("__main__"):
            importlib.import_module(name)
    kinds: list[type[DriftgateError]] = [DriftgateError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {kind.code: kind.__name__ for kind in kinds if kind.__module__.split(".")[0] in sources.PACKAGES}


def test_every_error_code_is_explained() -> None:
    """docs/errors.md has a line for each code, and none for a code that is no more."""
    page = (ROOT / "docs" / "errors.md").read_text()
    explained = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))
    assert explained == set(errors_everywhere())


@pytest.mark.parametrize(
    ("page", "file"),
    [("settings", "configuration.md"), ("metrics", "metrics.md"), ("verbs", "command.md")],
)
def test_reference_pages_are_what_the_program_writes(page: str, file: str) -> None:
    """Every setting, metric and verb is documented, because the program writes the page: do so again."""
    assert (ROOT / "docs" / file).read_text() == REFERENCE[page](), (
        f"run: driftgate config reference {page} > docs/{file}"
    )


def test_every_setting_says_what_it_is_for() -> None:
    """No line of docs/configuration.md is without a meaning."""
    assert [setting.name for setting in all_settings() if not setting.doc] == []


def test_every_event_type_is_explained() -> None:
    """docs/webhooks.md names each type, or family of types, that a receiver may get."""
    page = (ROOT / "docs" / "webhooks.md").read_text()
    assert [name for name in DATA if f"`{name}`" not in page] == []


def test_every_table_is_in_the_page_for_newcomers_and_every_entry_is_told() -> None:
    """docs/adding.md names each table; what can be chosen stands in a document people read."""
    adding = (ROOT / "docs" / "adding.md").read_text()
    told = "".join(page.read_text() for page in PAGES)
    for table, entries in TABLES.items():
        assert f"`{table}`" in adding
        assert [name for name in entries if f"`{name}`" not in told] == [], table


def test_every_function_that_can_be_published_is_told() -> None:
    """docs/publishing.md names the functions of numpy that have an operator in ONNX, and no other."""
    page = (ROOT / "docs" / "publishing.md").read_text()
    told = re.findall(r"FunctionTransformer of one of numpy's functions \(([^)]*)\)", page)
    assert [names.split(", ") for names in told] == [sorted(KNOWN)]


def test_the_page_for_newcomers_names_files_that_exist() -> None:
    """Files and tests that docs/adding.md sends people to are there."""
    adding = (ROOT / "docs" / "adding.md").read_text()
    named = re.findall(
        r"`((?:tests|driftgate|gateway|monitor|rollouts|prediction_log|registry_client)/[^`:]+\.py)", adding
    )
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


def test_every_package_and_its_first_files_are_in_the_design() -> None:
    """docs/design.md names every package, and where it says to begin reading there is something to read."""
    design = (ROOT / "docs" / "design.md").read_text()
    found = dict(re.findall(r"^\| `(\w+)/` \|.*\| ([^|]+) \|$", design, re.MULTILINE))
    rows = {name: files for name, files in found.items() if name in sources.PACKAGES}
    assert set(rows) == set(sources.PACKAGES)
    for package, files in rows.items():
        assert [
            name for name in re.findall(r"`([^`]+)`", files) if not (ROOT / package / name).exists()
        ] == []


def test_what_the_design_names_of_the_gateway_is_there() -> None:
    """Every module and folder that docs/design.md names of the gateway exists."""
    design = (ROOT / "docs" / "design.md").read_text()
    table = design.partition("| in `gateway/` |")[2].partition("\n\n")[0]
    named = re.findall(r"`([^`]+)`", table)
    assert named
    gateway = ROOT / "gateway"
    assert [
        name for name in named if not ((gateway / name).is_dir() or (gateway / f"{name}.py").is_file())
    ] == []


def test_every_dependency_has_its_reason() -> None:
    """docs/decisions/0002-dependencies.md has a line for each direct dependency."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.split(r"[\[<>=~!]", one)[0] for one in declared]
    page = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text()
    assert [name for name in names if f"\n| {name} |" not in page] == []
