"""Ready-made callbacks: a lower learning rate on a plateau, and logs as CSV and for TensorBoard.

A callback is any function of a ``cr.Epoch``; ``cr.fit`` calls it after each epoch of each replica.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from chainrule.errors import SettingError
from chainrule.files import FileWriteError
from chainrule.foreign_text import quoted
from chainrule.optim.settings import check_count, check_number
from chainrule.training.event_file import EventFile, need_tensorboard
from chainrule.training.progress import Epoch

#: what logs say of an epoch, and under which names of it they find that
CURVES = {name: name for name in ("loss", "validation_loss", "gradient_norm")} | {"lr": "lr_at_start"}


@dataclass
class ReduceOnPlateau:
    """Multiplies the learning rate by ``factor`` when the loss has not improved for ``patience`` epochs.

    The validation loss counts, or without validation rows the training loss; an epoch improves if its loss is lower by
    more than ``min_delta``. The learning rate never falls below ``least``. Each replica has its own. The optimizer's lr
    must be a number, not a schedule. A resumed run continues with the learning rate of its checkpoint and counts epochs
    from 0. Raises SettingError for settings out of range, and on an optimizer without such an lr.

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
    _run: object = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.factor = check_number("factor", self.factor, above=0, below=1)
        self.patience = check_count("patience", self.patience)
        self.min_delta = check_number("min_delta", self.min_delta, least=0)
        self.least = check_number("least", self.least, least=0)

    def __call__(self, epoch: Epoch) -> None:
        """Lower the learning rate if the loss has not improved for long enough."""
        optimizer = epoch.optimizer
        if optimizer is None or any(callable(part.lr) for part in optimizer.parts()):
            raise SettingError(
                "ReduceOnPlateau needs a learning rate that is a number",
                expected="such as optim.Adam(1e-3)",
                got="optim.LBFGS" if optimizer is None else quoted(optimizer),
            )
        if epoch.run is not self._run:
            self._run = epoch.run
            self._best.clear()
            self._waited.clear()
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
    """Writes one line for each epoch of each replica to a CSV file, as soon as the epoch ends.

    Columns: replica, epoch, loss, validation_loss (empty without validation rows), gradient_norm, lr (the learning rate
    at the start of the epoch; empty with ``optim.LBFGS``), steps, seconds. A new run replaces the file, or with
    ``append`` adds to it; a resumed run continues it, and replaces the lines of epochs that it trains again. Raises
    FileWriteError if the file cannot be written.

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
    _last: dict[int, int] = field(default_factory=dict, init=False, repr=False)  # epoch of each replica
    _place: Path = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._place = Path(self.path).absolute()  # whatever folder is the process's own later

    def __call__(self, epoch: Epoch) -> None:
        """Write an epoch's line."""
        row = {"replica": epoch.replica, "epoch": epoch.number}
        row |= {name: getattr(epoch, found) for name, found in CURVES.items()} | {
            "steps": epoch.steps,
            "seconds": epoch.seconds,
        }
        path = self._place
        if not epoch.resumed and epoch.number <= self._last.get(epoch.replica, 0):
            self._last.clear()  # what is there is of another run
        again = epoch.resumed and epoch.number != self._last.get(epoch.replica, 0) + 1
        again = again or (epoch.resumed and epoch.number == 1 and not self.append)
        try:
            if again and path.exists():
                _forget_epochs(path, epoch)
            anew = not (self._last or self.append or epoch.resumed)
            header = anew or not path.exists()
            with path.open("w" if anew else "a", newline="") as file:
                writer = csv.DictWriter(file, row)
                if header:
                    writer.writeheader()
                writer.writerow(row)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            raise FileWriteError(
                f"could not write {path}: {error.strerror}",
                hint=f"create the folder {path.parent} first"
                if missing
                else "make room, or name another file",
            ) from error
        self._last[epoch.replica] = epoch.number


def _forget_epochs(path: Path, epoch: Epoch) -> None:
    """Remove the lines of this replica's last run from this epoch on."""
    with path.open(newline="") as file:
        lines = list(csv.reader(file))
    own = [i for i, line in enumerate(lines) if line[:1] == [str(epoch.replica)]]
    begin = max((i for i in own if lines[i][1] == "1"), default=0)
    again = {i for i in own if i >= begin and lines[i][1].isdigit() and int(lines[i][1]) >= epoch.number}
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(line for i, line in enumerate(lines) if i not in again)


class TensorBoardLog:
    """Writes losses, gradient norm and learning rate of each epoch for TensorBoard, one run for each replica.

    ``folder`` is what ``tensorboard --logdir`` is given. Needs ``pip install 'chainrule[tensorboard]'``; raises
    SettingError where that is missing, and FileWriteError while training where the disk has no room.

    An example, in a script; then ``tensorboard --logdir runs`` shows it::

        cr.fit(model, (x, y), ..., callbacks=[cr.TensorBoardLog("runs")])
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder).absolute()  # whatever folder is the process's own later
        self._writers: dict[int, EventFile] = {}
        need_tensorboard()

    def __getstate__(self) -> dict[str, object]:
        """Leave out the open files: copies and unpickled logs open their own."""
        return vars(self) | {"_writers": {}}

    def __call__(self, epoch: Epoch) -> None:
        """Write an epoch's events."""
        name = f"replica-{epoch.replica}" if epoch.restarts > 1 else "."
        values = {name: getattr(epoch, found) for name, found in CURVES.items()}
        try:
            if epoch.replica not in self._writers:
                self._writers[epoch.replica] = EventFile(self.folder / name)
            writer = self._writers[epoch.replica]
            writer.add(epoch.number, {name: value for name, value in values.items() if value is not None})
            if epoch.number == epoch.epochs:
                writer.close()
                del self._writers[epoch.replica]
        except OSError as error:
            raise FileWriteError(
                f"could not write to {self.folder}: {error.strerror}",
                hint="make room, or name another folder",
            ) from error
