"""Settings from four sources."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.errors import FlagError, SettingsError
from groundwork.quantities import Bytes, Seconds
from groundwork.settings import REQUIRED, Loaded, fields, load


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document inside a setting."""

    url: str
    tries: int = 3


class Log(msgspec.Struct, frozen=True):
    """A group of settings."""

    segment_bytes: Annotated[Bytes, msgspec.Meta(description="Where a segment is closed.")] = 2**28
    flush: Annotated[Seconds, msgspec.Meta(gt=0)] = 0.05
    keep: Seconds | None = None
    columns: tuple[str, ...] = ()
    form: Literal["text", "json"] = "text"


class Paths(msgspec.Struct, frozen=True):
    """A group whose name is nearly that of a setting."""

    far: int = 0


class Settings(msgspec.Struct, frozen=True):
    """What a program declares."""

    paths: Paths = Paths()
    path: str = ""
    log: Log = Log(form="json")
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    rate: float = 1.0
    fast: bool = False
    folder: Path | None = None
    key: Annotated[str, msgspec.Meta(extra={"secret": True})] = ""
    numbers: list[int] = msgspec.field(default_factory=list)
    targets: tuple[Target, ...] = ()

    def __post_init__(self) -> None:
        if self.fast and self.port == 0:
            raise ValueError("a fast program needs a port")


def settings(
    path: Path,
    yaml: str = "",
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Loaded[Settings]:
    """The settings of this file's text, these variables and these flags."""
    file = path / "driftgate.yaml"
    file.write_text(yaml)
    reserved = frozenset({"DRIFTGATE_KEY_FILE"})
    return load(Settings, file=file, environ=environ or {}, flags=flags or {}, reserved=reserved)


def test_without_sources_the_defaults_hold() -> None:
    """Every setting has its declared default, the group's own included, and says so."""
    loaded = load(Settings, file=None, environ={"HOME": "/"}, flags={})
    assert loaded.value == Settings()
    assert loaded.value.log.form == "json"
    assert set(loaded.sources.values()) == {"default"}
    assert set(loaded.sources) == {setting.name for setting in fields(Settings)}


def test_the_later_source_wins_and_is_named(tmp_path: Path) -> None:
    """Defaults yield to the file, the file to variables, variables to flags."""
    yaml = "port: 1\nrate: 2\nlog: {flush: 100ms, columns: [a]}"
    environ = {"DRIFTGATE_RATE": "3", "DRIFTGATE_LOG_COLUMNS": "b"}
    loaded = settings(tmp_path, yaml, environ, {"log.columns": ["c"], "fast": None})
    assert loaded.value == Settings(port=1, rate=3.0, log=Log(form="json", flush=0.1, columns=("c",)))
    assert loaded.sources["port"] == f"file {tmp_path / 'driftgate.yaml'}"
    assert loaded.sources["rate"] == "variable DRIFTGATE_RATE"
    assert loaded.sources["log.columns"] == "flag --log-columns"
    assert loaded.sources["fast"] == "default"


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("PORT", "9000", "port", 9000),
        ("RATE", "0.5", "rate", 0.5),
        ("FAST", "yes", "fast", True),
        ("FAST", "False", "fast", False),
        ("FAST", "0", "fast", False),
        ("FOLDER", "/data", "folder", Path("/data")),
        ("FOLDER", "", "folder", None),
        ("NUMBERS", "1, 2,3", "numbers", [1, 2, 3]),
        ("NUMBERS", "", "numbers", []),
        ("NUMBERS", "[4, 5]", "numbers", [4, 5]),
        ("TARGETS", '[{"url": "http://x", "tries": 1}]', "targets", (Target("http://x", 1),)),
        ("KEY", "123", "key", "123"),
        ("KEY", "[", "key", "["),
    ],
)
def test_variables_are_texts_and_are_converted(
    tmp_path: Path, variable: str, text: str, name: str, value: object
) -> None:
    """Numbers, yes and no, lists, nothing, and JSON for what is deeper."""
    assert getattr(settings(tmp_path, environ={f"DRIFTGATE_{variable}": text}).value, name) == value


@pytest.mark.parametrize(
    ("written", "rate"), [("1e8", 1e8), ("1e+08", 1e8), ("-2E-2", -0.02), ("1.0e+8", 1e8), ("3", 3.0)]
)
def test_a_number_is_written_with_or_without_a_point(tmp_path: Path, written: str, rate: float) -> None:
    """As the reference page writes it: for YAML 1.1 an exponent alone makes no number."""
    assert settings(tmp_path, f"rate: {written}").value.rate == rate
    for text in ("1e999", "e8", "1e8 rows"):
        with pytest.raises(SettingsError, match="rate"):
            settings(tmp_path, f"rate: {text}")
    assert settings(tmp_path, "path: 1e8").value.path == "1e8"


