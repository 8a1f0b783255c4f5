"""Help with the options under headings, and what is said of a call whose words do not fit.

The words of a call may be names of files, which the shell has put there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from chainrule.cli.options import COMMANDS, flag
from chainrule.cli.train import checked_settings
from chainrule.foreign_text import WIDTH, clipped

UsageError: Any = typer.BadParameter.__bases__[
    0
]  # typer brings click under a name of its own, or not, by version


class ThemedCommand(TyperCommand):
    """A command whose help lists its options under the headings of their records."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Of the words behind its name."""
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            _check_number(error.param, words, ctx.default_map)
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        _write_themes(self, ctx, formatter)


class PlainGroup(TyperGroup):
    """Commands that show the words of a call clipped and without control characters."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        _write_themes(self, ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Of the words before a command's name; no words at all ask for help."""
        with _plain_words():
            return super().parse_args(ctx, args if args or ctx.resilient_parsing else ["--help"])

    def invoke(self, ctx: Any) -> Any:
        """Of the words behind it."""
        with _plain_words():
            return super().invoke(ctx)


def _write_themes(command: Any, ctx: Any, formatter: Any) -> None:
    """Write what each parameter's record says, in plain text: rich would take as long to import as all the rest."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            argument = parameter.param_type_name == "argument"
            theme = "Arguments" if argument else getattr(parameter, "rich_help_panel", None) or "General"
            sections.setdefault(theme, []).append(record)
    for theme, records in sections.items():
        with formatter.section(theme):
            formatter.write_dl(records)


@contextmanager
def _plain_words() -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        error.message = clipped(error.message, WIDTH) + _whose(error)
        raise


def _check_number(parameter: Any, words: Sequence[str], defaults: Any) -> None:
    """SettingError, as for a number out of range, where a setting of training is not a number at all."""
    name = str(getattr(parameter, "name", None))
    if name not in COMMANDS["train"] or not COMMANDS["train"][name].works:
        return
    for place, word in reversed(list(enumerate(words))):
        spelled, equals, value = word.partition("=")
        if spelled in parameter.opts:
            checked_settings(**{name: value if equals else words[place + 1]})
    checked_settings(**{name: (defaults or {}).get(name)})


def _whose(error: Any) -> str:
    """Which commands have the option that this one has not."""
    given = str(getattr(error, "option_name", None))
    own = getattr(error.ctx, "command", None)
    others = [
        command
        for command, records in COMMANDS.items()
        if command != getattr(own, "name", None) and given in map(flag, records)
    ]
    return f": it is an option of {' and '.join(others)}" if others else ""
