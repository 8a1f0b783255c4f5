"""The command line: ``chainrule train``, ``predict``, ``inspect`` and ``export``.

What a command does is in the file of its name; heavy libraries are imported when it runs, so that help and
errors come at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from chainrule._version import __version__
from chainrule.cli.doctor import doctor_command
from chainrule.cli.export import export_command
from chainrule.cli.inspect import inspect_command
from chainrule.cli.predict import predict_command
from chainrule.cli.spelling import for_command
from chainrule.cli.terminal import complain, every_character, nowhere
from chainrule.cli.train import INTERRUPTED, train_command
from chainrule.cli.usage import PlainGroup, ThemedCommand
from chainrule.errors import ChainruleError
from chainrule.system.signals import caught

FAILED = 2
"""The exit status for an error that the user can mend; Ctrl-C gives 130."""

UNREAD = 141
"""The exit status where nobody read on what was written, as in ``--out /dev/stdout | head -1``: that of SIGPIPE."""

app = typer.Typer(
    cls=PlainGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help comes in half the time
)
for name, command, summary in (
    ("train", train_command, "Train a network on a table."),
    ("predict", predict_command, "Predict for the rows of a table."),
    ("inspect", inspect_command, "Show what a saved model is."),
    ("export", export_command, "Write a saved model as ONNX."),
    ("doctor", doctor_command, "Show what is installed, and test it."),
):
    app.command(name, cls=ThemedCommand, short_help=summary)(command)


def show_version(wanted: bool) -> None:
    """Print the version and end, if it is asked for."""
    if wanted:
        typer.echo(f"chainrule {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """Train neural networks on tables, and predict with them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for a user's error, 130 after Ctrl-C, 143 after SIGTERM."""
    with caught(KeyboardInterrupt) as signal:
        try:
            status = _status(arguments)
        except KeyboardInterrupt:  # before the command begins
            status = INTERRUPTED
    return signal.status if status == INTERRUPTED else status


def _status(arguments: Sequence[str] | None) -> int:
    try:
        with every_character():
            app(None if arguments is None else list(arguments), prog_name="chainrule")
    except ChainruleError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            return UNREAD
        complain(str(for_command(error)))
        return FAILED
    except OSError as error:  # what is printed goes to a disk that is full
        complain(f"could not print: {error.strerror}")
        nowhere(sys.stdout)
        return FAILED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
