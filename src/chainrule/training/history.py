"""What ``cr.fit`` returns: the curves of every replica, which one was kept, and why each ended."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from chainrule.data.features.frames import Library, make_frame
from chainrule.errors import SettingError
from chainrule.foreign_text import clipped, quoted, short_repr
from chainrule.markup import element, preformatted
from chainrule.nn.module import Module
from chainrule.notebook import line_chart
from chainrule.ops.record import Array
from chainrule.training.ensemble import Ensemble, OutputKind
from chainrule.training.folds import Fold
from chainrule.training.out_of_fold import inputs_of, predict_out_of_fold


@dataclass(repr=False)
class Replica:
    """One of the networks of a run: its curves, why it ended, and its parameters.

    Curves have one entry per epoch. ``loss`` is the mean over the epoch's minibatches, weighted by their rows, each
    taken before the update that followed it; for a loss that is a sum over rows (reduction="sum") it is the sum.
    ``validation_loss`` is that of all validation rows in inference mode at the end of the epoch. ``end_loss`` is that
    of all training rows, and present only if ``cr.EarlyStopping`` has no validation rows to watch, or with
    ``optim.LBFGS``. ``gradient_norm`` is the mean norm of the minibatches' gradients before clipping. ``lr`` is the
    learning rate at the start of each epoch, and one entry longer for a replica that diverged: the rate of the epoch in
    which it did. It is empty with ``optim.LBFGS``, and NaN for epochs in checkpoints that did not record it.

    ``steps`` counts the updates, ``stopped`` says why the replica ended. ``state`` holds the parameters and buffers
    that were kept, those after ``kept_epoch`` (counted from 0; -1: no epoch was finished). ``kept_loss`` is their
    validation loss, or without validation rows the loss of all training rows in inference mode; None if it was not
    computed. ``dropped`` is the number of epochs after which ``cr.Halving`` dropped the replica, None if it did not.

    Where networks train side by side and the loss is the mean of theirs, as in the ensembles of tables, ``part_losses``
    has a tuple of their losses for each epoch, on the rows of ``validation_loss`` or ``end_loss``. Early stopping then
    keeps each network's best epoch: ``kept_epochs`` are these, ``kept_epoch`` is the latest of them, and ``kept_loss``
    the mean of the networks' losses there.
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    end_loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    steps: int = 0
    stopped: str = ""
    kept_epoch: int = -1
    kept_loss: float | None = None
    dropped: int | None = None
    state: dict[str, Array] = field(default_factory=dict)
    part_losses: list[tuple[float, ...]] = field(default_factory=list)
    kept_epochs: tuple[int, ...] = ()

    __repr__ = short_repr

    def monitored(self) -> list[float]:
        """The curve that decides: the validation loss, or without validation rows the training loss."""
        return self.validation_loss or self.end_loss or self.loss

    def watched(self, epoch: int) -> tuple[float, ...]:
        """The losses that decide after an epoch: of each network that trains side by side, or of the only one."""
        return self.part_losses[epoch] if self.part_losses else (self.monitored()[epoch],)

    @property
    def marked(self) -> tuple[int, ...]:
        """The epochs after which parameters were kept: one, or those of networks that train side by side, ascending."""
        return tuple(sorted({*(self.kept_epochs or (self.kept_epoch,))}))

    @property
    def score(self) -> float:
        """The loss of the kept parameters, by which replicas are compared; lower is better.

        If it was not computed, as for a replica that was interrupted, the loss of the kept epoch.
        """
        if self.kept_epoch < 0:
            return np.inf
        loss = self.monitored()[self.kept_epoch] if self.kept_loss is None else self.kept_loss
        return np.inf if np.isnan(loss) else loss