@pytest.mark.parametrize(
    ("yaml", "size", "keep"),
    [
        ("log: {segment_bytes: 64MiB, keep: 1h}", 2**26, 3600.0),
        ("log: {segment_bytes: 5, keep: 1.5}", 5, 1.5),
        ("log: {segment_bytes: '5', keep: '2'}", 5, 2.0),
        ("log: {keep: null}", 2**28, None),
        ("log:", 2**28, None),
        ("# nothing", 2**28, None),
    ],
)
def test_quantities_may_be_written_with_units(
    tmp_path: Path, yaml: str, size: int, keep: float | None
) -> None:
    """A size or a duration is a number in its own unit, or a text with one."""
    log = settings(tmp_path, yaml).value.log
    assert (log.segment_bytes, log.keep) == (size, keep)


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("prot: 1", ["unknown setting prot", "closest known is port"]),
        ("log: {segmentbytes: 1}", ["unknown setting log.segmentbytes", "log.segment_bytes"]),
        ("log: 5", ["log: wanted a mapping of settings, found 5; such as log: {segment_bytes: …}"]),
        ("logs: {x: 1}", ["unknown setting logs", "closest known is log"]),
        ("rat: {per: 3}", ["unknown setting rat", "closest known is paths"]),
        ("paths: 3", ["paths: wanted a mapping of settings, found 3; did you mean path?"]),
        ("pathz: x", ["unknown setting pathz", "closest known is path"]),
        ("pathz: {far: 1}", ["unknown setting pathz", "closest known is paths"]),
        ("[1]", ["the whole file: wanted a mapping"]),
        ("port: high", ["port (file ", "wanted a whole number from 0 to 65535, found 'high'"]),
        ("port: 70000", ["wanted a whole number from 0 to 65535, found 70000"]),
        ("port: 1.5", ["wanted a whole number from 0 to 65535, found 1.5"]),
        ("rate: .nan", ["wanted a number, found nan", "finite"]),
        ("fast: maybe", ["wanted true or false, found 'maybe'"]),
        ("folder: 3", ["wanted a path or nothing, found 3"]),
        ("log: {form: xml}", ["wanted one of text, json, found 'xml'"]),
        ("log: {flush: 5 parsecs}", ["wanted a duration such as \"30s\", found '5 parsecs'"]),
        ("log: {flush: 0}", ["log.flush", "> 0"]),
        ("log: {segment_bytes: -1}", ["log.segment_bytes", "less than 0"]),
        ("log: {segment_bytes: many}", ['wanted a size such as "64MiB"']),
        ("targets: [{url: x, retries: 3}]", ["targets", "unknown field `retries`"]),
        ("port: 1\nrate: 1\nport: 2", ["port stands there again in line 3"]),
        ("port: 1\nrate: 2026-13-01", ["wanted YAML, found month must be in 1..12 in line 2"]),
        ("[" * 5000, ["stand too deep in each other"]),
        ("port: 010", ["010 in line 1 is 8 to YAML"]),
        ("log: {keep: 1, keep: 2}", ["keep stands there again"]),
        ("fast: true\nport: [", ["wanted YAML, found", "in line 2", "correct it there"]),
        ("port: !!python/object:os.system {}", ["wanted YAML"]),
        ("fast: true\nport: 0", ["a fast program needs a port", "driftgate.yaml"]),
    ],
)
def test_a_file_that_cannot_be_honoured_is_an_error(tmp_path: Path, yaml: str, words: list[str]) -> None:
    """One line that names the setting, the source, what was wanted and what was found."""
    with pytest.raises(SettingsError) as refused:
        settings(tmp_path, yaml)
    assert "\n" not in str(refused.value)
    assert "string>" not in str(refused.value)
    assert [word for word in words if word not in str(refused.value)] == []


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A file that was named must be there."""
    with pytest.raises(SettingsError, match="No such file"):
        load(Settings, file=tmp_path / "none.yaml", environ={}, flags={})


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    """Bytes that are no text are refused in one line."""
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xff\xfe\xff\x00\x81")
    with pytest.raises(SettingsError, match="wanted YAML"):
        load(Settings, file=file, environ={}, flags={})


def test_an_unknown_variable_is_an_error_unless_reserved(tmp_path: Path) -> None:
    """A misspelt variable is named with the nearest known one; reserved and foreign ones pass."""
    with pytest.raises(SettingsError, match=r"variable DRIFTGATE_PROT: unknown.*DRIFTGATE_PORT"):
        settings(tmp_path, environ={"DRIFTGATE_PROT": "1"})
    assert settings(tmp_path, environ={"DRIFTGATE_KEY_FILE": "x", "DRIFT": "y"}).value == Settings()


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    """The error shows the variable and its text, and never that of a secret."""
    with pytest.raises(
        SettingsError,
        match=r"port \(variable DRIFTGATE_PORT\): wanted a whole number from 0 to 65535, found 'x'",
    ):
        settings(tmp_path, environ={"DRIFTGATE_PORT": "x"})
    with pytest.raises(SettingsError) as refused:
        settings(tmp_path, "key: [hunter2]")
    assert "hunter2" not in str(refused.value)


def test_an_unknown_flag_is_an_error(tmp_path: Path) -> None:
    """A program that passes a flag for no setting is told."""
    with pytest.raises(
        SettingsError, match=r"flag log\.flash: unknown setting; the closest known is log\.flush"
    ):
        settings(tmp_path, flags={"log.flash": 1})


def test_a_value_that_a_flag_cannot_have_is_told_apart(tmp_path: Path) -> None:
    """It is a misuse of the command, which a wrong file or variable is not."""
    with pytest.raises(FlagError, match=r"flag --log-flush"):
        settings(tmp_path, flags={"log.flush": "soon"})
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, "log: {flush: soon}")
    assert not isinstance(caught.value, FlagError)


def test_flags_are_texts_or_values(tmp_path: Path) -> None:
    """A flag may bring a value that was parsed already, or a text like a variable's."""
    loaded = settings(tmp_path, flags={"port": 7, "rate": "0.25", "log.flush": "1s", "folder": Path("x")})
    expected = Settings(port=7, rate=0.25, folder=Path("x"), log=Log(form="json", flush=1.0))
    assert loaded.value == expected


