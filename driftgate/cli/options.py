"""Options that several verbs share, so that each is called the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from driftgate.remote import ACTOR_VARIABLE, GATEWAY_VARIABLE, MONITOR_VARIABLE, OPERATOR_VARIABLE

OPERATOR_URL: Final = "http://127.0.0.1:8081"
MONITOR_URL: Final = "http://127.0.0.1:8090"
GATEWAY_URL: Final = "http://127.0.0.1:8080"

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
