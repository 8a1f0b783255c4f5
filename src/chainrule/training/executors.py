"""Two ways to run traced steps: node by node with NumPy, or as machine code with a native loop over minibatches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from chainrule.graph import Node
from chainrule.interpret import Interpreted
from chainrule.ops.record import Array
from chainrule.training.step import Step

if TYPE_CHECKING:
    from chainrule.compiler.program import Binary, Part
    from chainrule.compiler.team import Team

Executor = Literal["compiled", "interpreted"]
Tick = Callable[[], None]
CALL_SECONDS = 0.1  # native code comes back to Python about this often
TRIAL_SECONDS = 0.004  # for finding out whether several threads are faster
FIRST_TRIALS = 2  # of each number of threads, the first of them with cold caches
TRIAL_PAUSE = 32  # native calls from one such trial to the next
WORTH_THREADS = 60_000  # cycles of a step; in a shorter one threads would mostly wait for each other
SURELY_WORTH_THREADS = 4_000_000  # in a step as long as this they are faster unless the machine is busy


class Runner(Protocol):
    """A traced step, bound to the memory that it works on."""

    def __call__(self, *arrays: Array) -> list[Array]:
        """Run once: the outputs. Updated tensors change in place, all at the same time.

        Lectures: B18.
        """

    def scratch_bytes(self) -> int:
        """The most memory that intermediate values take, in bytes."""


#: makes a step that is ready to run a runner on given memory
Bind = Callable[[Mapping[Node, Array]], Runner]


@dataclass(frozen=True)
class Work:
    """A step to be run again and again: for each row of ``order`` [steps, rows], row numbers of ``data``.

    Without an order: ``steps`` times, for the rows of ``data`` one after the other.
    """

    runner: Any  # made by the executor that is asked to run it
    data: tuple[Array, ...]
    order: Array | None
    steps: int

    def share(self, number: int, count: int) -> Work:
        """The share of this number, from 0, of ``count`` equal ones."""
        steps = self.steps // count
        if self.order is not None:
            return replace(self, order=self.order[number * steps : (number + 1) * steps], steps=steps)
        rows = steps * self.runner.rows
        data = tuple(array[number * rows : (number + 1) * rows] for array in self.data)
        return replace(self, data=data, steps=steps)


def in_rounds(works: Sequence[Work], rounds: int) -> list[Work]:
    """An equal share of each work in turn, round after round."""
    return [work.share(number, rounds) for number in range(rounds) for work in works]


def joined(shares: Sequence[Array], count: int) -> list[Array]:
    """The outputs of ``count`` works, from those of their shares in turn."""
    return [np.concatenate(shares[first::count]) for first in range(count)]


class CompilesSteps(Protocol):
    """What makes traced steps ready to run."""

    def compile_step(self, step: Step) -> Bind:
        """Once for each step; the result makes runners on any memory."""


class RunsWork(Protocol):
    """What runs traced steps again and again."""

    def run(self, works: Sequence[Work], tick: Tick, watch: bool = False) -> list[Array]:
        """Do all work in turn: the outputs [steps, outputs] of each."""

    def run_rounds(self, works: Sequence[Work], rounds: int, tick: Tick) -> list[Array]:
        """Do an equal share of each work in turn, round after round: the outputs [steps, outputs] of each work."""


class CutShortError(Exception):
    """Work was abandoned because a loss or a gradient norm is not finite."""

    def __init__(self, record: Array) -> None:
        # of evaluations, the mean of parts comes first, and is not finite if any of them is not
        names = ("loss", "gradient's norm") if len(record) == 2 else (None,) * len(record)
        self.name, self.value = next((n, x) for n, x in zip(names, record, strict=True) if not np.isfinite(x))
        super().__init__(self.describe("evaluated loss"))

    def describe(self, evaluated: str) -> str:
        """Which number became what; the loss of a step without an update is called ``evaluated``."""
        return f"the {self.name or evaluated} became {self.value}"

    def in_epoch(self, number: int, *, validated: bool) -> str:
        """The reason for which a replica ends."""
        evaluated = "validation loss" if validated else "loss at its end"
        return f"diverged: {self.describe(evaluated)} in epoch {number}"


def _check(records: Array) -> None:
    """CutShortError where an output is not finite."""
    finite = np.isfinite(records)
    if not finite.all():
        raise CutShortError(records[np.flatnonzero(~finite.all(axis=1))[0]])


class Interpreting:
    """Runs steps node by node with NumPy: slow, obvious."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    def compile_step(self, step: Step) -> Callable[[Mapping[Node, Array]], InterpretedStep]:
        """Return what makes runners on any memory; there is nothing to compile."""
        return partial(InterpretedStep, step)

    def run(self, works: Sequence[Work], tick: Tick, watch: bool = False) -> list[Array]:
        """Do all work in turn: the outputs [steps, outputs] of each.

        With ``watch`` it raises CutShortError soon after an output that is not finite.
        """
        return [self._run(work, tick, watch) for work in works]

    def run_rounds(self, works: Sequence[Work], rounds: int, tick: Tick) -> list[Array]:
        """Do an equal share of each work in turn, round after round: the outputs [steps, outputs] of each work."""
        return joined(self.run(in_rounds(works, rounds), tick), len(works))

    def _run(self, work: Work, tick: Tick, watch: bool) -> Array:
        records = []
        for step in range(work.steps):
            if work.order is None:
                rows: slice | Array = slice(step * work.runner.rows, (step + 1) * work.runner.rows)
            else:
                rows = work.order[step]
            records.append([float(value) for value in work.runner(*(array[rows] for array in work.data))])
            if watch:
                _check(np.array(records[-1:]))
            tick()
        return np.array(records).reshape(work.steps, -1)


