"""Where the paths of the data port lead."""

from gateway.destinations import destinations_of, targets_of
from gateway.pages.page import Page
from gateway.settings import PlatformSettings
from groundwork.keys import INFER

VERTEX = "gateway.protocols.vertex:CODEC"


def test_a_path_that_a_platform_chose_comes_first() -> None:
    """It leads to what its setting is for, even where a page has that path."""
    targets = targets_of(PlatformSettings(vertex_predict="/ping"))
    assert next(iter(targets.items())) == ("/ping", VERTEX)


def test_a_path_of_a_protocol_stays_the_protocols() -> None:
    """A platform that is given the path of a model's inference, or of its health, changes nothing there."""
    chosen = PlatformSettings(vertex_predict="/v2/models/m/infer", vertex_health="/v2/health/ready")
    assert dict(targets_of(chosen)) == dict(targets_of(PlatformSettings()))


def test_one_path_may_be_sent_to_and_read() -> None:
    """Where a page stood, predictions are sent to and the page is read; only who predicts shows a key."""
    platform = PlatformSettings(vertex_predict="/ping", vertex_health="/ping")
    found = destinations_of(platform, targets_of(platform))["/ping"]
    assert (found.scope, isinstance(found.leads, Page)) == (INFER, False)
    assert found.beside is not None
    assert (found.beside.scope, isinstance(found.beside.leads, Page)) == (None, True)
