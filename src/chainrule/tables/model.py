"""A trained network together with everything it takes to go from a table to predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule import functions as f
from chainrule.data import Preprocessor, check_finite, rows_with_target
from chainrule.data.describe import list_some
from chainrule.data.frames import Library, as_frame, make_frame
from chainrule.data.notices import Notice, add_up
from chainrule.data.parts import CELLS, read_parts, shifted
from chainrule.errors import DataError
from chainrule.exchange.onnx_file import save_onnx
from chainrule.files import save_tensors
from chainrule.nn import MLP
from chainrule.notebook import html_table
from chainrule.tables.architecture import Architecture
from chainrule.tables.scores import RunningScore, Score
from chainrule.tables.writing import table_writer
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

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> model = tables.train_table(wine.frame, wine.target, tables.TrainingSettings(epochs=10)).model
    >>> model.facts.scored_on, model.facts.training_rows, model.facts.epochs
    ('held-out', 121, 10)
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
    units. ``probabilities`` is float64 [rows, classes] in the order of ``classes``, None for a regression.
    ``notices`` say what was done to the table: columns ignored, values filled in, categories not known.

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

    def to_frame(self, library: Library = "polars") -> Any:
        """A table of the column ``prediction`` and, for classes, one ``probability_CLASS`` each.

        ``library`` is "polars", "pandas" or "arrow".
        """
        columns: dict[str, Any] = {"prediction": self.values}
        if self.probabilities is not None:
            columns |= {
                f"probability_{name}": self.probabilities[:, i] for i, name in enumerate(self.classes)
            }
        return make_frame(columns, library)


@dataclass(frozen=True)
class Part:
    """Some rows of a table, the network's outputs [rows, outputs] for them, and what these mean."""

    frame: pl.DataFrame
    outputs: NDArray[np.float32]
    predictions: Predictions
    notices: tuple[Notice, ...]


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
    )


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

    def __repr__(self) -> str:
        facts, target = self.facts, self.preprocessor.target
        score = f"{facts.metric} {facts.score:.4g} ({facts.scored_on})"
        return f"<TableModel: {target.name} ({target.task}), {self.architecture.describe()}, {score}>"

    def _repr_html_(self) -> str:
        facts, target = self.facts, self.preprocessor.target
        rows = {
            "target": f"{target.name} ({target.task})",
            "classes": list_some(target.classes, limit=10),
            "score": f"{facts.metric} {facts.score:.4g} on {facts.scored_on} rows (baseline {facts.baseline:.4g})",
            "columns": list_some([column.name for column in self.preprocessor.used], limit=20),
            "network": self.architecture.describe(),
            "trained on": f"{facts.data}: {facts.training_rows} rows, {facts.epochs} epochs ({facts.stopped})",
        }
        return html_table((), [(name, text) for name, text in rows.items() if text], texts=2)

    def predict(self, table: Any) -> Predictions:
        """Predictions for a table: a frame of polars, pandas or Arrow, or a file's name.

        It needs the columns that the model was trained with, in any order; others are ignored, and so is
        the target. A file is read in parts, so that only the predictions are held. Raises DataError for a column
        that is missing, for cells that are not of their column's kind, and for a table that cannot be read.
        """
        return joined(self.predict_parts(table))

    def predict_parts(self, table: Any, cells: int = CELLS) -> Iterator[Part]:
        """As ``predict``, part by part: a file may be larger than memory, and a part has about ``cells`` cells.

        A frame is a single part. In errors about a part other than the first, ``where`` says from which row on
        rows are counted.
        """
        for before, frame in self._parts_of(table, cells):
            try:
                yield self._predict_part(frame)
            except DataError as error:
                raise shifted(error, before) from None

    def predict_to(self, table: Any, out: str | PathLike[str]) -> tuple[str, ...]:
        """Predict for a table and write the predictions to a file, part by part; returns the notices.

        CSV, or Parquet if the name ends in ``.parquet``: the columns of ``Predictions.to_frame``. Raises as
        ``predict``, and FileWriteError; a previous file stays until the new one is whole.
        """
        found = []
        with table_writer(out) as write:
            for part in self.predict_parts(table):
                write(part.predictions.to_frame())
                found.append((part.frame.height, part.notices))
        return add_up(found)

    def _parts_of(self, table: Any, cells: int) -> Iterator[tuple[int, pl.DataFrame]]:
        if not isinstance(table, str | PathLike):
            yield 0, as_frame(table)
            return
        used = [column.name for column in self.preprocessor.used]
        names = [*used, self.preprocessor.target.name]
        yield from read_parts(table, names, self.preprocessor.text_columns, cells)

    def _predict_part(self, frame: pl.DataFrame) -> Part:
        features, notices = self.preprocessor.encode(frame)
        outputs = network_outputs(self.network, features)
        texts = tuple(map(str, notices))
        if self.task == "regression":
            predictions = Predictions(self.preprocessor.decode(outputs), None, (), texts)
        else:
            with no_grad():
                probabilities = f.softmax(as_tensor(outputs.astype(np.float64)), -1).numpy()
            values = self.preprocessor.decode(probabilities.argmax(1))
            predictions = Predictions(values, probabilities, self.classes, texts)
        return Part(frame, outputs, predictions, tuple(notices))

    def score(self, table: Any) -> Score:
        """The score on those rows of a table that have a target; a frame or a file, as in ``predict``.

        Raises DataError if the target is not there, is empty, or has classes that training did not have.
        """
        running = self.running_score()
        target = self.preprocessor.target.name
        for part in self.predict_parts(table):
            if part.frame[target].null_count() < part.frame.height if target in part.frame.columns else True:
                self.add_to(running, part)
        if not running.rows:
            raise DataError(f"no row has a value of the target {target!r}")
        return running.score()

    def running_score(self) -> RunningScore:
        """A score without rows yet."""
        return RunningScore(self.preprocessor.target, self.facts.most_frequent)

    def add_to(self, running: RunningScore, part: Part) -> None:
        """Count the rows of a part that have a target; raises as ``score``."""
        rows, _ = rows_with_target(part.frame, self.preprocessor.target.name)
        running.add(part.outputs[rows], self.preprocessor.encode_target(part.frame[rows]))

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