@dataclass
class History:
    """Curves of every replica, which one was kept, and why each ended.

    Curves are arrays [restarts, epochs] with NaN where a replica had already ended. ``seconds`` is the time that this
    call of ``fit`` took, ``interrupted`` says whether Ctrl-C ended it. ``model`` is the model that was trained,
    ``optimizer`` the optimizer's name and settings, ``batch_size`` the rows of a minibatch, ``not_begun`` the number of
    replicas that an interrupted run had not begun. ``folds`` are the rows of each replica, where each had its own, and
    ``output_kind`` says what the model's outputs are for the loss: "class logits", "logits" or "numbers".

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> history = cr.fit(
    ...     nn.Linear(1, 1, seed=0), (x, 2 * x), loss=nn.squared_error, optimizer=optim.SGD(0.1), epochs=5,
    ...     restarts=2, seed=0
    ... )
    >>> history.loss.shape, history.batch_size
    ((2, 5), 20)
    >>> history.replicas[0].stopped
    'all epochs done'
    """

    replicas: list[Replica]
    seconds: float = 0.0
    interrupted: bool = False
    model: Module | None = field(default=None, repr=False)
    optimizer: dict[str, object] = field(default_factory=dict)
    batch_size: int = 0
    not_begun: int = 0
    folds: Sequence[Fold] = field(default=(), repr=False)
    output_kind: OutputKind = "numbers"
    inputs: Any = field(
        default=None, repr=False, compare=False
    )  # X, with folds only; not in copies and pickles

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"inputs": None}

    def _curves(self, name: str) -> Array:
        rows: list[list[float]] = [getattr(replica, name) for replica in self.replicas]
        table = np.full((len(rows), max(map(len, rows), default=0)), np.nan)
        for row, curve in zip(table, rows, strict=True):
            row[: len(curve)] = curve
        return table

    @property
    def loss(self) -> Array:
        """Training loss during each epoch [restarts, epochs]."""
        return self._curves("loss")

    @property
    def end_loss(self) -> Array:
        """Loss of all training rows after each epoch [restarts, epochs].

        No columns unless ``cr.EarlyStopping`` watches it, or with ``optim.LBFGS``.
        """
        return self._curves("end_loss")

    @property
    def validation_loss(self) -> Array:
        """Validation loss after each epoch [restarts, epochs]; no columns without validation rows."""
        return self._curves("validation_loss")

    @property
    def gradient_norm(self) -> Array:
        """Mean norm of the minibatches' gradients before clipping [restarts, epochs]."""
        return self._curves("gradient_norm")

    @property
    def lr(self) -> Array:
        """Learning rate at the start of each epoch [restarts, epochs], including the epoch in which a replica diverged.

        With ``optim.groups`` it is the first group's. No columns with ``optim.LBFGS``, whose line search chooses steps.
        """
        return self._curves("lr")

    @property
    def best(self) -> int:
        """Index of the kept replica: the lowest validation loss, or without validation rows the lowest training loss.

        Compared are the losses of the parameters that each replica has kept, over all rows and in inference mode. A
        replica that ``cr.Halving`` dropped is never the best.
        """
        scores = [(r.dropped is not None, r.score, index) for index, r in enumerate(self.replicas)]
        return min(scores)[2]

    @property
    def steps(self) -> int:
        """The number of optimizer steps that all replicas took together."""
        return sum(replica.steps for replica in self.replicas)

    @property
    def epochs(self) -> int:
        """The number of epochs that the kept replica finished."""
        return len(self.replicas[self.best].loss)

    @property
    def stopped(self) -> list[str]:
        """Why each replica ended."""
        return [replica.stopped for replica in self.replicas]

    @property
    def dropped(self) -> list[int | None]:
        """The number of epochs after which ``cr.Halving`` dropped each replica; None for those that it kept."""
        return [replica.dropped for replica in self.replicas]

    def describe_kept(self) -> str:
        """Say which epoch's parameters the model holds."""
        kept, which = self.replicas[self.best], f" of replica {self.best}"
        when = f"after epoch {kept.kept_epoch + 1}" if kept.kept_epoch >= 0 else "before the first epoch"
        if len(kept.marked) > 1:
            when = (
                f"after each network's best epoch ({', '.join(str(epoch + 1) for epoch in kept.kept_epochs)})"
            )
        return f"{when}{which if len(self.replicas) > 1 else ''}"

    def ensemble(self) -> Ensemble:
        """A model that predicts the mean of what the replicas predict, each with the parameters that it kept.

        If their outputs are logits, which the loss shows (``nn.cross_entropy``, ``nn.binary_cross_entropy``, or what is
        made of these), it is their probabilities that are averaged, and the ensemble's outputs are the logits of the
        mean: ``cr.softmax`` or ``cr.logistic`` makes probabilities of them, as of one replica's. Otherwise the outputs
        are averaged. ``.averages`` of the ensemble says which.

        Replicas that ``cr.Halving`` dropped or that finished no epoch are left out, unless none would remain. Raises
        SettingError if the history has no model.
        """
        members = []
        for index in self._members():
            member = copy.deepcopy(self._model("an ensemble", "ensemble()"))
            member.load_state_dict(self.replicas[index].state)
            members.append(member)
        return Ensemble(members, self.output_kind)

    def out_of_fold(self, x: Any = None) -> Array:
        """Each row of X predicted by the replicas that did not train on it: their mean, float64 [rows, outputs].

        These are probabilities if the model's outputs are logits (see ``ensemble``), otherwise the outputs, in the
        shape that the model gives for all rows. A replica predicts all rows but those that it trained on, with the
        parameters that it kept. If these were chosen by its validation rows, as with ``cr.EarlyStopping``, losses of
        these predictions are a little too good. The replicas are those of ``ensemble``.

        The history refers to the X that ``cr.fit`` was given, or to the floats that fit made of it, so changes of X
        show. A history that was copied or pickled does not hold X: then ``x`` is that X once more. Rows that every
        replica trained on are NaN, with a TrainingWarning. Raises SettingError if the replicas had no rows of their
        own, or if no row was left out.

        >>> import numpy as np
        >>> import chainrule as cr
        >>> from chainrule import nn, optim
        >>> x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
        >>> history = cr.fit(
        ...     nn.Linear(1, 1, seed=0), (x, 2 * x), loss=nn.squared_error, optimizer=optim.SGD(0.5), batch_size=8,
        ...     restarts=5, rows=cr.folds(40, 5), seed=0
        ... )
        >>> predicted = history.out_of_fold()
        >>> predicted.shape, bool(np.abs(predicted - 2 * x).max() < 0.01)
        ((40, 1), True)
        """
        if not self.folds:
            raise SettingError(
                "the replicas of this history were trained on the same rows, so none of them was left out",
                hint="rows=cr.folds(len(X), 8), restarts=8",
            )
        inputs = inputs_of(self.inputs if x is None else x, self.folds)
        model = copy.deepcopy(self._model("predictions", "out_of_fold()"))
        trained = [(self.replicas[index].state, self.folds[index]) for index in self._members()]
        return predict_out_of_fold(model, trained, inputs, self.output_kind)

    def _members(self) -> list[int]:
        """The replicas that predict together: those that were not dropped and have finished an epoch, or the best."""
        survivors = [index for index, replica in enumerate(self.replicas) if replica.dropped is None]
        return [index for index in survivors if np.isfinite(self.replicas[index].score)] or [self.best]

    def _model(self, wanted: str, call: str) -> Module:
        """The model that was trained; SettingError if there is none to make what is wanted from."""
        if self.model is None:
            raise SettingError(
                f"this history has no model to build {wanted} from",
                hint=f"call {call} on the history that cr.fit returned",
            )
        return self.model

    def to_frame(self, library: Library = "polars") -> Any:
        """The curves as a data frame, one row for each epoch of each replica.

        Columns: ``replica`` from 0, ``epoch`` from 1, ``loss``, ``validation_loss`` (NaN without validation
        data), ``gradient_norm``, ``lr`` (NaN with ``optim.LBFGS``), and ``kept``, true in the epoch of each
        replica whose parameters were kept (in several, where networks that train side by side kept one each).
        ``library`` is "polars", "pandas" or "arrow"; the last two have to be installed.
        """
        count = [len(replica.loss) for replica in self.replicas]
        curves = ("loss", "validation_loss", "gradient_norm", "lr")
        columns: dict[str, Array] = {
            "replica": np.repeat(np.arange(len(count)), count),
            "epoch": np.concatenate([np.arange(1, n + 1) for n in count] or [np.zeros(0, np.int64)]),
            **{name: np.array([v for r in self.replicas for v in _padded(r, name)]) for name in curves},
            "kept": np.array(
                [epoch in r.marked for r in self.replicas for epoch in range(len(r.loss))], bool
            ),
        }
        return make_frame(columns, library)

    def plot(self, what: Literal["loss", "gradient_norm", "lr"] = "loss", ax: Any = None) -> Any:
        """The curves of all restarts by epoch with matplotlib: the kept one bold, the others thin.

        ``what`` is "loss" (training, and validation dashed; a dot marks the kept epoch), "gradient_norm" or "lr", the
        learning rates. Axes are logarithmic if the values span more than a decade and a half. Draws on ``ax`` or on a
        new figure, and returns the axes. Raises SettingError if there is nothing to draw.
        """
        from chainrule.charts import plot_run

        replica = self.replicas[self.best]
        curves = {
            "loss": [("training", self.loss), ("validation", self.validation_loss)],
            "gradient_norm": [("gradient norm", self.gradient_norm)],
            "lr": [("learning rate", self.lr)],
        }.get(what, [])
        drawn = [(name, values) for name, values in curves if values.size]
        if not drawn:
            raise SettingError(
                f"this history has no {quoted(what)} to draw",
                expected="'loss', 'gradient_norm' or 'lr'",
                got=quoted(what),
            )
        kept = self.best if len(drawn[0][1]) > self.best else 0
        label = {"loss": "loss", "gradient_norm": "gradient norm", "lr": "learning rate"}[what]
        return plot_run(ax, label, drawn, kept, replica.marked if what == "loss" else ())

    def __repr__(self) -> str:
        kept = self.replicas[self.best]
        planned = len(self.replicas) + self.not_begun
        several = f"replica {self.best} of {planned}, " if planned > 1 else ""
        several += f"{self.not_begun} not begun, " if self.not_begun else ""
        parts = [f"{several}{len(kept.loss)} epochs", f"{self.steps} steps"]
        if len(kept.marked) > 1:  # networks side by side: no epoch's losses are theirs together
            name = "validation loss" if kept.validation_loss else "loss"
            parts.append(f"{name} {kept.kept_loss:.4g}")
        elif kept.kept_epoch >= 0:
            end = kept.end_loss or kept.loss
            parts.append(f"loss {end[kept.kept_epoch]:.4g}")
            if kept.validation_loss:
                parts.append(f"validation loss {kept.validation_loss[kept.kept_epoch]:.4g}")
        return f"<History: {', '.join(parts)}; {clipped(kept.stopped)}>"

    def _repr_html_(self) -> str:
        kept = self.replicas[self.best]
        lines = {"training": kept.loss} | (
            {"validation": kept.validation_loss} if kept.validation_loss else {}
        )
        positive = all(np.nanmin(line, initial=1.0) > 0 for line in lines.values())
        chart = (
            line_chart(
                range(1, len(kept.loss) + 1),
                lines,
                "epoch",
                "loss",
                logarithmic=(False, positive),
                marks=[epoch + 1 for epoch in kept.marked],
            )
            if kept.loss
            else ""
        )
        return str(element("div", preformatted(repr(self)), chart))


def _padded(replica: Replica, name: str) -> list[float]:
    """A curve with an entry for each epoch: NaN where there is none."""
    curve: list[float] = getattr(replica, name)
    return [*curve[: len(replica.loss)], *[np.nan] * (len(replica.loss) - len(curve))]
