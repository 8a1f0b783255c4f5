"""What a model says of the rows of a table, whole or part by part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.features.frames import Library, make_frame
from chainrule.data.features.notices import Notice, add_up
from chainrule.foreign_text import short_repr

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, repr=False)
class Predictions:
    """Predictions for the rows of a table, in its order.

    ``values`` is a Series [rows]: classes as they stand in the training table, or numbers in the target's
    units. ``probabilities`` is float64 [rows, classes] in the order of ``classes``, None for a regression.
    ``notices`` say what was done to the table: columns ignored, values filled in, categories not known. ``kept`` are
    the columns that were to be kept (``Columns(keep=...)``), as they stand in the table. ``low`` and ``high``, float64
    [rows], are the ends of the intervals that were asked for; ``sets``, bool [rows, classes], says which classes are
    in the label sets. ``said`` are the places of the predicted classes among ``classes``, int64 [rows], which need not
    be the likeliest ones.

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> model = tables.train_table(wine.frame, wine.target, tables.TrainingSettings(epochs=10)).model
    >>> predictions = model.predict(wine.frame)
    >>> predictions.values.shape, predictions.probabilities.shape
    ((178,), (178, 3))
    """

    values: pl.Series
    probabilities: NDArray[np.float64] | None
    classes: tuple[str, ...]
    notices: tuple[str, ...]
    kept: pl.DataFrame | None = None
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    sets: NDArray[np.bool_] | None = None
    said: NDArray[np.int64] | None = None

    __repr__ = short_repr

    @property
    def label_sets(self) -> list[tuple[str, ...]]:
        """The names of the classes that each row may be, in the order of ``classes``; empty if not asked for."""
        if self.sets is None:
            return []
        return [tuple(self.classes[i] for i in np.flatnonzero(row)) for row in self.sets]

    def to_frame(self, library: Library = "polars") -> Any:
        """A table of the kept columns, the column ``prediction`` and, for classes, one ``probability_CLASS`` each.

        With an interval ``prediction_low`` and ``prediction_high`` follow, with label sets one ``in_set_CLASS`` each,
        true or false. ``library`` is "polars", "pandas" or "arrow".
        """
        columns: dict[str, Any] = {} if self.kept is None else dict(self.kept.to_dict())
        columns["prediction"] = self.values
        if self.low is not None and self.high is not None:
            columns |= {"prediction_low": self.low, "prediction_high": self.high}
        if self.probabilities is not None:
            columns |= {
                f"probability_{name}": self.probabilities[:, i] for i, name in enumerate(self.classes)
            }
        if self.sets is not None:
            columns |= {f"in_set_{name}": self.sets[:, i] for i, name in enumerate(self.classes)}
        return make_frame(columns, library)


@dataclass(frozen=True, repr=False)
class Part:
    """Some rows of a table, the network's outputs [rows, outputs] for them, and what these mean."""

    frame: pl.DataFrame
    outputs: NDArray[np.float32]
    predictions: Predictions
    notices: tuple[Notice, ...]
    before: int = 0  # rows of the table

    __repr__ = short_repr


def joined(parts: Iterable[Part]) -> Predictions:
    """The predictions of all parts of a table."""
    import polars as pl

    found = [(part.frame.height, part.notices, part.predictions) for part in parts]
    first = found[0][2]
    return Predictions(
        pl.concat([predictions.values for _, _, predictions in found]),
        None
        if first.probabilities is None
        else np.concatenate([p.probabilities for _, _, p in found if p.probabilities is not None]),
        first.classes,
        add_up((rows, notices) for rows, notices, _ in found),
        None if first.kept is None else pl.concat([p.kept for _, _, p in found if p.kept is not None]),
        *(
            None if end is None else np.concatenate([getattr(p, name) for _, _, p in found])
            for name, end in (
                ("low", first.low),
                ("high", first.high),
                ("sets", first.sets),
                ("said", first.said),
            )
        ),
    )