def test_a_setting_describes_itself() -> None:
    """Name, type in words, default and purpose come from the declaration."""
    found = {setting.name: setting for setting in fields(Settings)}
    size = found["log.segment_bytes"]
    assert (size.type, size.default, size.doc) == (
        'a size such as "64MiB"',
        2**28,
        "Where a segment is closed.",
    )
    assert size.variable("DRIFTGATE_") == "DRIFTGATE_LOG_SEGMENT_BYTES"
    assert found["log.keep"].type == 'a duration such as "30s" or nothing'
    assert found["log.form"].default == "json"
    assert found["numbers"].default == []
    assert [name for name, setting in found.items() if setting.secret] == ["key"]


def test_a_required_setting_must_be_given() -> None:
    """A setting without a default is an error that says how to give it."""

    class Strict(msgspec.Struct, frozen=True):
        """One required setting."""

        name: str

    assert fields(Strict)[0].default is REQUIRED
    with pytest.raises(SettingsError, match="name is required: set it in the file, or by DG_NAME"):
        load(Strict, file=None, environ={}, flags={}, prefix="DG_")
    assert load(Strict, file=None, environ={"DG_NAME": "x"}, flags={}, prefix="DG_").value == Strict("x")


def test_two_settings_must_not_share_a_variable() -> None:
    """A program whose names collide as variables is wrong, and is told at once."""

    class Inner(msgspec.Struct, frozen=True):
        """A group."""

        b_c: int = 0

    class Clash(msgspec.Struct, frozen=True):
        """Settings a.b_c and a_b_c."""

        a: Inner = Inner()
        a_b_c: int = 0

    with pytest.raises(TypeError, match="share a variable"):
        load(Clash, file=None, environ={}, flags={})


@given(
    st.dictionaries(st.sampled_from(["PORT", "RATE", "FAST", "LOG_KEEP", "NUMBERS", "TARGETS"]), st.text())
)
def test_any_variable_is_honoured_or_refused_in_our_words(environ: dict[str, str]) -> None:
    """No text of a variable makes loading fail in any other way."""
    try:
        loaded = load(
            Settings, file=None, environ={f"DRIFTGATE_{k}": v for k, v in environ.items()}, flags={}
        )
    except SettingsError:
        return
    assert sum(source != "default" for source in loaded.sources.values()) == len(environ)


class Shares(msgspec.Struct, frozen=True):
    """A setting that is a mapping."""

    sampling: dict[str, Annotated[float, msgspec.Meta(ge=0, le=1)]] = {}


def test_a_mapping_is_written_in_the_file_or_as_json() -> None:
    """Its keys are the reader's own; its values are checked."""
    (setting,) = fields(Shares)
    assert setting.type == "a mapping from text to a number from 0 to 1"
    environ = {"DRIFTGATE_SAMPLING": '{"m": 0.5}'}
    assert load(Shares, file=None, environ=environ, flags={}).value == Shares({"m": 0.5})
    with pytest.raises(SettingsError, match="sampling"):
        load(Shares, file=None, environ={"DRIFTGATE_SAMPLING": '{"m": 2}'}, flags={})
