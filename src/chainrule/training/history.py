"""What a training run leaves behind."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from chainrule.data.frames import Library, make_frame
from chainrule.errors import SettingError
from chainrule.nn.module import Module
from chainrule.notebook import line_chart, preformatted
from chainrule.ops.record import Array
from chainrule.svg import element
from chainrule.tensor import Tensor


@dataclass
class Replica:
    """One of the networks that were trained: its curves, why it ended, and its parameters.

    Curves have one entry an epoch. ``loss`` is the mean over the epoch's minibatches, weighted by their rows,
    as it was when each was visited, before the updates that followed; of a loss that is a total (reduction="sum")
    the sum over the epoch's minibatches. ``validation_loss`` is that of all validation rows, taken at inference
    at the end of the epoch, and ``end_loss`` that of all training rows: it is there where ``cr.EarlyStopping``
    has no validation data to watch. ``kept_epoch`` counts from 0 and is -1 where no epoch was finished;
    ``kept_loss`` is the validation loss (without validation data: the loss of all training rows, at inference) of
    the parameters in ``state``, None where it was not taken. ``dropped`` is the number of epochs after which
    ``cr.Halving`` gave it up, None if it did not.
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    end_loss: list[float] = field(default_factory=list)
    steps: int = 0
    stopped: str = ""
    kept_epoch: int = -1
    kept_loss: float | None = None
    dropped: int | None = None
    state: dict[str, Array] = field(default_factory=dict)

    def monitored(self) -> list[float]:
        """The curve that decides: validation loss, without validation data training loss."""
        return self.validation_loss or self.end_loss or self.loss

    def trim(self, epochs: int) -> None:
        """Forget what lies beyond this many epochs."""
        for curve in (self.loss, self.validation_loss, self.gradient_norm, self.end_loss):
            del curve[epochs:]

    @property
    def score(self) -> float:
        """The loss of the kept parameters, by which replicas are compared; lower is better.

        Where it was not taken, as for a replica that was interrupted, that of the kept epoch.
        """
        if self.kept_epoch < 0:
            return np.inf
        loss = self.monitored()[self.kept_epoch] if self.kept_loss is None else self.kept_loss
        return np.inf if np.isnan(loss) else loss


