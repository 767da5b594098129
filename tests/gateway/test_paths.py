"""Paths and what they lead to."""

from gateway.paths import Paths, Target

PATHS = Paths({"/v2": 0, "/v2/models/{model}/infer": 1, "/v2/models/{model}/versions/{version}/infer": 2})


def test_segments_are_named() -> None:
    """A template's parts are what stands in their place."""
    assert PATHS.find(b"/v2") == Target(0)
    assert PATHS.find(b"/v2/models/m/infer") == Target(1, "m")
    assert PATHS.find(b"/v2/models/m/versions/3/infer") == Target(2, "m", "3")


def test_quoting_never_makes_a_segment() -> None:
    """A path is split before it is unquoted; what is unquoted is a name and nothing else."""
    assert PATHS.find(b"/v2/models/a%2Fb%20c/infer") == Target(1, "a/b c")
    assert PATHS.find(b"/v2%2Fmodels/m/infer") is None
    assert PATHS.find(b"/v2/models/%ff/infer") == Target(1, "\ufffd")


def test_a_word_behind_a_colon_is_no_name() -> None:
    """What stands behind a colon is a word of a template, escaped or not, or the path leads to nothing."""
    paths = Paths({"/v1/models/{model}": 1, "/v1/models/{model}:predict": 2})
    assert paths.find(b"/v1/models/m") == Target(1, "m")
    assert paths.find(b"/v1/models/m:predict") == paths.find(b"/v1/models/m%3apredict") == Target(2, "m")
    for path in (
        b"/v1/models/m:nope",
        b"/v1/models/m%3Anope",
        b"/v1/models/m:a:predict",
        b"/v1/models/:predict",
    ):
        assert paths.find(path) is None


def test_what_is_remembered_is_bounded() -> None:
    """However many names are tried, the memory of paths stays small, and all are still found."""
    paths = Paths({"/{model}": 1})
    for number in range(3000):
        assert paths.find(b"/%d" % number) == Target(1, str(number))
    assert len(paths._seen) <= 1024
    assert paths.find(b"/real") is paths.find(b"/real")  # remembered, though a stranger came first
    assert paths.find(b"/" + b"x" * 5000) is None
