"""Trains one network epoch by epoch: its arrays, the order of rows, the steps for each minibatch size, the losses.

``compile_steps`` makes steps ready: ``prepared_steps.py`` traces and keeps them, ``executors.py`` compiles and runs.
"""

from __future__ import annotations

import copy
import math
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np

from chainrule.errors import TracingError, user_line
from chainrule.graph import Node
from chainrule.nn.module import Module, generator
from chainrule.ops.record import Array, is_float
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.schedules import Listed, Listing
from chainrule.system.forks import free_in_children
from chainrule.tensor import Tensor
from chainrule.training.batches import Rows, minibatches, row_orders, steps_per_epoch
from chainrule.training.combination import Combination
from chainrule.training.differences import RATE, Differences
from chainrule.training.epoch_rates import EpochRates
from chainrule.training.epoch_result import EpochResult
from chainrule.training.executors import EXECUTORS, Runner, RunsWork, Work
from chainrule.training.folds import Fold
from chainrule.training.parts import MeanOfParts
from chainrule.training.prepared_steps import PreparedSteps
from chainrule.training.settings import Settings
from chainrule.training.sparse_rows import WrittenOut, is_sparse
from chainrule.training.step import Objective, Step, gradient_step, loss_step, rate_step, training_step
from chainrule.training.training_warning import warn

EVALUATION_ROWS = 1024  # rows at once where no gradient is needed
MODEL = "model."  # prefix of the model's tensors among those of the state

#: how steps are traced, by key
Needed = dict[object, Callable[[], Step]]
#: steps that are ready to run on a trainer's arrays, by key
Runners = Mapping[object, Runner]


