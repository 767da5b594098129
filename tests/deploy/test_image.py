"""The Dockerfile, read as text: nobody needs a daemon to see that it is wrong."""

import json
import re
import tomllib
from typing import Any, Final

import pytest

from driftgate.doctor.probe import PATHS
from tests.sources import PACKAGES, ROOT

TARGETS: Final = ("gateway", "monitor")
Step = tuple[str, str]
"""An instruction and what follows it."""


def stages() -> dict[str, tuple[str, list[Step]]]:
    """Each stage of the Dockerfile by name: what it starts from, and its steps."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    found: dict[str, tuple[str, list[Step]]] = {}
    steps: list[Step] = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            origin, _, name = rest.partition(" AS ")
            steps = []
            found[name] = (origin, steps)
        elif word:
            steps.append((word, rest))
    return found


def steps_of(target: str) -> list[Step]:
    """Every step that a stage is made of, its ancestors' first."""
    known = stages()
    origin, own = known[target]
    return (steps_of(origin) if origin in known else []) + own


def last(target: str, word: str) -> str:
    """The instruction that holds in the end."""
    return [rest for name, rest in steps_of(target) if name == word][-1]


def test_what_is_copied_exists() -> None:
    """Every source of a COPY is a file or folder of the project, or another stage."""
    for name, (_, steps) in stages().items():
        for rest in (rest for word, rest in steps if word == "COPY"):
            *sources, _ = rest.split()
            if sources[0].startswith("--from="):
                assert sources[0].removeprefix("--from=") in stages(), (name, rest)
                continue
            # The locks may be absent.
            assert [place for place in sources if place != "*.lock" and not (ROOT / place).exists()] == []


def test_what_is_copied_reaches_the_builder() -> None:
    """The ignore file shuts everything out and lets in what a COPY names, every package among it."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        place.removeprefix("./")
        for word, rest in stages()["source"][1]
        if word == "COPY"
        for place in rest.split()[:-1]
    }
    assert "*" in lines
    assert copied == let_in
    assert set(PACKAGES) <= copied


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_does_not_run_as_root(target: str) -> None:
    """The user is a number other than 0, which Kubernetes can check."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last(target, "USER"))


@pytest.mark.parametrize(("target", "port", "more"), [("gateway", 8080, " 8082"), ("monitor", 8090, "")])
def test_an_image_knows_when_it_is_healthy(target: str, port: int, more: str) -> None:
    """The health check is our own, of the program that the image starts, without a shell."""
    check = last(target, "HEALTHCHECK").partition("CMD ")[2]
    assert json.loads(check) == ["driftgate", "doctor", "--probe", target]
    assert target in PATHS
    assert last(target, "EXPOSE") == f"{port}{more}"


@pytest.mark.parametrize(("target", "verb"), [("gateway", "serve"), ("monitor", "monitor")])
def test_signals_reach_the_program(target: str, verb: str) -> None:
    """The program is started without a shell in between, by a verb that exists, and stopped by SIGTERM."""
    command: list[Any] = json.loads(last(target, "ENTRYPOINT")) + json.loads(last(target, "CMD"))
    assert command == ["driftgate", verb]
    assert (ROOT / "driftgate" / "cli" / f"{verb}.py").exists()
    assert last(target, "STOPSIGNAL") == "SIGTERM"


def test_only_the_monitors_image_has_the_monitors_libraries() -> None:
    """The gateway is installed with gRPC, the monitor with its own libraries, and neither with any other."""
    extras = {
        target: re.findall(r"\[(\w+)\]\"", " ".join(rest for _, rest in stages()[f"{target}-wheels"][1]))
        for target in TARGETS
    }
    assert extras == {"gateway": ["grpc"], "monitor": ["monitor"]}


def test_images_install_pinned_versions_only() -> None:
    """Whatever pip brings in is held by the constraints or by digests, or is taken from a folder."""
    for line in re.findall(r"pip (?:install|wheel|download)[^;&]*", (ROOT / "Dockerfile").read_text()):
        assert re.search(r"--constraint constraints.txt|--require-hashes|--no-deps", line), line
    pip = [rest for _, rest in stages()["source"][1] if '"--upgrade", "pip"' in rest]
    assert all('"--constraint", "constraints.txt"' in rest for rest in pip)


def test_the_base_image_fits_the_project() -> None:
    """The Python of the images is one the project says it runs on."""
    found = re.search(
        r"^ARG PYTHON_IMAGE=python:(\d+\.\d+)-slim-\w+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    assert found is not None
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {found[1]}" in metadata["classifiers"]


def test_no_secret_is_built_in() -> None:
    """Neither a variable nor an argument of the build is a key, a password or a token."""
    for _, steps in stages().values():
        for word, rest in steps:
            if word in {"ENV", "ARG"}:
                assert not re.search(r"(?i)key|secret|token|password", rest), rest
