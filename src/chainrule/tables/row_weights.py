"""How much each row counts, in the loss that is trained and in the score."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DataError
from chainrule.foreign_text import quoted
from chainrule.nn.module import Module
from chainrule.training.folds import Fold

if TYPE_CHECKING:
    from chainrule.tables.prepared import Encoded, Prepared

Floats = NDArray[np.float64]
TINY = 1e-12  # share of a class all of whose rows have the weight 0


def weights_of(prepared: Prepared, rows: NDArray[np.int64]) -> Floats | None:
    """How much some rows of the table count, 1 on average; None where all count alike."""
    weights = prepared.roles.weights
    return None if weights is None else scaled(weights[rows])


def training_weights(prepared: Prepared) -> tuple[Floats | None, Floats | None]:
    """How much the rows count that train, and those that choose the epoch: by their weights and by their classes."""
    split, of_classes = prepared.split, None
    if prepared.settings.class_weight is not None:
        of_classes = 1.0 / np.maximum(class_shares(prepared), TINY)
    found = []
    for rows, encoded in ((split.training, prepared.training), (split.validation, prepared.validation)):
        weights = weights_of(prepared, rows)
        if of_classes is not None:
            each = of_classes[encoded.target]
            weights = scaled(each if weights is None else weights * each)
        found.append(weights)
    return found[0], found[1]


def class_shares(prepared: Prepared) -> Floats:
    """The shares of the classes among the rows that train, as much as these count, [classes]."""
    weights = weights_of(prepared, prepared.split.training)
    classes = len(prepared.preprocessor.target.classes)
    counts = np.bincount(prepared.training.target, weights, classes)
    return counts / counts.sum()


def with_prior(network: Module, shares: Floats | None) -> Module:
    """A copy of a network that learned classes as if they were equally frequent, of classes with these ``shares``.

    Its logits are those of p(class | row) / share, up to a constant; the logarithm of the share is added to the last
    bias (Elkan, 2001). The network itself without shares.
    """
    if shares is None:
        return network
    found = copy.deepcopy(network)
    name, bias = list(found.named_parameters())[-1]
    assert name.endswith("bias")
    assert bias.shape == shares.shape
    data = bias.data
    assert data is not None
    data += np.log(np.maximum(shares, TINY)).astype(data.dtype)
    return found


def scaled(weights: Floats) -> Floats:
    """The weights divided by their mean, which leaves rates and penalties what they are without weights.

    >>> scaled(np.array([1.0, 3.0])).tolist()
    [0.5, 1.5]
    """
    largest = weights.max(initial=0.0)
    return weights / (largest * np.mean(weights / largest)) if largest > 0 else weights


def with_weights(encoded: Encoded, weights: Floats | None) -> Encoded:
    """The rows with their weights as the target's last column: float32 [rows, 2], as a weighted loss takes them."""
    if weights is None:
        return encoded
    features, target = encoded
    columns = [target.reshape(len(target), -1).astype(np.float32), weights.astype(np.float32)[:, None]]
    return encoded._replace(features=features, target=np.hstack(columns))


def need_weights(prepared: Prepared, sets: Sequence[Fold]) -> None:
    """DataError where no row counts of those that train, choose the epoch or are scored; or in a fold of them."""
    weights, split = prepared.roles.weights, prepared.split
    if weights is None:
        return
    parts = {
        "the rows that train": split.training,
        "the rows that choose the best epoch": split.validation,
        "the rows that are held out": split.held_out,
    }
    for number, fold in enumerate(sets, 1):
        parts[f"the rows of fold {number}"] = split.training[fold.validation]
        parts[f"the rows that train beside fold {number}"] = split.training[fold.train]
    for what, rows in parts.items():
        if rows.size and not weights[rows].any():
            raise DataError(
                f"{what} all have the weight 0 (--sample-weight)",
                expected="a weight above 0 among them",
                got=f"{rows.size} rows of weight 0 in column {quoted(prepared.settings.sample_weight)}",
                hint="fewer folds, another seed, or leave the rows of weight 0 out of the table",
            )