class Trainer:
    """Runs epochs of one model on ``arrays``: its parameters and buffers, and the optimizer's state, by name.

    The arrays are the tensors' own memory. A ``twin`` shares the steps but has arrays of its own, so that several
    replicas train at the same time. Without an optimizer there is only the objective with its gradient. At most
    ``threads`` threads work on one step. ``combination`` says whether the loss is a mean, a sum over rows, or neither.
    With ``look_back`` the loss of all training rows is computed at the end of every epoch. With ``folds`` each replica
    has rows of its own among ``rows``, from ``become`` on.
    """

    def __init__(
        self,
        *,
        objective: Objective,
        rows: Rows,
        validation: Rows | None = None,
        folds: Sequence[Fold] = (),
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
        parts = [] if optimizer is None else optimizer.parts()
        #: learning rates that are listed for the steps to come; no part of the state, which says how many were taken
        self._listed = {
            f"rates {i}": (Listing(part.lr), part.steps)
            for i, part in enumerate(parts)
            if isinstance(part.lr, Listed)
        }
        self.tensors = self._named_tensors()
        listings = [listing for listing, _ in self._listed.values()]
        self._epoch_rates = EpochRates(listings)
        self.arrays = {name: tensor.numpy() for name, tensor in self.tensors.items()}
        self._list_rates(0)  # the first ones now: an error shows before training
        changing = list(self.arrays.values())
        self.shared, self.folds = rows.apart_from(changing), folds
        self.rows = self.shared
        self.validation = None if validation is None else validation.apart_from(changing)
        self._choose_rows(0)
        self._counted = self._names_of_counts(parts)
        self._drawn = [(i, f"{MODEL}{name}", part) for i, name, part in self.model.drawn_parts()]
        drawn = {name for _, name, _ in self._drawn}
        self._start = {name: _compact(array) for name, array in self.arrays.items() if name not in drawn}
        # tracing and callbacks go through the model itself
        self._lock = free_in_children(threading.RLock())
        self._prepared = PreparedSteps(self.model, self.tensors, self._check_change)
        self._runners: dict[object, tuple[Step, Runner]] = {}
        self._line, self._told = user_line(), threading.Event()  # set by the first of all twins

    def _named_tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {f"{MODEL}{name}": tensor for name, tensor in self.model.named_state()}
        if self.optimizer is not None:
            found |= {f"optimizer.{name}": tensor for name, tensor in self.optimizer.named_state()}
        for name, (listing, _) in self._listed.items():
            found |= {name: listing.listed.table, f"{name} from": listing.listed.first}
        return found | self._differences.tensors()

    def _names_of_counts(self, parts: Sequence[Optimizer]) -> tuple[str, str]:
        """Under which names the state has the first optimizer's count of steps and its learning rate."""
        tensors = [parts[0].steps, parts[0].base_rate] if parts else []
        found = (next(n for n, own in self.tensors.items() if own is tensor) for tensor in tensors)
        return next(found, ""), next(found, "")

    def _state(self) -> list[tuple[str, Array]]:
        """The arrays that a snapshot holds: all but the listed learning rates."""
        if not self._listed:
            return list(self.arrays.items())
        listed = {x for name in self._listed for x in (name, f"{name} from")}
        return [(name, array) for name, array in self.arrays.items() if name not in listed]

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
        return {name: array.copy(order="K") for name, array in self._state()}  # in memory's order

    def copy_into(self, snapshot: Mapping[str, Array]) -> None:
        """Overwrite an earlier snapshot with the present state."""
        for name, array in self._state():
            np.copyto(snapshot[name], array)

    def restore(self, snapshot: Mapping[str, Array]) -> None:
        """Return to the state of a snapshot."""
        for name, array in self._state():
            np.copyto(array, snapshot[name])

    def take_over(self, state: Mapping[str, Array]) -> None:
        """Overwrite parameters and buffers, given by their names in the model."""
        for name, value in state.items():
            np.copyto(self.arrays[MODEL + name], value)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """In this block the model holds this trainer's state, in inference mode; changes to it reach the trainer."""
        state = self._state()
        own = [(v, array) for name, array in state if (v := self.tensors[name].numpy()) is not array]
        with self._lock:
            for visible, array in own:
                np.copyto(visible, array)
            self.model.eval()  # who calls the model must not drop units or move moments
            yield
            for name, array in state:  # data may be other arrays now
                if (now := self.tensors[name].numpy()) is not array:
                    np.copyto(array, now)

    def load(self, state: Mapping[str, Array]) -> None:
        """Assign these parameters and buffers, given by their names in the model, to the model itself."""
        for name, tensor in self.tensors.items():
            if name.startswith(MODEL):
                tensor.assign(state[name.removeprefix(MODEL)])

    def other_parts(self) -> list[str]:
        """The names under which the model now has other parameters or buffers than those that are trained."""
        own = {n.removeprefix(MODEL): x for n, x in self.tensors.items() if n.startswith(MODEL)}
        now = dict(self.model.named_state())
        return [name for name in {**own, **now} if own.get(name) is not now.get(name)]

    def check_parts(self, change: str = "") -> None:
        """TracingError if the model no longer has the parameters and buffers that are trained."""
        others = self.other_parts()
        if others:
            raise TracingError(
                "the model has other parameters or buffers than when its training began",
                expected="the same ones, with other values if need be",
                got=change or f"a change of {others[0]}",
                hint="write into a parameter with assign(new); for other parts, begin another training",
            )

    def is_finite(self) -> bool:
        """Whether every number of the state is finite."""
        return all(bool(np.isfinite(array).all()) for _, array in self._state() if is_float(array.dtype))

    def begin(self, replica: int) -> None:
        """Start a replica: initial values of its own if there are several, and new optimizer state."""
        if self.settings.restarts > 1:
            self._initialise(replica)
        for name, value in self._start.items():
            np.copyto(self.arrays[name], value)
        self.become(replica)

    def _initialise(self, replica: int) -> None:
        """Draw initial values as ``Module.initialise`` does, but straight into the arrays: it is done very often."""
        seed = self.settings.seed
        if type(self.model).initialise is Module.initialise:
            for index, name, part in self._drawn:
                np.copyto(self.arrays[name], part.first(generator(seed, replica, index)))
            return
        with self._lock:
            self.model.initialise(seed, replica)
            for name, tensor in self.tensors.items():
                if name.startswith(MODEL):
                    np.copyto(self.arrays[name], tensor.numpy())

    def become(self, replica: int) -> None:
        """Put this replica's own rows, numbers and penalty in place."""
        self._choose_rows(replica)
        for name, value in self._differences.of(replica).items():
            np.copyto(self.arrays[name], value)
        self._choice = self._differences.which[replica]
        self.objective = replace(self.objective, penalty=self._differences.penalties[self._choice])

    def _choose_rows(self, replica: int) -> None:
        """Where every replica has rows of its own, take this one's."""
        if self.folds:
            fold = self.folds[replica]
            self.rows = self.shared.pick(fold.train)
            self.validation = self.shared.pick(fold.validation) if len(fold.validation) else None

    # Work

    @property
    def batch_size(self) -> int:
        """The rows of a minibatch: no more than the replica has."""
        return min(self.settings.batch_size, len(self.rows))

    def run_epochs(
        self,
        replica: int,
        first: int,
        count: int,
        steps: Runners,
        tick: Callable[[], None],
        watch: bool = False,
    ) -> list[EpochResult]:
        """Train for ``count`` epochs from epoch ``first`` on, in the orders of rows of (seed, replica, epoch).

        ``steps`` are those of ``steps_of_an_epoch``, compiled. After each epoch the losses that were asked for are
        computed. With ``watch``, CutShortError is raised soon after a number that is not finite.
        """
        s, rows, size = self.settings, len(self.rows), self.batch_size
        self._list_rates(count * self._steps_per_epoch(rows))
        rates = self.learning_rates(self.arrays, count)
        orders = row_orders(rows, shuffle=s.shuffle, key=(s.seed, replica, first), count=count)
        whole = rows // size * size
        looked_at = self.watched
        if looked_at is None and (s.drop_last or whole == rows):  # one long piece of work
            order = np.ascontiguousarray(orders[:, :whole]).reshape(-1, size)
            works = [self._training(order, steps)]
            (records,) = self._runs(works).run(works, tick, watch)
            return self._results([records.reshape(count, -1, 2)], [size], rates)
        epochs = [[self._training(part, steps) for part in minibatches(o, size, s.drop_last)] for o in orders]
        looking = [] if looked_at is None else self._looking(looked_at, steps)
        works = [work for epoch in epochs for work in (*epoch, *looking)]
        found = self._runs(works).run(works, tick, watch)
        sizes = [work.order.shape[1] for work in epochs[0] if work.order is not None]
        each, name = len(sizes) + len(looking), "end_loss" if self._look_back else "validation_loss"
        results = self._results([np.array(found[i::each]) for i in range(len(sizes))], sizes, rates)
        for i, result in enumerate(results if looking else ()):
            loss, *parts = self._combined(found[i * each + len(sizes) : (i + 1) * each], looking)
            setattr(result, name, loss)
            result.part_losses = tuple(parts)
        return results

    def visit(
        self, orders: Array, batch_size: int, rates: Sequence[float], tick: Callable[[], None]
    ) -> list[EpochResult]:
        """Visit the training rows in these orders [epochs, rows], in minibatches of which the last may be smaller.

        The learning rate of each epoch is given; it replaces the optimizer's own, which is a number.
        """
        count, rows = orders.shape
        whole = rows // batch_size * batch_size
        parts = [orders[:, :whole].reshape(-1, batch_size), orders[:, whole:]]
        sizes = [part.shape[1] for part in parts if part.size]
        changing = any(rate != self.arrays[RATE] for rate in rates)
        needed = self.training_steps(sizes) | ({"rate": self._traced_rate} if changing else {})
        steps = self.compile_steps(needed)
        works = [self._training(part, steps) for part in parts if part.size]
        if changing:
            works.insert(0, Work(steps["rate"], (np.array(rates),), None, count))
        found = self._runs(works).run_rounds(works, count, tick)
        return self._results([records.reshape(count, -1, 2) for records in found[-len(sizes) :]], sizes)

    def _traced_rate(self) -> Step:
        assert self.optimizer is not None
        return rate_step(self.optimizer)

    def run_steps(self, parts: Sequence[Array], tick: Callable[[], None]) -> list[Array]:
        """Visit minibatches, given by the row numbers in each [minibatches, rows], part after part.

        Of each step the loss and the gradient's norm, for each part [minibatches, 2].
        """
        self._list_rates(sum(map(len, parts)))
        steps = self.compile_steps(self.training_steps([part.shape[1] for part in parts]))
        works = [self._training(part, steps) for part in parts]
        return self._runs(works).run(works, tick)

    def most_epochs(self) -> int:
        """How many epochs may be run at once: their learning rates have to be listed."""
        steps = self._steps_per_epoch(len(self.rows))
        return min(
            (max(1, listing.listed.block // steps) for listing, _ in self._listed.values()),
            default=sys.maxsize,
        )

    def _steps_per_epoch(self, rows: int) -> int:
        return steps_per_epoch(rows, self.batch_size, self.settings.drop_last)

    def learning_rates(self, state: Mapping[str, Array], epochs: int) -> list[float]:
        """The learning rate at the start of each of the next epochs from this state on.

        Of ``optim.groups`` it is the first group's.
        """
        assert self.optimizer is not None
        rate = self.optimizer.lr
        steps, number = self._counted
        if not callable(rate):
            return [float(state[number])] * epochs
        per_epoch = self._steps_per_epoch(len(self.rows))
        return self._epoch_rates.at(rate, int(state[steps]), per_epoch, epochs)

    def _list_rates(self, steps: int) -> None:
        """Make the tables that the traced step reads hold the learning rates of the next steps."""
        for name, (listing, taken) in self._listed.items():
            begin = next(int(self.arrays[n]) for n, tensor in self.tensors.items() if tensor is taken)
            listing.fill(self.arrays[name], self.arrays[f"{name} from"], begin, steps)

    def _runs(self, works: Sequence[Work]) -> RunsWork:
        """What runs this work: sparse rows are written out for some minibatches at a time."""
        sparse = any(is_sparse(work.data[0]) for work in works)
        return WrittenOut(self._executor) if sparse else self._executor

    def _training(self, order: Array, steps: Runners) -> Work:
        """Training steps for these minibatches [minibatches, rows] of the replica's rows."""
        order = np.ascontiguousarray(self.rows.numbers(order))
        step = steps[self._training_key(order.shape[1])]
        return Work(step, (self.rows.x, self.rows.y), order, len(order))

    # Steps: which ones are needed, and what makes them ready

    def steps_of_an_epoch(self) -> Needed:
        """The steps that an epoch takes: for minibatches of each size, and for the losses computed after it."""
        rows, size = len(self.rows), self.batch_size
        last = 0 if self.settings.drop_last else rows % size
        needed = self.training_steps([size, last] if last else [size])
        return needed if self.watched is None else needed | self.loss_steps(self.watched)

    def training_steps(self, sizes: Sequence[int]) -> Needed:
        """The training steps for minibatches of so many rows."""
        return {self._training_key(size): partial(self._traced_step, size) for size in sizes}

    def _training_key(self, size: int) -> object:
        return "train", size, self._choice

    def loss_steps(self, rows: Rows) -> Needed:
        """The steps that evaluate the loss of these rows in inference mode: of some at once, and of what remains."""
        at_once = self.evaluation_rows(rows)
        forms = [rows.forms(count) for count in (at_once, len(rows) % at_once) if count]
        return {form: partial(loss_step, self.objective, form) for form in forms}

    def compile_steps(self, needed: Needed) -> dict[object, Runner]:
        """Make these steps ready to run: trace and compile what is new, or has read in Python what has changed since.

        So this is asked for before every epoch, not in it.
        """
        prepared = self._prepared
        for key, make in needed.items():
            if prepared.hold(key):
                continue
            with self._lock:  # a callback may be at work on the model, or another thread trace it
                traced = None if prepared.hold(key) else prepared.trace(key, make, self._read())
                if traced is not None:
                    prepared.keep(key, traced, self._executor.compile_step(traced.made))
        return {key: self._runner(key) for key in needed}

    def _runner(self, key: object) -> Runner:
        """The prepared step of this key on the trainer's own arrays."""
        prepared = self._prepared[key]
        mine, runner = self._runners.get(key, (None, None))
        if runner is None or mine is not prepared.step:
            runner = prepared.bind({node: self.arrays[name] for node, name in prepared.leaves.items()})
            self._runners[key] = prepared.step, runner
        return runner

    def _traced_step(self, count: int) -> Step:
        assert self.optimizer is not None
        s = self.settings
        step = training_step(self.objective, self.optimizer, s.clip_norm, self.rows.forms(count), s.update)
        told = self._told.is_set()
        self._told.set()  # others follow: for the last minibatch, or where a callback changed something
        if step.untrained and not told:
            warn("\n".join(step.untrained), self._line)
        return step

    def step_graph(self, count: int) -> tuple[Step, dict[Node, str]]:
        """The training step for minibatches of so many rows as a graph, and what its leaves are called."""
        with self._lock:
            return self._traced_step(count), {tensor.node: name for name, tensor in self.tensors.items()}

    def loss_graph(self, count: int) -> tuple[Step, dict[Node, str]]:
        """The loss of so many rows at inference as a graph, and what its leaves are called."""
        with self._lock:
            step = loss_step(self.objective, self.rows.forms(count))
            return step, {tensor.node: name for name, tensor in self.tensors.items()}

    def _read(self) -> dict[str, object]:
        """What a step may read in Python, by what a message calls it."""
        return {  # what is reached from several is named after the last
            "the optimizer": self.optimizer,
            "the penalty": self.objective.penalty,
            "the loss": self.objective.loss,
            "the model": self.model,
        }

    def _check_change(self, name: str) -> None:
        """TracingError if a run cannot follow the change of what this name stands for."""
        self.check_parts(f"a change of {name}")
        if self.settings.restarts > 1:
            raise TracingError(
                f"{name} has changed during a run of several replicas, which share it and are not equally far",
                expected="settings that stay, or one value for each replica",
                hint="restarts=1; or lr, dropout and penalties as sequences",
            )

    @property
    def watched(self) -> Rows | None:
        """The rows whose loss is computed after every epoch; None if there are none."""
        return self.rows if self._look_back else self.validation

    def validation_loss(self) -> float | None:
        """The loss of the validation rows in inference mode; None if there are none."""
        return None if self.validation is None else self.loss_of(self.validation)

    def loss_of(self, rows: Rows, steps: Runners | None = None) -> float:
        """The loss of these rows in inference mode; ``steps`` are those of ``loss_steps``, if they are ready."""
        looking = self._looking(rows, steps or self.compile_steps(self.loss_steps(rows)))
        return self._combined(self._runs(looking).run(looking, _no_tick), looking)[0]

    @property
    def parts(self) -> tuple[str, ...]:
        """With what the names of each part of the model begin, if the loss is the mean of losses of its parts."""
        return self.objective.loss.prefixes if isinstance(self.objective.loss, MeanOfParts) else ()

    def evaluation_rows(self, rows: Rows) -> int:
        """How many rows are evaluated at once: all of them, unless their loss follows from the losses of parts."""
        return len(rows) if self._combination == "whole" else min(len(rows), EVALUATION_ROWS)

    def _looking(self, rows: Rows, steps: Runners) -> list[Work]:
        """The work of evaluating the loss of these rows in inference mode."""
        at_once = self.evaluation_rows(rows)
        whole = len(rows) // at_once * at_once
        works = []
        for start, stop, count in ((0, whole, at_once), (whole, len(rows), len(rows) - whole)):
            if stop > start:
                step = steps[rows.forms(count)]
                times, picked = (stop - start) // count, rows.picked
                if picked is None:
                    works.append(Work(step, (rows.x[start:stop], rows.y[start:stop]), None, times))
                else:
                    order = picked[start:stop].reshape(times, count)
                    works.append(Work(step, (rows.x, rows.y), order, times))
        return works

    def _combined(self, losses: Sequence[Array], works: Sequence[Work]) -> list[float]:
        """The losses of all rows, from those of the rows of each step [steps, losses]."""
        total = self._is_total
        sizes = [1 if total else work.runner.rows for work in works]
        rows = 1 if total else sum(work.runner.rows * work.steps for work in works)
        parts = [[x * size for x in _sums(part).tolist()] for part, size in zip(losses, sizes, strict=True)]
        return [sum(each) / rows for each in zip(*parts, strict=True)]

    def _results(
        self, records: Sequence[Array], sizes: Sequence[int], rates: Sequence[float | None] = ()
    ) -> list[EpochResult]:
        """Epochs from the losses and gradient norms [epochs, minibatches, 2] of minibatches of each size.

        Means are weighted by the minibatches' rows; of totals, the loss is the sum.
        """
        steps = sum(part.shape[1] for part in records)
        rows = sum(part.shape[1] * size for part, size in zip(records, sizes, strict=True))
        sums = [_sums(part) for part in records]
        means = np.sum([x * size for x, size in zip(sums, sizes, strict=True)], axis=0) / rows
        if self._is_total:
            means[:, 0] = np.sum(sums, axis=0)[:, 0]
        found = zip(means.tolist(), rates or [None] * len(means), strict=True)
        return [EpochResult(loss=loss, gradient_norm=norm, steps=steps, lr=lr) for (loss, norm), lr in found]

    @property
    def _is_total(self) -> bool:
        return self._combination == "sum"

    def objective_and_gradient(self) -> tuple[float, list[Array]]:
        """Loss plus penalty over all training rows at inference, and its gradient for each parameter."""
        (step,) = self.compile_steps(self.gradient_steps()).values()
        value, *gradients = step(*self.rows.part())
        return float(value), gradients

    def gradient_steps(self) -> Needed:
        """The step that ``objective_and_gradient`` takes."""
        make = partial(gradient_step, self.objective, self.rows.forms(len(self.rows)))
        return {("gradient", self._choice, len(self.rows)): make}

    def full_gradient_norm(self) -> float:
        """Norm of the objective's gradient over all training rows.

        Lectures: A10; erratum 10.
        """
        return norm(self.objective_and_gradient()[1])


def _compact(array: Array) -> Array:
    """A copy of an array; a single number if all of its numbers are equal, as in new optimizer state."""
    first = array.ravel(order="K")[:1].copy()
    return first.reshape(()) if array.size and bool((array == first).all()) else array.copy()


def norm(gradients: list[Array]) -> float:
    """The Euclidean norm of all arrays together."""
    return math.sqrt(sum(float(np.sum(np.square(g, dtype=np.float64))) for g in gradients))


def _sums(records: Array) -> Array:
    """Sums over the second last axis, each in an order of its own terms only, so that others change no bit."""
    return np.ascontiguousarray(records.swapaxes(-1, -2)).sum(-1)


def _no_tick() -> None:
    """A tick that does nothing."""
