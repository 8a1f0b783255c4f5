"""A trained network together with everything it takes to go from a table to predictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule import functions as f
from chainrule.data import Preprocessor, check_finite, rows_with_target
from chainrule.data.describe import list_some
from chainrule.data.features.frames import as_frame
from chainrule.data.features.notices import Notice, add_up
from chainrule.data.features.target import encode_target
from chainrule.data.files.formats import for_others
from chainrule.data.files.text_format import TextFormat
from chainrule.data.parts import CELLS, TablePart, read_parts, shifted
from chainrule.errors import DataError, SettingError
from chainrule.exchange.onnx_file import save_onnx
from chainrule.files import USUAL, save_tensors
from chainrule.foreign_text import WIDTH, clipped, quoted
from chainrule.nn.module import Module
from chainrule.nn.unsmoothing import Unsmoothing, unsmoothing
from chainrule.notebook import html_table
from chainrule.number_text import readable
from chainrule.tables.architecture import Architecture
from chainrule.tables.decision import Decision, decided, describe_decision
from chainrule.tables.error_scale import scale_at
from chainrule.tables.facts import Facts
from chainrule.tables.intervals import half_width, likely_enough, need_doubts, need_errors
from chainrule.tables.predictions import Part, Predictions, joined
from chainrule.tables.scores import RunningScore, Score
from chainrule.tables.writing import table_writer
from chainrule.tensor import as_tensor, no_grad

if TYPE_CHECKING:
    pass


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
    network: Module
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

    @property
    def unsmoothing(self) -> Unsmoothing:
        """How probabilities follow from the softmax of the outputs, whose labels were smoothed in training."""
        share = self.facts.settings.get("label_smoothing") or 0.0
        return unsmoothing(float(share), len(self.classes), self.facts.training_rows)

    def probabilities(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probabilities of the classes [rows, classes] that the network's outputs [rows, classes] stand for."""
        with no_grad():
            smoothed = f.softmax(as_tensor(outputs.astype(np.float64)), -1).numpy()
        return self.unsmoothing.probabilities(smoothed)

    @property
    def decision(self) -> Decision:
        """The weights of the classes by which one is said; none where it is the likeliest."""
        return self.facts.decision

    def said(self, outputs: NDArray[np.float32]) -> NDArray[np.int64]:
        """The labels [rows] that are predicted for the network's outputs [rows, classes]."""
        return decided(self.probabilities(outputs), self.decision) if self.decision else outputs.argmax(1)

    def __repr__(self) -> str:
        facts, target = self.facts, self.preprocessor.target
        score = f"{clipped(facts.metric)} {readable(facts.score)} ({clipped(facts.scored_on)})"
        network = clipped(self.architecture.describe(), WIDTH)
        return f"<TableModel: {clipped(target.name)} ({target.task}), {network}, {score}>"

    def _repr_html_(self) -> str:
        facts, target = self.facts, self.preprocessor.target
        rows = {
            "target": f"{clipped(target.name)} ({target.task})",
            "classes": list_some(target.classes, limit=10),
            "score": f"{clipped(facts.metric)} {readable(facts.score)} on {clipped(facts.scored_on)} rows "
            f"(baseline {readable(facts.baseline)})",
            "columns": list_some([column.name for column in self.preprocessor.used], limit=20),
            "network": clipped(self.architecture.describe(), WIDTH),
            "trained on": f"{clipped(facts.data)}: {facts.training_rows} rows, {facts.epochs} epochs "
            f"({clipped(facts.stopped)})",
        }
        return html_table((), [(name, text) for name, text in rows.items() if text], texts=2)

    def predict(
        self,
        table: Any,
        *,
        encoding: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
        sheet: str | None = None,
        interval: float | None = None,
        label_sets: float | None = None,
    ) -> Predictions:
        """Predictions for a table: a frame of polars, pandas or Arrow, or a file's name.

        It needs the columns that the model was trained with, in any order; others are ignored, and so is
        the target. A file is read in parts, so that only the predictions are held; ``encoding``, ``delimiter``,
        ``header`` and ``sheet`` are those of ``chainrule.data.read_table``, found out where they are not given. With
        ``header=False`` the columns of a file are those of training, by their position. With ``interval``, such as 0.9,
        numbers come with the ends of an interval that holds the truth with that probability; with ``label_sets``
        classes come with all that the row may be, so that the right one is among them with that probability.

        Raises SettingError for an interval of classes, label sets of numbers, or more than the rows of training allow;
        DataError for a column that is missing, for cells that are not of their column's kind, and for a table that
        cannot be read.
        """
        return joined(
            self.predict_parts(
                table,
                encoding=encoding,
                delimiter=delimiter,
                header=header,
                sheet=sheet,
                interval=interval,
                label_sets=label_sets,
            )
        )

    def predict_parts(
        self,
        table: Any,
        cells: int = CELLS,
        *,
        encoding: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
        sheet: str | None = None,
        interval: float | None = None,
        label_sets: float | None = None,
    ) -> Iterator[Part]:
        """As ``predict``, part by part: a file may be larger than memory, and a part has about ``cells`` cells.

        A frame is a single part. In errors about a part other than the first, ``where`` says from which row on
        rows are counted.
        """
        reach = self._reach(interval, label_sets)
        for part in self._parts_of(table, cells, TextFormat(encoding, delimiter, header, sheet)):
            try:
                yield self._predict_part(part, reach)
            except DataError as error:
                raise shifted(error, part.before) from None

    def predict_to(
        self,
        table: Any,
        out: str | PathLike[str],
        escape_formulas: bool = False,
        *,
        encoding: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
        sheet: str | None = None,
        interval: float | None = None,
        label_sets: float | None = None,
    ) -> tuple[str, ...]:
        """Predict for a table and write the predictions to a file, part by part; returns the notices.

        CSV, Parquet if the name ends in ``.parquet``, or a workbook if it ends in ``.xlsx``: the columns of
        ``Predictions.to_frame``. Classes are written as they are; with ``escape_formulas`` those that a spreadsheet
        would run, such as ``=1+2``, get a ' before them. Raises as ``predict``, SettingError for another ending,
        ExchangeError for a workbook without the package that writes it, and FileWriteError; a previous file stays
        until the new one is whole.
        """
        found = []
        with table_writer(out, escape_formulas) as write:
            for part in self.predict_parts(
                table,
                encoding=encoding,
                delimiter=delimiter,
                header=header,
                sheet=sheet,
                interval=interval,
                label_sets=label_sets,
            ):
                write(part.predictions.to_frame())
                found.append((part.frame.height, part.notices))
        return add_up(found)

    def _parts_of(self, table: Any, cells: int, wanted: TextFormat) -> Iterator[TablePart]:
        if not isinstance(table, str | PathLike):
            if wanted.given:
                raise SettingError(for_others(wanted.given_names), got=type(table).__name__)
            yield TablePart(0, as_frame(table), ())
            return
        used = [column.name for column in self.preprocessor.used]
        names = [*used, *self.preprocessor.keep, self.preprocessor.target.name]
        order = [column.name for column in self.preprocessor.columns]
        yield from read_parts(table, names, self.preprocessor.text_columns, cells, wanted, order)

    def half_width(self, interval: float) -> float:
        """How far below and above a prediction its interval reaches, in the target's units; raises as ``predict``.

        Where widths follow the prediction (``facts.error_scale``), that of the usual row.
        """
        need_errors(self.facts.errors, self.preprocessor.target.name, bool(self.classes))
        return half_width(self.facts.errors, interval)

    def _reach(self, interval: float | None, label_sets: float | None) -> float | None:
        """The half width of a usual interval, or the largest 1 - probability in a label set; None if not asked for."""
        reach = None if interval is None else self.half_width(interval)
        if label_sets is None:
            return reach
        need_doubts(self.facts.errors, self.preprocessor.target.name, bool(self.classes))
        return half_width(self.facts.errors, label_sets, "label_sets")

    def _predict_part(self, part: TablePart, reach: float | None) -> Part:
        frame, odd = self.preprocessor.read(part.frame, part.before)
        features, found = self.preprocessor.encode(frame, canonical=True)
        kept = part.frame.select(self.preprocessor.keep) if self.preprocessor.keep else None
        notices = [*(Notice(f"the file is read with {what}") for what in part.assumed), *odd, *found]
        if self.decision:
            said_of = describe_decision(self.decision, self.classes)
            aim = self.facts.settings.get("aim")
            notices.append(
                Notice(
                    "the predicted class is",
                    consequence=f" {said_of}"
                    + (f", for the aim {aim}" if aim else ", as if all classes were equally frequent"),
                )
            )
        outputs = network_outputs(self.network, features)
        texts = tuple(map(str, notices))
        if self.task == "regression":
            values = self.preprocessor.decode(outputs)
            predictions = Predictions(values, None, (), texts, kept)
            if reach is not None:
                around = reach * scale_at(self.facts.error_scale, outputs[:, 0].astype(np.float64))
                low, high = values.to_numpy() - around, values.to_numpy() + around
                predictions = replace(predictions, low=low, high=high)
        else:
            said, probabilities = self.said(outputs), self.probabilities(outputs)
            values = self.preprocessor.decode(said)
            sets = None if reach is None else likely_enough(probabilities, reach, said)
            predictions = Predictions(values, probabilities, self.classes, texts, kept, sets=sets, said=said)
        return Part(frame, outputs, predictions, tuple(notices), part.before)

    def score(
        self,
        table: Any,
        *,
        encoding: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
        sheet: str | None = None,
    ) -> Score:
        """The score on those rows of a table that have a target; a frame or a file, as in ``predict``.

        Raises DataError if the target is not there, is empty, or has classes that training did not have.
        """
        running = self.running_score()
        target = self.preprocessor.target.name
        for part in self.predict_parts(
            table, encoding=encoding, delimiter=delimiter, header=header, sheet=sheet
        ):
            columns = part.frame.columns
            empty = target in columns and part.frame[target].null_count() == part.frame.height
            if not empty:  # where the target is not there at all, ``add_to`` says so
                self.add_to(running, part)
        if not running.rows:
            raise DataError(f"no row has a value of the target {quoted(target)}")
        return running.score()

    def running_score(self) -> RunningScore:
        """A score without rows yet."""
        return RunningScore(self.preprocessor.target, self.facts.most_frequent, self.facts.metric)

    def add_to(self, running: RunningScore, part: Part) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Count the rows of a part that have a target; returns their outputs and encoded target.

        Raises as ``score``.
        """
        target = self.preprocessor.target
        rows, _ = rows_with_target(part.frame, target.name, reading=target.reading)
        outputs = part.outputs[rows]
        encoded = encode_target(target, part.frame[target.name][rows], part.before + rows)
        if self.task == "regression":
            running.add(outputs, encoded)
        else:
            running.add(outputs, encoded, self.said(outputs), self.probabilities)
        return outputs, encoded

    def save(self, path: str | PathLike[str], *, mode: int = USUAL) -> None:
        """Save to a file: safetensors with JSON metadata, numbers and text but no code.

        The same model gives the same bytes. ``mode`` are the permissions of a new file, of which the umask takes some:
        0o600 where the table was nobody else's business.

        Raises FileWriteError if the file cannot be written; a previous file of that name is then untouched.
        """
        metadata = {
            "architecture": asdict(self.architecture),
            "preprocessor": self.preprocessor.to_json(),
            "facts": asdict(self.facts),
        }
        save_tensors(path, self.network.state_dict(), metadata, kind="model", mode=mode)

    def save_onnx(self, path: str | PathLike[str], *, mode: int = USUAL) -> None:
        """Save as ONNX, preprocessing and class names included; see :func:`chainrule.save_onnx`."""
        save_onnx(self, path, mode=mode)


def network_outputs(network: Module, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The outputs [rows, outputs] for encoded rows [rows, features]; DataError unless they are finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = network.predict(features)
    check_finite("the network's output", outputs)
    return outputs
