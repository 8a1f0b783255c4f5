"""The progress bar, and the record that callbacks receive after each epoch."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Literal, Protocol

from chainrule.nn.module import Module
from chainrule.notebook import NotebookBar, in_notebook
from chainrule.optim.optimizer import Optimizer


@dataclass(frozen=True)
class Epoch:
    """What a callback is told at the end of an epoch.

    ``number`` counts from 1 to ``epochs``, ``replica`` from 0 to ``restarts`` - 1. ``loss`` and ``gradient_norm`` are
    means over the epoch's minibatches, each taken before its update; ``validation_loss`` (None without validation rows)
    is that at the end of the epoch. The epoch took ``steps`` steps and ``seconds`` seconds, compiling not included,
    and began with the learning rate ``lr_at_start``. ``model`` holds the parameters now; ``optimizer`` is the run's own
    copy (None with ``optim.LBFGS``). A callback that sets ``epoch.optimizer.lr`` to a number changes the learning rate
    of this replica. ``run`` is one and the same object for all epochs of a call of ``fit``; ``resumed`` says whether it
    goes on from a checkpoint.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> lines = []
    >>> history = cr.fit(
    ...     nn.Linear(1, 1, seed=0), (x, 2 * x), loss=nn.squared_error, optimizer=optim.SGD(0.1), epochs=2,
    ...     callbacks=[lambda epoch: lines.append((epoch.number, epoch.epochs, epoch.lr))]
    ... )
    >>> lines
    [(1, 2, 0.1), (2, 2, 0.1)]
    """

    number: int
    epochs: int
    replica: int
    restarts: int
    loss: float
    validation_loss: float | None
    gradient_norm: float
    steps: int
    seconds: float
    model: Module
    optimizer: Optimizer | None = None
    lr_at_start: float | None = None
    run: object = field(default=None, repr=False)
    resumed: bool = False

    @property
    def lr(self) -> float | None:
        """The learning rate of the next step; None with ``optim.LBFGS``, whose line search chooses steps."""
        return None if self.optimizer is None else float(self.optimizer.rate().numpy())

    def describe(self, rate: bool = True) -> str:
        """One short line: losses and, unless there is no room for it, steps per second."""
        validation = "" if self.validation_loss is None else f"  validation {self.validation_loss:.4g}"
        steps = self.steps / self.seconds if self.seconds > 0 else 0.0
        return f"loss {self.loss:.4g}{validation}" + (f"  {steps:,.0f} steps/s" if rate else "")


WIDE = 100  # columns of a terminal


class Bar(Protocol):
    """What shows the progress of a run; ``wide`` if there is room for more than the losses."""

    wide: bool

    def show(self, done: int, description: str, status: str) -> None:
        """Draw ``done`` epochs, which replica trains, and its losses."""


class TerminalBar:
    """A bar on standard error, and the time that is left."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self.wide = console.width >= WIDE
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24 if self.wide else 14),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            auto_refresh=False,
        )
        self._bar.start()
        self._task = self._bar.add_task("epochs", total=total, status="")

    def show(self, done: int, description: str, status: str) -> None:
        """Draw the bar again."""
        self._bar.update(self._task, completed=done, description=description, status=status)
        self._bar.refresh()

    def stop(self) -> None:
        """Leave the bar as it stands and release the terminal."""
        self._bar.stop()


class Display:
    """A progress bar over the epochs of all replicas, or nothing; "auto" shows it on a terminal and in a notebook."""

    def __init__(self, progress: bool | Literal["auto"], epochs: int, restarts: int) -> None:
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self._notebook = in_notebook()
        self.shown = terminal or self._notebook if progress == "auto" else progress
        self._epochs, self._restarts = epochs, restarts
        self._done: dict[int, int] = {}  # epochs of each replica
        self._bar: Bar | None = None
        self._said = ("epochs", "")
        self._drawn = 0.0

    def __enter__(self) -> Display:
        if self.shown:
            total = self._epochs * self._restarts
            self._bar = NotebookBar(total) if self._notebook else TerminalBar(total)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._draw()
        if isinstance(self._bar, TerminalBar):
            self._bar.stop()

    def epoch(self, epoch: Epoch) -> None:
        """Show a finished epoch; drawn at most ten times a second."""
        if self._bar is None:
            return
        self._done[epoch.replica] = epoch.number
        which = f"restart {epoch.replica + 1}/{epoch.restarts}" if epoch.restarts > 1 else "epochs"
        self._said = which, epoch.describe(rate=self._bar.wide)
        self.tick()

    def ended(self, replica: int) -> None:
        """Count all epochs of a replica as done; may be called by any thread."""
        self._done[replica] = self._epochs

    def tick(self) -> None:
        """Redraw if it is time to."""
        if self._bar is not None and time.monotonic() - self._drawn > 0.1:
            self._draw()

    def _draw(self) -> None:
        assert self._bar is not None
        self._drawn = time.monotonic()
        self._bar.show(sum(list(self._done.values())), *self._said)


def say(text: str) -> None:
    """Print a line that the user must not miss to standard error."""
    if sys.stderr is not None:  # a program without a console
        print(f"chainrule: {text}", file=sys.stderr)