class InterpretedStep:
    """A step run node by node with NumPy. ``arrays`` is the memory that leaves stand for, if not their own."""

    def __init__(self, step: Step, arrays: Mapping[Node, Array] | None = None) -> None:
        arrays = arrays or {}
        self.rows = step.inputs[0].shape[0] if step.inputs else 0
        self._count, self._state = len(step.outputs), list(arrays.values())
        results = [*step.outputs, *(after for _, _, after in step.updates)]
        self._program = Interpreted([*step.inputs, *arrays], results)
        self._buffers = [arrays.get(before, tensor.numpy()) for tensor, before, _ in step.updates]
        self._changing = {id(buffer) for buffer in self._buffers}

    def __call__(self, *arrays: Array) -> list[Array]:
        """Run once: the outputs; updated tensors change in place, all at the same time.

        Lectures: B18.
        """
        values = self._program(*arrays, *self._state)
        # a value that is a buffer, or a view of one, is about to change
        new = [
            v if v.flags.owndata and id(v) not in self._changing else v.copy() for v in values[self._count :]
        ]
        for buffer, value in zip(self._buffers, new, strict=True):
            np.copyto(buffer, value)
        return values[: self._count]

    def scratch_bytes(self) -> int:
        """The bytes of all values of the graph, as if none were dropped after its last use."""
        return self._program.bytes()


