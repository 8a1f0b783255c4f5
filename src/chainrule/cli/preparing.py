"""``chainrule train``, up to training: the table is read, and what was found in it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.cli.layout import entry
from chainrule.cli.sources import choose_target, hides_bundled, load_source
from chainrule.cli.spelling import without_python
from chainrule.cli.terminal import Terminal
from chainrule.data.describe import list_some
from chainrule.data.features.column_options import Columns
from chainrule.data.files.text_format import TextFormat, check_delimiter
from chainrule.foreign_text import WIDTH, clipped
from chainrule.tables.recipe import Recipe
from chainrule.tables.settings import TrainingSettings

if TYPE_CHECKING:
    from chainrule.cli.sources import Source
    from chainrule.tables import Prepared


def prepare_source(
    data: str,
    target: str | None,
    settings: TrainingSettings | Recipe,
    terminal: Terminal,
    wanted: TextFormat,
    columns: Columns,
) -> tuple[Prepared, Source]:
    """Read the table and make it ready for training; say what was found."""
    from dataclasses import replace

    from chainrule.data.tables import ReadTable
    from chainrule.tables import prepare

    if hides_bundled(data):
        terminal.remark(f"the file {clipped(data)} is read, not the bundled problem of that name")
    source = load_source(data, wanted, columns, target)
    check_delimiter(source.frame.columns, wanted)
    chosen = choose_target(source, target)
    if source.task is not None and chosen == source.target and settings.task is None:
        settings = (
            Recipe({**settings.changes, "task": source.task})
            if isinstance(settings, Recipe)
            else replace(settings, task=source.task)
        )
    table = ReadTable(source.frame, (), source.likely_decimal)
    prepared = prepare(table, chosen, settings, columns=columns)
    describe_prepared(prepared, source, terminal)
    if source.assumed:
        read = f"the file is read with {', '.join(source.assumed)}"
        prepared = replace(prepared, notices=(read, *prepared.notices))  # for the report and the JSON
    return prepared, source


def describe_prepared(prepared: Prepared, source: Source, terminal: Terminal) -> None:
    """Say what was found in the table, what was assumed about its file, and what will be trained."""
    split, fitted = prepared.split, prepared.preprocessor
    kind = fitted.target.task
    kind += f" of {len(fitted.target.classes)} classes" if fitted.target.classes else ""
    used = sum(column.kind != "ignored" for column in fitted.columns)
    columns = "1 column" if used == 1 else f"{used} columns"
    what = f"{clipped(fitted.target.name)} from {columns}: {kind}"
    assumptions = [*map(without_python, (*source.assumed, *fitted.assumed))]
    assumed = f" ({', '.join(assumptions)})" if assumptions else ""
    terminal.remark(entry(f"{clipped(source.name)}:", f"{prepared.frame.height} rows, {what}{assumed}", 0))
    if fitted.target.classes:
        terminal.remark(entry("classes", describe_classes(prepared)))
    roles = (
        [
            (split.training, describe_folds(prepared.settings)),
            (split.held_out, "are held out for the score"),
        ]
        if prepared.settings.ensemble
        else [
            (split.training, "train the network"),
            (split.validation, "choose its best epoch"),
            (split.held_out, "are held out for the score"),
        ]
    )
    terminal.remark(entry("rows", ", ".join(f"{len(rows)} rows {role}" for rows, role in roles if rows.size)))
    epochs = prepared.settings.epochs_for(len(split.training))
    terminal.remark(
        entry("network", f"{clipped(prepared.architecture.describe(), WIDTH)}; at most {epochs} epochs")
    )
    terminal.notices(prepared.notices)


def describe_folds(settings: TrainingSettings) -> str:
    """What the folds of an ensemble are for.

    >>> describe_folds(TrainingSettings(ensemble=True, folds=8))
    'in 8 folds, each judged by networks trained on the other 7'
    """
    dealt = f", dealt {settings.restarts} times" if settings.restarts > 1 else ""
    others = f"other {settings.folds - 1}" if settings.folds > 2 else "other"
    return f"in {settings.folds} folds{dealt}, each judged by networks trained on the {others}"


def describe_classes(prepared: Prepared) -> str:
    """The classes with their numbers of rows, the first of very many."""
    import numpy as np

    names = prepared.preprocessor.target.classes
    counts = np.bincount(prepared.arranged.target, minlength=len(names))
    first, *rest = zip(names, counts.tolist(), strict=True)
    shown = [
        f"{clipped(first[0])} ({first[1]} rows)",
        *(f"{clipped(name)} ({count})" for name, count in rest),
    ]
    return list_some(shown, 8)