@dataclass
class History:
    """Curves of every replica, which one was kept, and why each ended.

    ``seconds`` is the time this call of ``fit`` took, ``interrupted`` whether Ctrl-C ended it. ``optimizer``
    is its description (``Optimizer.describe``), ``batch_size`` the rows of a step, ``lr`` [restarts, epochs]
    the step size at the start of each epoch that the run could have had (no columns for LBFGS, which searches
    for it).

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
    optimizer: dict[str, Any] = field(default_factory=dict)
    batch_size: int = 0
    lr: Array = field(default_factory=lambda: np.zeros((1, 0)), repr=False)

    def _curves(self, name: str) -> Array:
        rows: list[list[float]] = [getattr(replica, name) for replica in self.replicas]
        table = np.full((len(rows), max(map(len, rows), default=0)), np.nan)
        for row, curve in zip(table, rows, strict=True):
            row[: len(curve)] = curve
        return table

    @property
    def loss(self) -> Array:
        """Training loss during each epoch [restarts, epochs]; NaN where a replica had already ended."""
        return self._curves("loss")

    @property
    def end_loss(self) -> Array:
        """Loss of all training rows after each epoch [restarts, epochs].

        Without columns, but where ``cr.EarlyStopping`` watches it or with ``optim.LBFGS``.
        """
        return self._curves("end_loss")

    @property
    def validation_loss(self) -> Array:
        """Validation loss [restarts, epochs]; no columns without validation data."""
        return self._curves("validation_loss")

    @property
    def gradient_norm(self) -> Array:
        """Mean norm of the minibatches' gradients before clipping [restarts, epochs]."""
        return self._curves("gradient_norm")

    @property
    def best(self) -> int:
        """Index of the kept replica: lowest validation loss, without validation data lowest training loss.

        The losses compared are those of the parameters that each has kept, over all rows and at inference. A
        replica that ``cr.Halving`` dropped is not kept.
        """
        scores = [(r.dropped is not None, r.score, index) for index, r in enumerate(self.replicas)]
        return min(scores)[2]

    @property
    def steps(self) -> int:
        """Optimizer steps taken by all replicas together."""
        return sum(replica.steps for replica in self.replicas)

    @property
    def epochs(self) -> int:
        """Epochs run by the kept replica."""
        return len(self.replicas[self.best].loss)

    @property
    def stopped(self) -> list[str]:
        """Why each replica ended."""
        return [replica.stopped for replica in self.replicas]

    @property
    def dropped(self) -> list[int | None]:
        """After how many epochs ``cr.Halving`` dropped each replica; None for those that it did not."""
        return [replica.dropped for replica in self.replicas]

    def describe_kept(self) -> str:
        """Which epoch's parameters the model holds, in words."""
        epoch, which = self.replicas[self.best].kept_epoch + 1, f" of replica {self.best}"
        when = f"after epoch {epoch}" if epoch else "before the first epoch"
        return f"{when}{which if len(self.replicas) > 1 else ''}"

    def ensemble(self) -> Ensemble:
        """A model whose output is the mean of all replicas' outputs, at their kept epochs.

        Left out are replicas that ``cr.Halving`` dropped and those that did not finish a single epoch, unless
        nothing would remain.
        """
        if self.model is None:
            raise SettingError("this history has no model to build an ensemble from")
        survivors = [replica for replica in self.replicas if replica.dropped is None]
        finished = [replica for replica in survivors if np.isfinite(replica.score)]
        members = []
        for replica in finished or [self.replicas[self.best]]:
            member = copy.deepcopy(self.model)
            member.load_state_dict(replica.state)
            members.append(member)
        return Ensemble(members)

    def to_frame(self, library: Library = "polars") -> Any:
        """The curves as a data frame, a row for each epoch of each replica.

        Columns: ``replica`` from 0, ``epoch`` from 1, ``loss``, ``validation_loss`` (NaN without validation
        data), ``gradient_norm``, and ``kept``, true in the epoch of each replica whose parameters were kept.
        ``library`` is "polars", "pandas" or "arrow"; the last two have to be installed.
        """
        count = [len(replica.loss) for replica in self.replicas]
        curves = ("loss", "validation_loss", "gradient_norm")
        columns: dict[str, Any] = {
            "replica": np.repeat(np.arange(len(count)), count),
            "epoch": np.concatenate([np.arange(1, n + 1) for n in count] or [np.zeros(0, np.int64)]),
            **{name: np.array([v for r in self.replicas for v in _padded(r, name)]) for name in curves},
            "kept": np.array(
                [epoch == r.kept_epoch for r in self.replicas for epoch in range(len(r.loss))], bool
            ),
        }
        return make_frame(columns, library)

    def plot(self, what: Literal["loss", "gradient_norm", "lr"] = "loss", ax: Any = None) -> Any:
        """The curves of all restarts by epoch with matplotlib: the kept one bold, the others thin.

        ``what`` is "loss" (training and, dashed, validation; a dot marks the kept epoch), "gradient_norm" or "lr", the
        step sizes. Axes are logarithmic where values span more than a decade and a half. Draws on ``ax`` or on a
        new figure, and returns the axes. Raises SettingError where there is nothing to draw.
        """
        from chainrule.charts import plot_run

        replica = self.replicas[self.best]
        curves = {
            "loss": [("training", self.loss), ("validation", self.validation_loss)],
            "gradient_norm": [("gradient norm", self.gradient_norm)],
            "lr": [("step size", self.lr)],
        }.get(what, [])
        drawn = [(name, values) for name, values in curves if values.size]
        if not drawn:
            raise SettingError(
                f"this history has no {what!r} to draw",
                expected="'loss', 'gradient_norm' or 'lr'",
                got=repr(what),
            )
        kept = self.best if len(drawn[0][1]) > self.best else 0
        label = {"loss": "loss", "gradient_norm": "gradient norm", "lr": "step size"}[what]
        return plot_run(ax, label, drawn, kept, replica.kept_epoch if what == "loss" else -1)

    def __repr__(self) -> str:
        kept = self.replicas[self.best]
        several = f"replica {self.best} of {len(self.replicas)}, " if len(self.replicas) > 1 else ""
        parts = [f"{several}{len(kept.loss)} epochs", f"{self.steps} steps"]
        if kept.kept_epoch >= 0:
            end = kept.end_loss or kept.loss
            parts.append(f"loss {end[kept.kept_epoch]:.4g}")
            if kept.validation_loss:
                parts.append(f"validation loss {kept.validation_loss[kept.kept_epoch]:.4g}")
        return f"<History: {', '.join(parts)}; {kept.stopped}>"

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
                mark=kept.kept_epoch + 1,
            )
            if kept.loss
            else ""
        )
        return str(element("div", preformatted(repr(self)), chart))


def _padded(replica: Replica, name: str) -> list[float]:
    """A curve with an entry for each epoch: NaN where there is none."""
    curve: list[float] = getattr(replica, name)
    return [*curve, *[np.nan] * (len(replica.loss) - len(curve))]


class Ensemble(Module):
    """The mean of several models' outputs."""

    def __init__(self, members: list[Module]) -> None:
        self.members = members
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """The mean output for a minibatch ``x`` [batch, features]."""
        outputs = [member(x) for member in self.members]
        total = outputs[0]
        for output in outputs[1:]:
            total = total + output
        return total / float(len(outputs))
