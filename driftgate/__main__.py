"""The `driftgate` command: a table of verbs, and the edge where errors become one line and an exit code.

Rules: nothing of a verb is loaded before the verb is used, so that `driftgate --help` is instant; exit codes
are 0 done, 1 refused or failed, 2 misused; a person never sees a traceback of an error we know.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final


def forget_working_folder(path: list[str], folder: str, home: str) -> None:
    """Take the working folder out of `path` (in place), so that a `monitor.py` in it is not taken for ours.

    `python -m driftgate` puts it first. It stays when it is `home`, the folder that holds our packages.
    """
    if path and path[0] in ("", folder) and folder != home:
        del path[0]


if __name__ == "__main__":
    forget_working_folder(sys.path, os.getcwd(), str(Path(__file__).resolve().parents[1]))  # noqa: PTH109  as sys.path has it

try:
    import click

    from driftgate.credentials import Credentials
    from driftgate.verbs import VERBS, LazyGroup
    from groundwork.errors import DriftgateError, FlagError
    from groundwork.files import said_of
except KeyboardInterrupt:  # Ctrl-C while all this is read: nothing was begun, and nobody wants a traceback
    sys.exit(130)

DONE: Final = 0
FAILED: Final = 1
MISUSED: Final = 2


FIRST_STEPS: Final = (
    "driftgate push model.joblib --name fraud --reference rows.csv --labels outcome --models models",
    "driftgate up --models models --data data",
    "driftgate rollout start fraud --to 2",
)


@click.group(
    cls=LazyGroup,
    verbs=VERBS,
    examples=FIRST_STEPS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="driftgate", message="%(prog)s %(version)s")
@click.option("--ca", metavar="FILE", default="", help="PEM: whom to trust at an https URL.")
@click.option("--cert", metavar="FILE", default="", help="PEM: our certificate, where a port asks for one.")
@click.option("--key", "cert_key", metavar="FILE", default="", help="PEM: the private key of --cert.")
@click.pass_context
def cli(ctx: click.Context, ca: str, cert: str, cert_key: str) -> None:
    """Serve ONNX models, roll new versions out on evidence, watch what goes through, ask for a retrain."""
    ctx.obj = Credentials(ca=ca, cert=cert, cert_key=cert_key)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code. `arguments` None means those of the process."""
    # onnxruntime reports home and leaves a file in the temporary folder unless it is told not to before it
    # loads; programs that we start inherit this.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        result = cli.main(args=arguments, prog_name="driftgate", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return MISUSED
    except click.UsageError as error:
        return _fail(f"{error.format_message()}{_hint(error)}", MISUSED)
    except click.ClickException as error:
        return _fail(error.format_message(), FAILED)
    except FlagError as error:
        return _fail(str(error), MISUSED)
    except DriftgateError as error:
        return _fail(str(error), FAILED)
    except (click.Abort, KeyboardInterrupt):
        return _fail("stopped", FAILED)
    except BrokenPipeError:
        # The reader of our output went away (`driftgate … | head`); Python must not flush into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        # A full disk, a folder that is not there or not ours: the verbs that know more say it better.
        result = _fail(said_of(error), FAILED)
    return result if isinstance(result, int) else DONE


def main() -> None:
    """The entry point of the installed command."""
    sys.exit(run())


def _hint(error: click.UsageError) -> str:
    return f" (try: {error.ctx.command_path} --help)" if error.ctx else ""


def _fail(message: str, code: int) -> int:
    """Say why in one line on stderr, without control characters; red where it is a terminal."""
    from monitor.retries import printable  # noqa: PLC0415  only what fails needs it

    line = printable(message)
    click.echo(f"{click.style('driftgate:', fg='red', bold=True)} {line}", err=True)
    return code


if __name__ == "__main__":
    main()
