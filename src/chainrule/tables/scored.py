"""What a trained network says of the rows that its score is of, computed once for everything that is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.foreign_text import short_repr
from chainrule.tables.model import TableModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class Scored:
    """The network's outputs [rows, outputs] for encoded rows, and what they mean beside the truth.

    ``predicted`` are the classes' probabilities [rows, classes], or numbers in the target's units [rows]; ``actual``
    are labels [rows], or numbers in these units [rows]; ``encoded`` is the target as the network learns it,
    ``weights`` [rows] how much each row counts, None where all count alike;
    ``said`` are the labels that are predicted where they are not the likeliest ones.

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> trained = tables.train_table(wine.frame, wine.target, tables.TrainingSettings(epochs=10))
    >>> trained.scored.outputs.shape, trained.scored.predicted.shape, trained.scored.actual.shape
    ((36, 3), (36, 3), (36,))
    """

    outputs: NDArray[np.float32]
    encoded: NDArray[Any]
    predicted: Floats
    actual: NDArray[Any]
    weights: Floats | None = None
    said: NDArray[np.int64] | None = None

    @property
    def labels(self) -> NDArray[np.int64]:
        """The labels [rows] that are predicted: the likeliest ones, or those that were decided on."""
        return self.outputs.argmax(1) if self.said is None else self.said

    __repr__ = short_repr


def score_rows(
    model: TableModel,
    outputs: NDArray[np.float32],
    encoded: NDArray[Any],
    weights: Floats | None = None,
) -> Scored:
    """The meaning of a network's outputs for rows whose encoded target is known."""
    if model.task == "classification":
        return Scored(outputs, encoded, model.probabilities(outputs), encoded, weights)
    decode = model.preprocessor.decode
    predicted, actual = decode(outputs).to_numpy(), decode(encoded).to_numpy()
    return Scored(outputs, encoded, predicted, actual, weights)
