"""Callbacks to use as they are: the step size on a plateau, and logs as CSV and for TensorBoard.

A callback is any function of a ``cr.Epoch``, called after each epoch of each replica.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from chainrule.errors import SettingError
from chainrule.files import FileWriteError
from chainrule.optim.settings import check_count, check_number
from chainrule.training.progress import Epoch

CURVES = ("loss", "validation_loss", "gradient_norm", "lr")


@dataclass
class ReduceOnPlateau:
    """Multiplies the step size by ``factor`` when the loss has not improved for ``patience`` epochs.

    The validation loss counts, without validation data the training loss; an improvement is a loss lower by more than
    ``min_delta``. The step size never falls below ``least``. Each replica has its own. Needs an optimizer whose lr is a
    number, not a schedule. A resumed run counts its epochs anew; the step size is part of the checkpoint.
    Raises SettingError for settings out of range.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> x = np.ones((4, 1), np.float32)
    >>> rates = []
    >>> history = cr.fit(
    ...     nn.Linear(1, 1), (x, x), loss=nn.absolute_error, optimizer=optim.SGD(3.0), epochs=4,
    ...     callbacks=[cr.ReduceOnPlateau(factor=0.5, patience=1), lambda epoch: rates.append(epoch.lr)],
    ... )
    >>> rates[-1] < 3.0
    True
    """

    factor: float = 0.1
    patience: int = 10
    min_delta: float = 0.0
    least: float = 0.0
    _best: dict[int, float] = field(default_factory=dict, init=False, repr=False)
    _waited: dict[int, int] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_number("factor", self.factor, above=0, below=1)
        check_count("patience", self.patience)
        check_number("min_delta", self.min_delta, least=0)
        check_number("least", self.least, least=0)

    def __call__(self, epoch: Epoch) -> None:
        """Look at an epoch; lower the step size if it is time to."""
        optimizer = epoch.optimizer
        if optimizer is None or any(callable(part.lr) for part in optimizer.parts()):
            raise SettingError(
                "ReduceOnPlateau changes a step size that is a number",
                expected="such as optim.Adam(1e-3)",
                got="optim.LBFGS" if optimizer is None else repr(optimizer),
            )
        if epoch.number == 1:  # perhaps of another run
            self._best.pop(epoch.replica, None)
        loss = epoch.loss if epoch.validation_loss is None else epoch.validation_loss
        if loss < self._best.get(epoch.replica, math.inf) - self.min_delta:
            self._best[epoch.replica], self._waited[epoch.replica] = loss, 0
            return
        self._waited[epoch.replica] = self._waited.get(epoch.replica, 0) + 1
        if self._waited[epoch.replica] >= self.patience:
            self._waited[epoch.replica] = 0
            for part in optimizer.parts():
                rate = max(float(part.base_rate.numpy()) * self.factor, self.least)
                part.base_rate.assign(rate)


@dataclass
class CSVLog:
    """Writes a line for each epoch of each replica to a CSV file, at once.

    Columns: replica, epoch, loss, validation_loss (empty without validation data), gradient_norm, lr (of the next step;
    empty with ``optim.LBFGS``), steps, seconds. The first epoch of a run replaces the file, unless ``append``.
    Raises FileWriteError if it cannot be written.

    >>> import numpy as np
    >>> import tempfile, pathlib
    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "run.csv")
    ...     history = cr.fit(
    ...         nn.Linear(1, 1, seed=0), (x, 2 * x), loss=nn.squared_error, optimizer=optim.SGD(0.1), epochs=3,
    ...         callbacks=[cr.CSVLog(path)],
    ...     )
    ...     lines = path.read_text().splitlines()
    >>> lines[0]
    'replica,epoch,loss,validation_loss,gradient_norm,lr,steps,seconds'
    >>> len(lines)
    4
    """

    path: str | PathLike[str]
    append: bool = False
    _begun: bool = field(default=False, init=False, repr=False)

    def __call__(self, epoch: Epoch) -> None:
        """Write an epoch's line."""
        row = {"replica": epoch.replica, "epoch": epoch.number}
        row |= {name: getattr(epoch, name) for name in CURVES} | {
            "steps": epoch.steps,
            "seconds": epoch.seconds,
        }
        path = Path(self.path)
        try:
            header = not (self._begun or self.append) or not path.exists()
            with path.open("w" if not (self._begun or self.append) else "a", newline="") as file:
                writer = csv.DictWriter(file, row)
                if header:
                    writer.writeheader()
                writer.writerow(row)
        except OSError as error:
            raise FileWriteError(
                f"could not write {path}: {error.strerror}", hint="make room, or name another file"
            ) from error
        self._begun = True


class TensorBoardLog:
    """Writes losses, gradient norm and step size for TensorBoard, replicas as runs of their own.

    ``folder`` is what ``tensorboard --logdir`` is given. Needs ``pip install 'chainrule[tensorboard]'``; raises
    SettingError where that is missing.

    An example, in a script; then ``tensorboard --logdir runs`` shows it::

        cr.fit(model, (x, y), ..., callbacks=[cr.TensorBoardLog("runs")])
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        self._writers: dict[int, Any] = {}
        _event_writer()

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles hold: they open files of their own."""
        return vars(self) | {"_writers": {}}

    def __call__(self, epoch: Epoch) -> None:
        """Write an epoch's events."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        if epoch.replica not in self._writers:
            name = f"replica-{epoch.replica}" if epoch.restarts > 1 else "."
            self._writers[epoch.replica] = _event_writer()(str(self.folder / name))
        writer = self._writers[epoch.replica]
        values = {name: getattr(epoch, name) for name in CURVES}
        summary = Summary(
            value=[Summary.Value(tag=name, simple_value=v) for name, v in values.items() if v is not None]
        )
        writer.add_event(Event(step=epoch.number, wall_time=_now(), summary=summary))
        writer.flush()
        if epoch.number == epoch.epochs:
            writer.close()
            del self._writers[epoch.replica]


def _event_writer() -> Any:
    try:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        raise SettingError(
            "TensorBoardLog needs TensorBoard", hint="pip install 'chainrule[tensorboard]'"
        ) from None
    return EventFileWriter


def _now() -> float:
    import time

    return time.time()
