"""The table of verbs: each is there, teaches with examples, and says in the table what its own help says."""

from collections.abc import Iterator

import click
import pytest

from driftgate.__main__ import cli, run
from driftgate.verbs import VERBS, Taught, TaughtGroup

RESERVED = {
    *("up", "serve", "monitor", "push", "models", "rollout", "profile", "drift", "incidents", "labels"),
    *("log", "webhooks", "retrains", "doctor", "config", "demo"),
}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every verb and every verb below it, with its path."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        yield from below(name, command)


def below(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A verb and every verb below it."""
    yield path, command
    if isinstance(command, click.Group):
        for name, found in command.commands.items():
            yield from below(f"{path} {name}", found)


COMMANDS = dict(commands())


def test_every_name_is_one_of_the_reserved_ones() -> None:
    """People's scripts depend on the names."""
    assert set(VERBS) <= RESERVED


@pytest.mark.parametrize("name", VERBS)
def test_the_table_says_what_the_verb_says(name: str) -> None:
    """The line in `driftgate --help` is the first line of the verb's own help."""
    assert (COMMANDS[name].help or "").splitlines()[0] == VERBS[name].summary


@pytest.mark.parametrize("name", COMMANDS)
def test_every_verb_teaches_with_an_example(name: str) -> None:
    """Help says what the verb does and shows how it is typed."""
    command = COMMANDS[name]
    assert command.help
    assert isinstance(command, Taught)
    assert command.examples
    assert all(f"driftgate {name.split(maxsplit=1)[0]}" in example for example in command.examples)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name: str) -> None:
    """No option is without help."""
    bare = [
        parameter.name
        for parameter in COMMANDS[name].params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert bare == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_can_be_parsed(name: str) -> None:
    """An example names options that the verb has."""
    command = COMMANDS[name]
    assert isinstance(command, Taught)
    known = {option for found in COMMANDS.values() for parameter in found.params for option in parameter.opts}
    for example in command.examples:
        words = [word.rstrip(",") for word in example.split() if word.startswith("--")]
        assert set(words) <= known, example


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_group_alone_is_its_default(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A name without a verb below it, with or without options, means the verb that its help says."""
    assert run(["config", *options]) == 0
    alone = capsys.readouterr().out
    assert run(["config", "show", *options]) == 0
    assert capsys.readouterr().out == alone
    assert run(["config", "--help"]) == 0
    assert "`driftgate config` alone is `driftgate config show`." in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_family_lists_whole_sentences_in_the_order_of_use(name: str) -> None:
    """Nothing is cut to an ellipsis at 80 characters, and `start` stands before `abort`."""
    command = COMMANDS[name]
    if isinstance(command, TaughtGroup):
        listed = command.get_help(click.Context(command, info_name=name, terminal_width=80)).partition(
            "Verbs:"
        )[2]
        text = " ".join(listed.split())
        places = [
            text.index(f"{name} {verb.get_short_help_str(1000)}") for name, verb in command.commands.items()
        ]
        assert places == sorted(places)
        assert "..." not in text


@pytest.mark.parametrize("name", COMMANDS)
def test_a_default_is_a_verb(name: str) -> None:
    """What a group alone means is there."""
    command = COMMANDS[name]
    if isinstance(command, TaughtGroup) and command.default is not None:
        assert command.default in command.commands


def test_a_verb_that_does_not_work_yet_does_not_appear() -> None:
    """There are no stubs: what is listed resolves to a command."""
    assert all(isinstance(command, click.Command) for command in COMMANDS.values())
