"""The outcome of a training run on a table: the model, and all that is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.data.features.frames import Library, make_frame
from chainrule.errors import SettingError
from chainrule.files import write_atomically
from chainrule.foreign_text import clipped
from chainrule.nn.module import Module
from chainrule.number_text import readable
from chainrule.report import Importances, WorstRows
from chainrule.tables.coverage import Coverage, coverage_of
from chainrule.tables.examination import Examination, examine
from chainrule.tables.examples import worst_rows
from chainrule.tables.finding import Finding
from chainrule.tables.findings import findings_of
from chainrule.tables.importance import importances
from chainrule.tables.linear import linear_predictions
from chainrule.tables.main_score import constant_of
from chainrule.tables.metrics import MOST_CLASSES, Floats, Metric, compare, measure
from chainrule.tables.mixture import Mixture
from chainrule.tables.model import TableModel, network_outputs
from chainrule.tables.out_of_fold import OutOfFold
from chainrule.tables.predictions import Predictions
from chainrule.tables.row_weights import weights_of
from chainrule.tables.scored import Scored
from chainrule.tables.scores import Score
from chainrule.training import History
from chainrule.training.folds import Fold

if TYPE_CHECKING:
    from chainrule.tables.prepared import Encoded, Prepared


class Single(NamedTuple):
    """One network, the rows that trained it, and rows that did not."""

    network: Module
    training: Encoded
    unseen: Encoded


@dataclass(frozen=True, repr=False)
class Trained:
    """A trained model, how its losses went, and its score: on held-out rows where there are any.

    ``scored`` holds what the network says of the rows that the score is of. What is told of the run beyond that is
    computed when it is first asked for: ``metrics``, ``importances``, ``worst`` and ``findings``. ``teacher`` is the
    ensemble that the network imitates, if it does.

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> trained = tables.train_table(wine.frame, wine.target, tables.TrainingSettings(epochs=10))
    >>> trained.score.metric, trained.score.value > 0.8, trained.history.loss.shape
    ('accuracy', True, (1, 10))
    >>> [metric.name for metric in trained.metrics]  # doctest: +NORMALIZE_WHITESPACE
    ['accuracy', 'balanced accuracy', 'log loss', 'AUC', 'macro F1', 'precision', 'recall', 'Brier score',
     'calibration error']
    """

    model: TableModel
    history: History
    score: Score
    prepared: Prepared
    scored: Scored
    out_of_fold: OutOfFold | None = None
    teacher: Trained | None = None

    def __repr__(self) -> str:
        said = f"Trained({clipped(self.model.preprocessor.target.name)}: "
        if not self.model.facts.best_epoch:
            return f"{said}no epoch was finished)"
        score, count = self.score, len(self.findings)
        kind = f"{clipped(score.scored_on)} row{'' if score.rows == 1 else 's'}".strip()
        found = "no finding" if not count else "1 finding" if count == 1 else f"{count} findings"
        return f"{said}{clipped(score.metric)} {readable(score.value)} on {readable(score.rows)} {kind}, {found})"

    def predict(self, table: Any, **options: Any) -> Predictions:
        """Predictions for a table, as ``TableModel.predict`` gives them; ``interval=0.9`` among others."""
        return self.model.predict(table, **options)

    def save(self, path: str | PathLike[str]) -> None:
        """Save the model to a file, which ``cr.load_model`` and ``chainrule predict`` read."""
        self.model.save(path)

    def to_onnx(self, path: str | PathLike[str]) -> None:
        """Save the model as ONNX, preprocessing and class names included; see ``chainrule.save_onnx``."""
        self.model.save_onnx(path)

    def report(self, path: str | PathLike[str], model_path: str = "model.safetensors") -> None:
        """Write the report that ``chainrule train`` writes, an HTML page; ``model_path`` is where it says the model is.

        Raises FileWriteError if it cannot be written, SettingError if no epoch was finished.
        """
        from chainrule.report import render
        from chainrule.tables.reporting import make_report

        if not self.model.facts.best_epoch:
            raise SettingError("no epoch was finished, so there is nothing to report")
        write_atomically(path, render(make_report(self, model_path)).encode())

    def explain(self, library: Library = "polars") -> Any:
        """Which columns matter, as a table with one row for each, the one that matters most first.

        ``column``, ``importance`` (the log loss or RMSE that is gained when the column is dealt out to the scored rows
        at random), ``spread`` (its standard error), ``slope`` (how steeply the output follows the column) and
        ``is_noise``, true where all of it may be chance. ``library`` is "polars", "pandas" or "arrow".
        """
        found = self.importances.columns
        return make_frame(
            {
                "column": [one.name for one in found],
                "importance": [one.loss for one in found],
                "spread": [one.spread for one in found],
                "slope": [one.slope for one in found],
                "is_noise": [one.is_noise for one in found],
            },
            library,
        )

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Several measures on the scored rows, beside those of a constant and of a linear model."""
        target, actual = self.model.preprocessor.target, self.scored.actual
        weights = self.scored.weights
        linear = self.linear
        return compare(
            measure(target, self.scored.predicted, actual, weights, self.scored.said),
            measure(target, self.constant, actual, weights),
            None if linear is None else measure(target, linear, actual, weights),
            target.classes,
        )

    @cached_property
    def linear(self) -> Floats | None:
        """What a linear model of the same training rows says of the scored rows, as ``scored.predicted``.

        None for a single class, and for more than 200.
        """
        target = self.model.preprocessor.target
        if len(target.classes) > MOST_CLASSES:  # it would take longer than the network
            return None
        found = self._linear_of_the_ensemble()
        if found is None:
            found = self.linear_without(())
        if found is None or target.task == "classification":
            return found
        return self.model.preprocessor.decode(found).to_numpy()

    def _linear_of_the_ensemble(self) -> Floats | None:
        """The linear models that were fitted beside the networks of each fold, not fitted once more."""
        if self.judge is None or self.judge.linear is None:
            return None
        found = self.judge.linear[self.scored_places]
        return np.exp(found) if self.judge.classes else found

    def linear_without(self, left_out: Sequence[slice]) -> Floats | None:
        """What a linear model says of the scored rows without some features; each fold by a model of the others."""
        features, encoded = self.prepared.training
        scored, classes = self.prepared.scored.features, len(self.model.preprocessor.target.classes)
        used = np.ones(features.shape[1], bool)
        for part in left_out:
            used[part] = False
        if not used.all():
            features, scored = features[:, used], scored[:, used]
        weights = weights_of(self.prepared, self.prepared.split.training)
        if self.judge is None:
            return linear_predictions(features, encoded, scored, classes, weights)

        def predict(train: NDArray[np.int64], judged: NDArray[np.int64]) -> Floats | None:
            own = self.prepared.for_network(Fold(train, judged))[:, used]
            return linear_predictions(
                own[train], encoded[train], own[judged], classes, None if weights is None else weights[train]
            )

        return self.judge.by_folds(predict)

    @property
    def judge(self) -> OutOfFold | None:
        """The networks by the rows that they did not see, where the score is of such rows."""
        return None if self.prepared.split.held_out.size else self.out_of_fold

    def outputs(self, features: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.float32]:
        """The outputs for features in place of those of some scored rows, by networks that did not see the rows."""
        if self.judge is None:
            return network_outputs(self.model.network, features)
        return self.judge.outputs(features, self.scored_places[places])

    @property
    def networks_of_a_row(self) -> int:
        """How many networks answer for a scored row in ``outputs``, rounded up."""
        if self.judge is None:
            return self.model.architecture.networks
        answers = sum(len(rows) for rows in self.judge.unseen)
        return -(-answers // len(self.scored.actual))

    @property
    def apart(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of training rows, and of scored rows that are not among them: all, or those of the first fold."""
        training, scored = len(self.prepared.training.target), len(self.prepared.scored.target)
        if self.judge is None:
            return np.arange(training), np.arange(scored)
        unseen = self.judge.unseen[0]
        others = np.setdiff1d(np.arange(training), unseen)
        return others, np.flatnonzero(np.isin(self.scored_places, unseen))

    @property
    def scored_places(self) -> NDArray[np.int64]:
        """The scored rows, counted among those that train."""
        split = self.prepared.split
        return np.flatnonzero(np.isin(split.training, split.scored))

    @cached_property
    def single(self) -> Single:
        """The network; of an ensemble the best one, with the rows that it was trained on and those that it was not."""
        prepared, judged = self.prepared, self.out_of_fold
        if judged is None:
            network = self.model.network
            one = network.members[0] if isinstance(network, Mixture) else network
            return Single(one, prepared.training, prepared.unseen)
        finished = [i for i, replica in enumerate(self.history.replicas) if np.isfinite(replica.score)]
        best = finished.index(self.history.best)
        best *= len(self.model.architecture.answering)  # so many networks are of each fold
        unseen = judged.unseen[best]
        others = np.setdiff1d(np.arange(len(prepared.training.target)), unseen)
        training = prepared.training
        return Single(judged.members[best], training.rows(others), training.rows(unseen))

    @property
    def history_of_single(self) -> History:
        """The history with the losses of the network of ``single``, where several train side by side."""
        architecture = self.model.architecture
        part = next(i for i, share in enumerate(architecture.shares or (1.0,)) if share > 0)
        if part >= len(architecture.kinds):  # the linear model, which has no epochs
            return self.history
        own = [
            replace(
                one,
                validation_loss=[losses[part] for losses in one.part_losses],
                kept_epoch=one.kept_epochs[part],
            )
            if one.kept_epochs
            else one
            for one in self.history.replicas
        ]
        return replace(self.history, replicas=own)

    @cached_property
    def constant(self) -> Floats:
        """The training rows' shares of the classes, or their mean, for each scored row, as ``scored.predicted``."""
        return constant_of(self.prepared, len(self.scored.actual))

    @cached_property
    def importances(self) -> Importances:
        """How much each column matters, by the loss that the scored rows gain when it is shuffled."""
        return importances(self)

    @cached_property
    def coverage(self) -> tuple[Coverage, ...]:
        """How often intervals, or label sets, hold the truth on the scored rows, and how large they are.

        Each row's is made of errors on other rows. None where the score is of rows that trained.

        >>> from chainrule import data, tables
        >>> diabetes = data.load_bundled("diabetes")
        >>> trained = tables.train_table(diabetes.frame, diabetes.target, tables.TrainingSettings(epochs=10))
        >>> [one.probability for one in trained.coverage]
        [0.5, 0.8, 0.9, 0.95]
        >>> 0.8 < trained.coverage[2].covered <= 1
        True
        """
        if self.prepared.split.scored_on == "training":
            return ()
        return coverage_of(self.model, self.scored)

    @cached_property
    def worst(self) -> WorstRows:
        """The ten scored rows that the network is furthest off: ``titles``, and ``rows`` of cells under them.

        >>> from chainrule import data, tables
        >>> wine = data.load_bundled("wine")
        >>> trained = tables.train_table(wine.frame, wine.target, tables.TrainingSettings(epochs=10))
        >>> trained.worst.titles[:4], len(trained.worst.rows)
        (['Row', 'Actual', 'Predicted', 'Probability'], 10)
        """
        return worst_rows(self)

    @cached_property
    def examination(self) -> Examination:
        """What the findings rest on, measured once."""
        return examine(self)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What to know before trusting the score, the worst first, with remedies in Python.

        ``chainrule.tables.findings_of(trained, "command")`` says the remedies as options of the command line.
        """
        return findings_of(self)
