"""The command line: ``chainrule train``, ``predict``, ``inspect`` and ``export``.

What a command does is in the file of its name; heavy libraries are imported when it runs, so that help and
errors come at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from chainrule._version import __version__
from chainrule.cli.export import export_command
from chainrule.cli.inspect import inspect_command
from chainrule.cli.predict import predict_command
from chainrule.cli.terminal import complain
from chainrule.cli.train import train_command
from chainrule.errors import ChainruleError

FAILED = 2
"""The exit status for an error that the user can mend; Ctrl-C gives 130."""

app = typer.Typer(
    add_completion=False,  # it would write to the shell's settings
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help comes in half the time
)
app.command("train")(train_command)
app.command("predict")(predict_command)
app.command("inspect")(inspect_command)
app.command("export")(export_command)


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
    """Run the command line and return its exit status: 0, 2 for a user's error, 130 after Ctrl-C."""
    try:
        app(None if arguments is None else list(arguments), prog_name="chainrule")
    except ChainruleError as error:
        complain(str(error))
        return FAILED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
