"""What a run needs for every epoch: traced steps for each batch size, and all state that an epoch changes."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from chainrule.errors import TracingError, describe_line
from chainrule.graph import Node
from chainrule.guarded import Guarded, difference, trace_settled
from chainrule.guards import Guards
from chainrule.nn.module import Module, at_inference
from chainrule.ops.record import Array, is_float
from chainrule.optim.optimizer import Optimizer
from chainrule.tensor import Tensor
from chainrule.training.batches import Rows, minibatches, row_orders
from chainrule.training.combination import Combination
from chainrule.training.differences import Differences
from chainrule.training.executors import EXECUTORS, Executor, Runner, Work
from chainrule.training.halving import Halving
from chainrule.training.sparse_rows import in_parts, is_sparse, written_out
from chainrule.training.step import Objective, Step, Update, gradient_step, loss_step, training_step

EVALUATION_ROWS = 1024  # rows at once where no gradient is needed
MODEL = "model."  # prefix of the model's tensors among those of the state


@dataclass(frozen=True)
class Settings:
    """What a run was asked to do, in plain numbers; a resumed run must have the same."""

    batch_size: int
    shuffle: bool
    drop_last: bool
    seed: int
    restarts: int
    clip_norm: float | None
    executor: Executor = "compiled"
    update: Update = "joint"
    halving: Halving | None = None


@dataclass(slots=True)
class EpochResult:
    """Loss and mean gradient norm of an epoch's minibatches, and how many there were.

    ``validation_loss`` and ``end_loss``, that of the training rows, are taken at its end, where that was asked for.
    """

    loss: float
    gradient_norm: float
    steps: int
    validation_loss: float | None = None
    end_loss: float | None = None


class Trainer:
    """Runs epochs of one model on ``arrays``: its parameters and buffers, and the optimizer's state, by name.

    These are the tensors' own memory; a ``twin`` shares everything but has arrays of its own, so that several
    replicas train at the same time. Without an optimizer only the objective and its gradient are to be had.
    ``threads`` is how many may work on one step, ``combination`` how the losses of parts make up that of all rows.
    With ``look_back`` the loss of the training rows is taken at the end of every epoch.
    """

    def __init__(
        self,
        objective: Objective,
        rows: Rows,
        validation: Rows | None,
        optimizer: Optimizer | None,
        settings: Settings,
        differences: Differences,
        threads: int = 1,
        combination: Combination = "mean",
        look_back: bool = False,
    ) -> None:
        self._combination, self._look_back = combination, look_back
        self._executor = EXECUTORS[settings.executor](threads)
        self.objective, self.model = objective, objective.model
        self._differences, self._choice = differences, 0
        self.optimizer, self.settings = optimizer, settings
        if optimizer is not None:
            optimizer.attach(self.model)
        self.tensors = self._named_tensors()
        self.arrays = {name: tensor.numpy() for name, tensor in self.tensors.items()}
        changing = list(self.arrays.values())
        self.rows = rows.apart_from(changing)
        self.validation = None if validation is None else validation.apart_from(changing)
        self._start = {
            name: _compact(array) for name, array in self.arrays.items() if not name.startswith(MODEL)
        }
        self._lock = threading.Lock()  # tracing, initialising and callbacks go through the model itself
        self._prepared: dict[object, _Prepared] = {}
        self._runners: dict[object, tuple[Step, Runner]] = {}

    def _named_tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {f"{MODEL}{name}": tensor for name, tensor in self.model.named_state()}
        if self.optimizer is not None:
            found |= {f"optimizer.{name}": tensor for name, tensor in self.optimizer.named_state()}
        return found | self._differences.tensors()

    def twin(self) -> Trainer:
        """A trainer of the same steps on memory of its own."""
        other = copy.copy(self)
        other.arrays = {name: array.copy(order="K") for name, array in self.arrays.items()}
        other._runners = {}
        other._executor = type(self._executor)(self._executor.threads)
        return other

    # State

    def snapshot(self) -> dict[str, Array]:
        """Copies of the state."""
        return {name: array.copy(order="K") for name, array in self.arrays.items()}  # in memory's order

    def copy_into(self, snapshot: Mapping[str, Array]) -> None:
        """Make an earlier snapshot one of the present state."""
        for name, array in self.arrays.items():
            np.copyto(snapshot[name], array)

    def restore(self, snapshot: Mapping[str, Array]) -> None:
        """Put a snapshot back."""
        for name, array in self.arrays.items():
            np.copyto(array, snapshot[name])

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The model itself in this trainer's state, at inference; what is done to it is done to the trainer."""
        own = [
            (t.numpy(), self.arrays[n]) for n, t in self.tensors.items() if t.numpy() is not self.arrays[n]
        ]
        with self._lock:
            for visible, array in own:
                np.copyto(visible, array)
            self.model.eval()  # who calls the model must not drop units or move moments
            yield
            for name, tensor in self.tensors.items():  # data may be other arrays now
                if tensor.numpy() is not self.arrays[name]:
                    np.copyto(self.arrays[name], tensor.numpy())

    def load(self, state: Mapping[str, Array]) -> None:
        """Give the model these parameters and buffers, by their names in it."""
        for name, tensor in self.tensors.items():
            if name.startswith(MODEL):
                tensor.assign(state[name.removeprefix(MODEL)])

    def other_parts(self) -> list[str]:
        """The model's parameters and buffers, by name, that are others than those that are trained."""
        own = {n.removeprefix(MODEL): x for n, x in self.tensors.items() if n.startswith(MODEL)}
        now = dict(self.model.named_state())
        return [name for name in {**own, **now} if own.get(name) is not now.get(name)]

    def check_parts(self, change: str = "") -> None:
        """TracingError where the model has other parameters or buffers than those that are trained."""
        others = self.other_parts()
        if others:
            raise TracingError(
                "the model has other parameters or buffers than when its training began",
                expected="the same ones, with other values if need be",
                got=change or f"a change of {others[0]}",
                hint="write into a parameter with assign(new); for other parts, begin another training",
            )

    def is_finite(self) -> bool:
        """Whether every number of the state is."""
        return all(bool(np.isfinite(array).all()) for array in self.arrays.values() if is_float(array.dtype))

    def begin(self, replica: int) -> None:
        """Start a replica: its own first parameters where there are several, a fresh optimizer."""
        if self.settings.restarts > 1:
            with self._lock:
                self.model.initialise(self.settings.seed, replica)
                for name, tensor in self.tensors.items():
                    if name.startswith(MODEL):
                        np.copyto(self.arrays[name], tensor.numpy())
        for name, value in self._start.items():
            np.copyto(self.arrays[name], value)
        self.become(replica)

    def become(self, replica: int) -> None:
        """Take over the numbers and the penalty that are this replica's own."""
        for name, value in self._differences.of(replica).items():
            np.copyto(self.arrays[name], value)
        self._choice = self._differences.which[replica]
        self.objective = replace(self.objective, penalty=self._differences.penalties[self._choice])

    # Work

    def run_epochs(
        self, replica: int, first: int, count: int, tick: Callable[[], None], watch: bool = False
    ) -> list[EpochResult]:
        """Visit the training rows ``count`` times, in the orders that belong to (seed, replica, epoch).

        After each epoch the losses that were asked for are taken. With ``watch``, CutShortError may cut that short.
        """
        s, rows = self.settings, len(self.rows)
        orders = row_orders(rows, shuffle=s.shuffle, key=(s.seed, replica, first), count=count)
        whole = rows // s.batch_size * s.batch_size
        looked_at = self.watched
        if looked_at is None and (s.drop_last or whole == rows):  # one long piece of work
            order = np.ascontiguousarray(orders[:, :whole]).reshape(-1, s.batch_size)
            (records,) = self._run([self._training(order)], tick, watch)
            return [self._result([part], [s.batch_size]) for part in records.reshape(count, -1, 2)]
        epochs = [
            [self._training(part) for part in minibatches(o, s.batch_size, s.drop_last)] for o in orders
        ]
        looking = [] if looked_at is None else self._looking(looked_at)
        found = self._run([work for epoch in epochs for work in (*epoch, *looking)], tick, watch)
        results, sizes = [], [work.order.shape[1] for work in epochs[0] if work.order is not None]
        step, name = len(sizes) + len(looking), "end_loss" if self._look_back else "validation_loss"
        for start in range(0, len(found), step):
            result = self._result(found[start : start + len(sizes)], sizes)
            if looking:
                setattr(result, name, self._combined(found[start + len(sizes) : start + step], looking))
            results.append(result)
        return results

    def run_minibatches(self, parts: Sequence[Array]) -> EpochResult:
        """Visit minibatches, given by the row numbers in each [minibatches, rows], part after part."""
        return self._result(self.run_steps(parts, _no_tick), [part.shape[1] for part in parts])

    def run_steps(self, parts: Sequence[Array], tick: Callable[[], None]) -> list[Array]:
        """The same, and what is known of each step: loss and gradient norm, for each part [minibatches, 2]."""
        return self._run([self._training(part) for part in parts], tick)

    def _run(self, works: Sequence[Work], tick: Callable[[], None], watch: bool = False) -> list[Array]:
        """Do all work in turn: the outputs [steps, outputs] of each."""
        if not any(is_sparse(work.data[0]) for work in works):
            return self._executor.run(works, tick, watch)
        found = []
        for work in works:
            parts = in_parts(work) if is_sparse(work.data[0]) else [work]
            found.append(np.concatenate([self._executor.run([part], tick, watch)[0] for part in parts]))
        return found

    def _training(self, order: Array) -> Work:
        """Training steps for these minibatches [minibatches, rows]."""
        order = np.ascontiguousarray(order)
        return Work(self._step(order.shape[1]), (self.rows.x, self.rows.y), order, len(order))

    def _step(self, count: int) -> Runner:
        """The training step for a minibatch of this many rows."""
        return self._ready(("train", count, self._choice), partial(self._traced_step, count))

    def _traced_step(self, count: int) -> Step:
        assert self.optimizer is not None
        s = self.settings
        return training_step(self.objective, self.optimizer, s.clip_norm, self.rows.forms(count), s.update)

    def step_graph(self, count: int) -> tuple[Step, dict[Node, str]]:
        """The training step for minibatches of so many rows as a graph, and what its leaves are called."""
        with self._lock:
            return self._traced_step(count), {tensor.node: name for name, tensor in self.tensors.items()}

    def scratch_bytes(self) -> int:
        """What a training step needs besides the state: gradients and activations of one minibatch."""
        return self._step(self.settings.batch_size).scratch_bytes()

    def loss_graph(self, count: int) -> tuple[Step, dict[Node, str]]:
        """The loss of so many rows at inference as a graph, and what its leaves are called."""
        with self._lock:
            step = loss_step(self.objective, self.rows.forms(count))
            return step, {tensor.node: name for name, tensor in self.tensors.items()}

    def _ready(self, key: object, make: Callable[[], Step]) -> Runner:
        """A step on this trainer's arrays; traced and compiled once for all twins, and again after a change.

        What the trace has read in Python is looked at here, so before every epoch.
        """
        prepared = self._prepared.get(key)
        if prepared is None or not prepared.guards.hold():
            with self._lock:  # a callback may be at work on the model, or another thread trace it
                prepared = self._prepared.get(key)
                if prepared is None or not prepared.guards.hold():
                    prepared = self._prepared[key] = self._prepare(make, prepared)
        mine, runner = self._runners.get(key, (None, None))
        if runner is None or mine is not prepared.step:
            runner = prepared.bind({node: self.arrays[name] for node, name in prepared.leaves.items()})
            self._runners[key] = prepared.step, runner
        return runner

    def _prepare(self, make: Callable[[], Step], former: _Prepared | None) -> _Prepared:
        """Trace under guards, and compile unless the former step turns out to be the same."""
        if former is not None and not former.guards.blind:
            self._check_change(former.guards.changed())
        leaves = {tensor.node: name for name, tensor in self.tensors.items()}
        found = trace_settled(self._guards, make, lambda step: step.graph)
        self._check_values(found)
        if former is not None and difference(former.step.graph, found.made.graph, found.guards) is None:
            return replace(former, guards=found.guards)
        bind = self._executor.prepare(found.made)
        return _Prepared(bind, leaves, found.guards, found.made)

    def _guards(self) -> Guards:
        """Over all that a step may read in Python."""
        objective = self.objective
        roots = {  # what is reached from several is named after the last
            "the optimizer": self.optimizer,
            "the penalty": objective.penalty,
            "the loss": objective.loss,
            "the model": self.model,
        }
        with at_inference(self.model):  # which gives every module its own mode, an attribute
            return Guards(roots, modes_of=Module)

    def _check_change(self, name: str) -> None:
        """TracingError where something was changed that a run cannot follow."""
        self.check_parts(f"a change of {name}")
        if self.settings.restarts > 1:
            raise TracingError(
                f"{name} has changed during a run of several replicas, which share it and are not equally far",
                expected="settings that stay, or one value for each replica",
                hint="restarts=1; or lr, dropout and penalties as sequences",
            )

    def _check_values(self, found: Guarded[Step]) -> None:
        """TracingError where a step was made with the value that something had which training changes."""
        for name, tensor in self.tensors.items():
            if tensor in found.made.trace.values:
                raise TracingError(
                    f"the value of {name} was asked for while the step was traced, where it would stay for good",
                    expected="operations on tensors only",
                    where=describe_line(found.made.trace.values[tensor][1]),
                    hint="compute with the tensor itself; use cr.where instead of if",
                )

    @property
    def watched(self) -> Rows | None:
        """The rows whose loss is taken after every epoch."""
        return self.rows if self._look_back else self.validation

    def validation_loss(self) -> float | None:
        """Loss of the validation rows at inference; None where there are none."""
        return None if self.validation is None else self._loss_of(self.validation)

    def training_loss(self) -> float:
        """Loss of the training rows at inference."""
        return self._loss_of(self.rows)

    def training_loss_with(self, state: Mapping[str, Array]) -> float:
        """The same with these parameters and buffers; those of the trainer are lost."""
        for name, value in state.items():
            np.copyto(self.arrays[MODEL + name], value)
        return self.training_loss()

    def _loss_of(self, rows: Rows) -> float:
        looking = self._looking(rows)
        return self._combined(self._run(looking, _no_tick), looking)

    def evaluation_rows(self, rows: Rows) -> int:
        """How many of these rows are evaluated at once: some where the loss of all follows from that of parts."""
        return len(rows) if self._combination == "whole" else min(len(rows), EVALUATION_ROWS)

    def _looking(self, rows: Rows) -> list[Work]:
        """The loss of all rows at inference, some at a time where that gives the same."""
        at_once = self.evaluation_rows(rows)
        whole = len(rows) // at_once * at_once
        works = []
        for start, stop, count in ((0, whole, at_once), (whole, len(rows), len(rows) - whole)):
            if stop > start:
                forms = rows.forms(count)
                step = self._ready(forms, partial(loss_step, self.objective, forms))
                data = rows.x[start:stop], rows.y[start:stop]
                works.append(Work(step, data, None, (stop - start) // count))
        return works

    def _combined(self, losses: Sequence[Array], works: Sequence[Work]) -> float:
        """The loss of all rows, from the losses [steps, 1] of the rows of each step."""
        total = self._is_total
        sizes = [1 if total else len(work.data[1]) // work.steps for work in works]
        found = sum(float(part.sum()) * size for part, size in zip(losses, sizes, strict=True))
        return found if total else found / sum(len(work.data[1]) for work in works)

    def _result(self, records: Sequence[Array], sizes: Sequence[int]) -> EpochResult:
        """An epoch from the losses and gradient norms [minibatches, 2] of minibatches of each size.

        Means are weighted by the minibatches' rows; of totals, the loss is the sum.
        """
        rows = sum(len(part) * size for part, size in zip(records, sizes, strict=True))
        sums = [_sums(part) for part in records]
        loss, norm = (np.sum([x * size for x, size in zip(sums, sizes, strict=True)], axis=0) / rows).tolist()
        if self._is_total:
            loss = float(np.sum(sums, axis=0)[0])
        return EpochResult(loss, norm, sum(map(len, records)))

    @property
    def _is_total(self) -> bool:
        return self._combination == "sum"

    def objective_and_gradient(self) -> tuple[float, list[Array]]:
        """Loss plus penalty over all training rows at inference, and its gradient for each parameter."""
        make = partial(gradient_step, self.objective, self.rows.forms(len(self.rows)))
        value, *gradients = self._ready(("gradient", self._choice), make)(
            written_out(self.rows.x), self.rows.y
        )
        return float(value), gradients

    def full_gradient_norm(self) -> float:
        """Norm of the objective's gradient over all training rows (row A10, erratum 10)."""
        return norm(self.objective_and_gradient()[1])


@dataclass(frozen=True)
class _Prepared:
    """A step that was traced and made ready to run: ``bind`` gives a runner on memory by the names of leaves."""

    bind: Callable[[Mapping[Node, Array]], Runner]
    leaves: dict[Node, str]
    guards: Guards
    step: Step


def _compact(array: Array) -> Array:
    """A copy; of an array of equal numbers, as optimizers begin with, just one of them."""
    first = array.ravel(order="K")[:1].copy()
    return first.reshape(()) if array.size and bool((array == first).all()) else array.copy()


def norm(gradients: list[Array]) -> float:
    """The Euclidean norm of all arrays together."""
    return math.sqrt(sum(float(np.sum(np.square(g, dtype=np.float64))) for g in gradients))


def _sums(records: Array) -> Array:
    """Sums over the last axis but one, each in an order that does not depend on how many there are."""
    return np.ascontiguousarray(records.swapaxes(-1, -2)).sum(-1)


def _no_tick() -> None:
    """Nobody watches."""
