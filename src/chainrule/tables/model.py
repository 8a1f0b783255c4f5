"""A trained network together with everything it takes to go from a table to predictions."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule import functions as f
from chainrule.data import Preprocessor, check_finite, read_table, rows_with_target
from chainrule.exchange.onnx_file import save_onnx
from chainrule.files import save_tensors
from chainrule.nn import MLP
from chainrule.tables.architecture import Architecture
from chainrule.tables.scores import Score, score_outputs
from chainrule.tensor import as_tensor, no_grad

if TYPE_CHECKING:
    import polars as pl

Setting = str | int | float | bool | None


@dataclass(frozen=True)
class Facts:
    """How a model came about: the same training gives the same facts.

    ``version`` is chainrule's, ``data`` the name of the file or bundled problem. ``scored_on`` says which
    rows the score is of, "held-out" or "training". ``most_frequent`` is the label of the training rows'
    most frequent class, 0 for a regression. ``stopped`` says why training ended.
    """

    version: str
    data: str
    metric: str
    score: float
    baseline: float
    scored_on: str
    training_rows: int
    validation_rows: int
    held_out_rows: int
    epochs: int
    best_epoch: int
    stopped: str
    most_frequent: int
    settings: dict[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True)
class Predictions:
    """Predictions for the rows of a table, in its order.

    ``values`` is a Series [rows]: classes as they stand in the training table, or numbers in the target's
    units. ``probabilities`` is float32 [rows, classes] in the order of ``classes``, None for a regression.
    ``notices`` say what was done to the table: columns ignored, values filled in, categories not known.
    """

    values: pl.Series
    probabilities: NDArray[np.float32] | None
    classes: tuple[str, ...]
    notices: tuple[str, ...]

    def to_frame(self) -> pl.DataFrame:
        """A table of the column ``prediction`` and, for classes, one ``probability_CLASS`` each."""
        import polars as pl

        columns = [self.values.alias("prediction")]
        if self.probabilities is not None:
            columns += [
                pl.Series(f"probability_{name}", self.probabilities[:, i])
                for i, name in enumerate(self.classes)
            ]
        return pl.DataFrame(columns)


@dataclass(frozen=True, eq=False)
class TableModel:
    """A trained network, the preprocessing of its training table, and how it came about.

    ``chainrule train`` and ``chainrule.tables.train_table`` make one, ``save`` and ``chainrule.load_model``
    keep it in a file.

    >>> import polars as pl
    >>> from chainrule.data import load_bundled
    >>> from chainrule.tables import TrainingSettings, train_table
    >>> xnor = load_bundled("xnor")
    >>> model = train_table(xnor.frame, xnor.target, TrainingSettings(hidden=(8,), epochs=100)).model
    >>> predictions = model.predict(pl.DataFrame({"x1": [0, 1], "x2": [0, 0]}))
    >>> predictions.values.to_list(), predictions.probabilities.shape
    ([1, 0], (2, 2))
    """

    architecture: Architecture
    network: MLP
    preprocessor: Preprocessor
    facts: Facts

    @property
    def task(self) -> str:
        """ "classification" or "regression"."""
        return self.preprocessor.target.task

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names in the order of the network's outputs; none for a regression."""
        return self.preprocessor.target.classes

    def read_table(self, path: str | PathLike[str]) -> pl.DataFrame:
        """A table file, whose columns are taken for text where they were text in training."""
        return read_table(path, self.preprocessor.text_columns)

    def predict(self, table: pl.DataFrame | str | PathLike[str]) -> Predictions:
        """Predictions for a table, given as a polars frame or as a file's name.

        It needs the columns that the model was trained with, in any order; others are ignored, and so is
        the target. Raises DataError for a column that is missing, for cells that are not of their column's
        kind, and for a table that cannot be read.
        """
        frame = self.read_table(table) if isinstance(table, str | PathLike) else table
        features, notices = self.preprocessor.transform_with_notices(frame)
        outputs = network_outputs(self.network, features)
        if self.task == "regression":
            return Predictions(self.preprocessor.decode(outputs), None, (), notices)
        with no_grad():
            probabilities = f.softmax(as_tensor(outputs), -1).numpy()
        values = self.preprocessor.decode(outputs.argmax(1))
        return Predictions(values, probabilities, self.classes, notices)

    def score(self, frame: pl.DataFrame) -> Score:
        """The score on those rows of a table that have a target.

        Raises DataError if the target is not there, is empty, or has classes that training did not have.
        """
        rows, _ = rows_with_target(frame, self.preprocessor.target.name)
        frame = frame[rows]
        outputs = network_outputs(self.network, self.preprocessor.transform(frame))
        actual = self.preprocessor.encode_target(frame)
        return score_outputs(self.preprocessor.target, self.facts.most_frequent, outputs, actual)

    def save(self, path: str | PathLike[str]) -> None:
        """Save to a file: safetensors with JSON metadata, numbers and text but no code.

        The same model gives the same bytes. Raises FileWriteError if the file cannot be written; a previous
        file of that name is then untouched.
        """
        metadata = {
            "architecture": asdict(self.architecture),
            "preprocessor": self.preprocessor.to_json(),
            "facts": asdict(self.facts),
        }
        save_tensors(path, self.network.state_dict(), metadata, kind="model")

    def save_onnx(self, path: str | PathLike[str]) -> None:
        """Save as ONNX, preprocessing and class names included; see :func:`chainrule.save_onnx`."""
        save_onnx(self, path)


def network_outputs(network: MLP, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The outputs [rows, outputs] for encoded rows [rows, features]; DataError unless they are finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = network.predict(features)
    check_finite("the network's output", outputs)
    return outputs