class Compiling:
    """Runs steps as machine code, in native loops that come back ten times a second.

    Large steps are run by up to ``threads`` threads together if that turns out to be faster, which depends on what
    else the machine does. How many there are changes no bit.
    """

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._team: Team | None = None
        self._seconds: dict[int, float] = {}  # of a cycle of work as estimated, for each number of threads
        self._calls = 0

    def compile_step(self, step: Step) -> Callable[[Mapping[Node, Array]], CompiledStep]:
        """Compile the step and return what makes runners on any memory."""
        from chainrule.compiler.costs import about_cycles
        from chainrule.compiler.program import Binary

        updates = [(before, after) for _, before, after in step.updates]
        nodes = [*step.outputs, *(after for _, after in updates)]
        scalars = all(output.shape == () for output in step.outputs)
        binary = Binary(
            step.inputs,
            step.outputs,
            updates,
            rows=step.inputs[0].shape[0] if scalars else None,
            shared=scalars and self.threads > 1 and about_cycles(nodes) > WORTH_THREADS,
        )
        return partial(CompiledStep, binary, self.threads)

    def run(self, works: Sequence[Work], tick: Tick, watch: bool = False) -> list[Array]:
        """Do all work in turn: the outputs [steps, outputs] of each.

        With ``watch`` it raises CutShortError rather than go on after an output that is not finite.
        """
        from chainrule.compiler.program import run_parts

        records: list[list[Array]] = [[] for _ in works]
        waiting = Waiting(works)
        while waiting:
            threads, seconds = self._choice(waiting.shared_cycles)
            per_cycle = self._seconds.get(threads, 1e-9)
            parts, cycles = [], 0.0
            for number, part, cost in waiting.take(seconds / per_cycle, threads):
                parts.append(part)
                records[number].append(part.records)
                cycles += cost
            began = time.perf_counter()
            run_parts(parts, self._team, threads)
            self._note(threads, (time.perf_counter() - began) / cycles)
            tick()
            if watch and waiting:
                for part in parts:
                    _check(part.records)
        return [found[0] if len(found) == 1 else np.concatenate(found) for found in records]

    def run_rounds(self, works: Sequence[Work], rounds: int, tick: Tick) -> list[Array]:
        """Do an equal share of each work in turn, round after round: the outputs [steps, outputs] of each work."""
        from chainrule.compiler.program import run_rounds

        if self.threads > 1:
            return joined(self.run(in_rounds(works, rounds), tick), len(works))
        parts = [work.runner.program.part(work.data, work.order, work.steps, 1) for work in works]
        cycles = sum(work.steps * work.runner.cycles for work in works) / rounds
        done = 0
        while done < rounds:
            _, seconds = self._choice(0)
            count = min(rounds - done, max(1, int(seconds / self._seconds.get(1, 1e-9) / cycles)))
            began = time.perf_counter()
            run_rounds(parts, rounds, done, count)
            self._note(1, (time.perf_counter() - began) / (count * cycles))
            done += count
            tick()
        return [part.records for part in parts]

    def _choice(self, shared_cycles: float) -> tuple[int, float]:
        """Choose the number of threads for the next piece of work, and the piece's length in seconds.

        ``shared_cycles`` is the length of the longest step that several threads can run together, 0 if there is none.
        """
        if not shared_cycles:
            return 1, CALL_SECONDS if 1 in self._seconds else TRIAL_SECONDS
        if self._team is None:
            from chainrule.compiler.team import Team

            self._team = Team(self.threads)
        if self._calls < 2 * FIRST_TRIALS:
            if shared_cycles > SURELY_WORTH_THREADS:
                return self.threads, TRIAL_SECONDS
            return (1, self.threads)[self._calls % 2], TRIAL_SECONDS
        best = min(self._seconds, key=self._seconds.__getitem__)
        if self._calls % TRIAL_PAUSE == 0:
            return (1 if best > 1 else self.threads), TRIAL_SECONDS
        return best, CALL_SECONDS

    def _note(self, threads: int, seconds: float) -> None:
        """Record the seconds per cycle of this many threads: at first the least, later a running mean of weight 1/2."""
        before = self._seconds.get(threads, seconds)
        early = self._calls < 2 * FIRST_TRIALS
        self._seconds[threads] = min(before, seconds) if early else (before + seconds) / 2
        self._calls += 1


class Waiting:
    """The work that is not done yet."""

    def __init__(self, works: Sequence[Work]) -> None:
        self._works, self._number, self._start = works, 0, 0
        self.shared_cycles = max((w.runner.cycles for w in works if w.runner.shared), default=0)
        self._skip()

    def __bool__(self) -> bool:
        return self._number < len(self._works)

    def _skip(self) -> None:
        while self and self._start >= self._works[self._number].steps:
            self._number, self._start = self._number + 1, 0

    def take(self, cycles: float, threads: int) -> Iterator[tuple[int, Part, float]]:
        """Take pieces of about ``cycles`` cycles in all, at least one step: the work's number, the part, its cycles."""
        left = True
        while self and left:
            work, start, runner = self._works[self._number], self._start, self._works[self._number].runner
            count = min(work.steps - start, max(1, int(cycles / runner.cycles)))
            if work.order is None:
                data = tuple(array[start * runner.rows :] for array in work.data)
                part = runner.program.part(data, None, count, threads)
            else:
                part = runner.program.part(work.data, work.order[start : start + count], count, threads)
            cycles -= count * runner.cycles
            left = cycles > 0
            yield self._number, part, count * runner.cycles
            self._start += count
            self._skip()


class CompiledStep:
    """A step as machine code, for minibatches of one size, on memory of its own."""

    def __init__(self, binary: Binary, threads: int, arrays: Mapping[Node, Array]) -> None:
        from chainrule.compiler.program import Instance

        self.program = Instance(binary, arrays, threads=threads)
        self.shared, self.cycles = binary.shared, binary.cycles
        self.rows = binary.inputs[0].shape[0] if binary.inputs else 0

    def __call__(self, *arrays: Array) -> list[Array]:
        """Run once: the outputs."""
        return self.program(*arrays)

    def scratch_bytes(self) -> int:
        """The bytes of the arena."""
        return self.program.arena_bytes


#: what runs steps, by the executor's name; made with the number of threads that it may use
EXECUTORS: dict[Executor, type[Interpreting] | type[Compiling]] = {
    "compiled": Compiling,
    "interpreted": Interpreting,
}
