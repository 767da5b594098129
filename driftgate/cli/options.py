"""Options that several verbs share, so that each is called the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from driftgate.variables import ACTOR_VARIABLE, GATEWAY_VARIABLE, MONITOR_VARIABLE, OPERATOR_VARIABLE

Verb = TypeVar("Verb", bound=Callable[..., Any])

OPERATOR_URL: Final = "http://127.0.0.1:8081"
MONITOR_URL: Final = "http://127.0.0.1:8090"
GATEWAY_URL: Final = "http://127.0.0.1:8080"
_USUAL: Final = {"--operator": OPERATOR_URL, "--monitor": MONITOR_URL}


class Finite(click.FloatRange):
    """A number of a range, and no "nan" or "inf", which would pass as one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Misuse for what is no number, or none to count with."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number to count with.", param, ctx)
        return number


def typed(verb: str, option: str, url: str) -> str:
    """How a verb is typed that asks this URL: with its option where the URL is not the usual one."""
    return verb if url == _USUAL[option] else f"{verb} {option} {url}"


json_option = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON.")
operator_option = click.option(
    "--operator",
    metavar="URL",
    envvar=OPERATOR_VARIABLE,
    default=OPERATOR_URL,
    show_default=True,
    show_envvar=True,
    help="The operator API.",
)
monitor_option = click.option(
    "--monitor",
    "monitor_url",
    metavar="URL",
    envvar=MONITOR_VARIABLE,
    default=MONITOR_URL,
    show_default=True,
    show_envvar=True,
    help="The monitor's API.",
)
gateway_option = click.option(
    "--gateway",
    metavar="URL",
    envvar=GATEWAY_VARIABLE,
    default=GATEWAY_URL,
    show_default=True,
    show_envvar=True,
    help="The data port.",
)
actor_option = click.option(
    "--actor",
    metavar="WHO",
    envvar=ACTOR_VARIABLE,
    help="Who acts, for the history; your login name if left out.",
    show_envvar=True,
)
reason_option = click.option("--reason", metavar="TEXT", default="", help="Why, for the history.")
models_option = click.option(
    "--models",
    "models_place",
    metavar="DIR",
    default="models",
    show_default=True,
    help="The model registry.",
)
data_option = click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("driftgate-data"),
    show_default=True,
    help="The folder of all local state.",
)
config_option = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A YAML file of settings.",
)
messages_option = click.option(
    "--messages-form",
    type=click.Choice(["text", "json"]),
    help="What is told on standard error: lines for eyes, or JSON objects.  [default: text]",
)
ready_option = click.option(
    "--ready-file",
    "ready_path",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Written when everything answers: a JSON object of URLs.",
)
_GATEWAY_PORTS: Final = (
    click.option(
        "--http-port", type=int, metavar="N", help="The data port; 0 = any free one.  [default: 8080]"
    ),
    click.option(
        "--grpc-port", type=int, metavar="N", help="The gRPC port; 0 = any free one.  [default: 8082]"
    ),
    click.option("--operator-port", type=int, metavar="N", help="The operator port.  [default: 8081]"),
)
_GATEWAY: Final = (
    click.option("--models", metavar="DIR", help="The model registry.  [default: models]"),
    click.option("--data", metavar="DIR", help="The folder of all local state.  [default: driftgate-data]"),
    click.option(
        "--workers",
        type=int,
        metavar="N",
        help="Worker processes; 0 = one a processor, at most 8.  [default: 0]",
    ),
    *_GATEWAY_PORTS,
)
monitor_port_option = click.option(
    "--monitor-port", type=int, metavar="N", help="The monitor's port.  [default: 8090]"
)


def port_options(verb: Verb) -> Verb:
    """The flags of every port, for the verb that looks at them."""
    return _with(verb, (*_GATEWAY_PORTS, monitor_port_option))


def gateway_options(verb: Verb) -> Verb:
    """Flags of settings, for the verbs that start a gateway."""
    return _with(verb, _GATEWAY)


def program_options(verb: Verb) -> Verb:
    """What every verb that starts programs takes: how it talks, its settings file, its ready file."""
    return _with(verb, (messages_option, config_option, ready_option))


def flag_names(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags by the name of their setting: http_port is http.port; those not given are None."""
    parts = {"_port": ".port", "messages_": "messages."}
    found = {}
    for flag, value in flags.items():
        name = flag
        for part, setting in parts.items():
            name = name.replace(part, setting)
        found[name] = value
    return found


def _with(verb: Verb, options: Sequence[Callable[[Verb], Verb]]) -> Verb:
    """The verb with these options, listed in this order in its help."""
    for option in reversed(options):
        verb = option(verb)
    return verb
