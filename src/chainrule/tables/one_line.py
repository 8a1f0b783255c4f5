"""``cr.train``: from a table to a trained, scored model in one line."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Literal

from chainrule.data.features.column_options import Columns
from chainrule.data.tables import short_name
from chainrule.errors import SettingError
from chainrule.foreign_text import nearest, quoted
from chainrule.tables.recipe import Recipe, setting_names
from chainrule.tables.settings import TrainingSettings
from chainrule.tables.trained import Trained
from chainrule.tables.training import prepare
from chainrule.tables.training import train as train_prepared
from chainrule.training import Checkpoint


def train(
    data: Any,
    target: str,
    *,
    ensemble: bool = True,
    columns: Columns | None = None,
    progress: bool | Literal["auto"] = "auto",
    checkpoint: str | Path | Checkpoint | None = None,
    resume: bool = False,
    **settings: Any,
) -> Trained:
    """Train on a table, so that the column ``target`` can be predicted from the others; score it, and return all of it.

    ``data`` is a table of polars, pandas or Arrow, or the name of a file or of whatever else ``data.read_table`` reads;
    then ``target`` may also be the number of a column. An ensemble is trained, by the settings of ``tables.Recipe``: a
    network for each of eight folds of the rows, scored out of fold. With ``ensemble=False`` it is a single network,
    scored on held-out rows. ``settings`` are those of ``tables.TrainingSettings``, such as ``epochs=50``;
    ``group``, ``time_order``, ``sample_weight``, ``class_weight`` and ``aim`` among them say who trains, who judges and
    by what. ``columns`` says what is known about the columns. ``progress``, ``checkpoint`` and ``resume`` are those of
    ``cr.fit``.

    Raises DataError for a table or a target that cannot be learned from, SettingError for settings that there are not
    or that are out of range.

    >>> import chainrule as cr
    >>> from chainrule.data import load_bundled
    >>> wine = load_bundled("wine")
    >>> trained = cr.train(wine.frame, "cultivar", epochs=10)
    >>> trained.score.scored_on, trained.score.rows, trained.score.value > 0.9
    ('out-of-fold', 178, True)
    >>> trained.predict(wine.frame.head(3)).values.to_list()
    [0, 0, 0]
    """
    for name in settings:
        if name not in setting_names():
            raise SettingError(
                f"cr.train has no setting {quoted(name)}",
                hint=" or ".join(f"{near}=" for near in nearest(name, setting_names())),
            )
    asked = Recipe(settings) if ensemble else TrainingSettings(**settings)
    prepared = prepare(data, target, asked, columns=columns)
    name = short_name(data) if isinstance(data, str | PathLike) else ""
    return train_prepared(prepared, name, progress=progress, checkpoint=checkpoint, resume=resume)
