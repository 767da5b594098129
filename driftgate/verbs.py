"""The verbs of the command, by name: where each is, and its one line of help.

A new verb is one file in `driftgate/cli/` and one line here. A test holds every line here against the verb's
own help.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
import msgspec


class Verb(msgspec.Struct, frozen=True):
    """Where a verb's command is ("module:name"), and what it does, in one line."""

    place: str
    summary: str


VERBS: Final[Mapping[str, Verb]] = {
    "up": Verb("driftgate.cli.up:up", "Start gateway and monitor together, and stop them in order."),
    "serve": Verb("driftgate.cli.serve:serve", "Start the gateway alone."),
    "monitor": Verb("driftgate.cli.monitor:monitor", "Start the monitor alone."),
    "push": Verb("driftgate.cli.push:push", "Publish a scikit-learn pipeline or an ONNX file as a version."),
    "models": Verb("driftgate.cli.models:models", "List models and versions, or show one."),
    "rollout": Verb("driftgate.cli.rollout:rollout", "Bring a version to traffic on evidence, and back."),
    "profile": Verb("driftgate.cli.profile:profile", "Build or show a reference profile."),
    "drift": Verb("driftgate.cli.drift:drift", "Show what the monitor sees, version by version."),
    "incidents": Verb("driftgate.cli.incidents:incidents", "List incidents, or show one."),
    "labels": Verb("driftgate.cli.labels:labels", "Send what really happened for past predictions."),
    "log": Verb("driftgate.cli.log:log", "Export the prediction log with its labels, or delete from it."),
    "webhooks": Verb("driftgate.cli.webhooks:webhooks", "List, show, replay and test webhook deliveries."),
    "retrains": Verb("driftgate.cli.retrains:retrains", "List requests to retrain, and report how one goes."),
    "doctor": Verb("driftgate.cli.doctor:doctor", "Look for what is wrong, repair it, back up and restore."),
    "config": Verb(
        "driftgate.cli.config:config", "Show settings and their sources, check or reload them, or keep keys."
    ),
    "demo": Verb("driftgate.cli.demo:demo", "Watch the whole ring close on a small world, in two minutes."),
}


WHOLE: Final = 1000
"""Characters of a verb's first sentence that its family's help shows: all there are."""


class Taught:
    """Help that ends with examples, one a line, exactly as one would type them."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Write the examples, unwrapped."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class TaughtCommand(Taught, click.Command):
    """A verb with examples."""


class TaughtGroup(Taught, click.Group):
    """A family of verbs, each with examples; `default` is the one that is meant where none is named."""

    command_class = TaughtCommand

    def __init__(self, *arguments: Any, default: str | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default in where nothing, or an option other than --help, stands first."""
        if self.default is not None and (not args or _is_option(args[0])):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self,
        ctx: click.Context,
        args: list[str],
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve, adding the closest name when there is no such verb."""
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            raise click.UsageError(_unknown(args[0], names), ctx)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The names in the order in which they were declared: of a first day, not of the alphabet."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of verbs, each with the whole of its first sentence."""
        verbs = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.get_short_help_str(limit=WHOLE)) for name, verb in verbs if verb])

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say which verb is the default."""
        super().format_help_text(ctx, formatter)
        if self.default is not None:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(f"`{ctx.command_path}` alone is `{ctx.command_path} {self.default}`.")


class LazyGroup(TaughtGroup):
    """A group whose verbs are loaded when they are used; its help needs none of them."""

    def __init__(self, *arguments: Any, verbs: Mapping[str, Verb], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The names in the table's order, which is the order of a first day."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Load the verb."""
        verb = self._verbs.get(cmd_name)
        return pkgutil.resolve_name(verb.place) if verb else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Write the table of verbs from their summaries."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.summary) for name, verb in self._verbs.items()])


def _is_option(word: str) -> bool:
    return word.startswith("-") and word not in ("-h", "--help")


def _unknown(name: str, verbs: Sequence[str]) -> str:
    import difflib  # noqa: PLC0415  only a mistake needs it

    close = difflib.get_close_matches(name, verbs, n=1)
    return f"no such verb: {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")
