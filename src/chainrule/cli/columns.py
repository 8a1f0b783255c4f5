"""What a command is told about a table's columns, and options that come from a file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from chainrule.cli.options import PREDICT, TRAIN, flag
from chainrule.data.describe import suggest_names
from chainrule.data.features.column_options import Columns
from chainrule.errors import SettingError
from chainrule.foreign_text import clipped, quoted


def columns_from(
    types: Sequence[str] | None,
    ignore: Sequence[str] | None,
    missing: Sequence[str] | None,
    decimal: str | None,
    day_first: bool | None,
    keep: Sequence[str] | None,
) -> Columns:
    """What the options say about the columns; SettingError for a type that is not written as COLUMN=TYPE."""
    said = {}
    for text in types or ():
        name, equals, kind = text.rpartition("=")
        if not equals:
            raise SettingError(
                "--type says a column and its type", expected="COLUMN=TYPE, as in zip=text", got=quoted(text)
            )
        said[name] = kind.strip().lower()
    marks: dict[str | None, tuple[str, ...]] = {}
    for text in missing or ():
        column, _, texts = text.rpartition("=")
        marks[column or None] = (*marks.get(column or None, ()), *texts.split(","))
    return Columns(said, tuple(ignore or ()), marks, decimal, day_first, tuple(keep or ()))


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Take the values of a TOML file for options that are not given; SettingError for what is no option."""
    if path is None or context.resilient_parsing:
        return path
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingError(f"--config cannot be read: {clipped(reason)}", got=str(path)) from None
    options = {
        name.lstrip("-").split("/")[0]: parameter
        for parameter in context.command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--") and parameter.name != "config"
    }
    negated = {name[2:] for parameter in context.command.params for name in parameter.secondary_opts}
    context.default_map = {
        str(options[key].name): _option_value(key, not value if key in negated else value)
        for name, value in values.items()
        if not _is_of_training(name, context, options) and (key := _known(name, options, path))
    }
    return path


def _is_of_training(name: str, context: typer.Context, options: Mapping[str, Any]) -> bool:
    """Whether an option is one that ``train`` alone has: prediction takes the file that a model was trained with."""
    key = f"--{name.replace('_', '-')}"
    return (
        context.command.name == "predict"
        and key[2:] not in options
        and any(key in (record.spelled or flag(other)).split() for other, record in TRAIN.items())
    )


def _known(name: str, options: Mapping[str, Any], path: Path) -> str:
    key = name.replace("_", "-")
    if key not in options and any(key == other.replace("_", "-") for other in PREDICT):
        raise SettingError(
            f"{path}: {quoted(name)} is an option of chainrule predict alone",
            expected="options of chainrule train, of which predict takes those that it knows",
            hint=f"--{key} after chainrule predict",
        )
    if key not in options:
        raise SettingError(
            f"{path}: there is no option {quoted(name)}",
            expected="the options of the command, without --",
            hint=suggest_names(key, options),
        )
    return key


def _option_value(name: str, value: Any) -> Any:
    """A value as the command line gives it: lists of numbers are texts with commas, tables are NAME=VALUE."""
    if isinstance(value, dict):
        return [
            f"{key}={','.join(map(str, part)) if isinstance(part, list) else part}"
            for key, part in value.items()
        ]
    if name == "hidden" and isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    if name in {"type", "ignore", "keep", "missing"} and not isinstance(value, list):
        return [str(value)]
    return value
