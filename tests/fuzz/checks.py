"""One program, run in every way that there is: the interpreter is the oracle for everything that is compiled."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
from tests.fuzz.programs import Program, Text

import chainrule as cr
from chainrule.compiler import partition
from chainrule.compiler.host import host
from chainrule.compiler.program import Binary, Instance
from chainrule.compiler.team import Team
from chainrule.errors import GradientError
from chainrule.graph import Node, check, new_leaf, topological
from chainrule.interpret import Interpreted, value_of
from chainrule.ops.record import is_float
from chainrule.tensor import Tensor
from chainrule.trace import tracing

#: sums and extrema, of which either zero may be the result
UNSIGNED_ZEROS = re.compile(r"sum|max|min|clip|@|nn\.|relu|mean|var|norm|exp|entropy|prod|loss|pad|take")

Function = Callable[..., Any]

#: what is asked of a program: its value, or derivatives of all kinds
KINDS = ["value", "gradient", "value and gradient", "second derivative", "jvp"]
#: for which processor, or by how many threads; "call" goes through ``cr.compile``
WAYS = ["host", "call", "threads", "avx2", "sse2"]
#: relative to the largest element of a result, and to how far rounding alone moves it
TOLERANCE = {"f4": 2e-5, "f8": 1e-12}
LATE = 0.003  # seconds
CLOUD = 12  # times that a result is computed again with rounding errors of other sizes


class MismatchError(AssertionError):
    """A program that computes one thing interpreted and another compiled."""


def check_program(program: Program | Text, kind: str, way: str) -> None:
    """Raise MismatchError where the ways to run a program disagree; any other error is a find as well."""
    with np.errstate(all="ignore"):
        _check(program, kind, way)


def _check(program: Program | Text, kind: str, way: str) -> None:
    f, arrays = program.load()
    asked = derived(f, arrays, kind)
    if kind != "value" and _has_no_derivative(asked, arrays):
        _check(program, "value", way)
        return
    if way == "call":
        _check_call(program, asked, arrays, kind)
        return
    traced = trace(asked, arrays)
    check(traced.ends)
    expected = traced.interpreted(arrays)
    found = traced.compiled(arrays, way)
    for place, (got, wanted) in enumerate(zip(found, expected, strict=True)):
        compare(got, wanted, partial(traced.cloud, arrays, place, {}))
        if kind == "value" and not UNSIGNED_ZEROS.search(str(program)):
            _same_signs(got, wanted)


def _has_no_derivative(asked: Function, arrays: Sequence[np.ndarray]) -> bool:
    """Whether the result depends on its arguments only through what has no derivative: eager and compiled say so."""
    try:
        trace(asked, arrays)
    except GradientError as error:
        for run in (asked, cr.compile(asked)):
            try:
                run(*map(cr.tensor, arrays))
            except GradientError as other:
                if str(other).splitlines()[0] == str(error).splitlines()[0]:
                    continue
                raise MismatchError(f"{other}\n\nand traced\n\n{error}") from None
            raise MismatchError(f"only traced: {error}") from None
        return True
    return False


def derived(f: Function, arrays: Sequence[np.ndarray], kind: str) -> Function:
    """What is asked of the function, as a function of the same arguments that returns a flat list of tensors."""
    floats = tuple(i for i, a in enumerate(arrays) if is_float(a.dtype))
    if kind == "value" or not floats:
        return lambda *x: list(f(*x))

    def total(*x: Tensor) -> Tensor:
        """The sum of all that the program returns, most with a weight of its own for every element."""
        parts = [cr.tensor(0.0, dtype=cr.float64)]
        for number, out in enumerate(f(*x)):
            if is_float(out.dtype):
                weights = np.cos(1.0 + number + np.arange(out.size)).reshape(out.shape)
                weighed = out if out.size % 4 == 3 else out * np.asarray(weights, out.dtype)
                parts.append(cr.astype(cr.sum(weighed), cr.float64))
        return sum(parts[1:], parts[0])

    def directions(x: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(
            cr.tensor(np.asarray(np.sin(2.0 + np.arange(x[i].size)).reshape(x[i].shape), x[i].dtype))
            for i in floats
        )

    if kind == "gradient":
        return lambda *x: list(cr.grad(total, floats)(*x))
    if kind == "value and gradient":

        def both(*x: Tensor) -> list[Tensor]:
            value, gradients = cr.value_and_grad(total, floats)(*x)
            return [value, *gradients]

        return both
    if kind == "jvp":

        def forward(*x: Tensor) -> list[Tensor]:
            def among(*given: Tensor) -> list[Tensor]:
                every = list(x)
                for i, value in zip(floats, given, strict=True):
                    every[i] = value
                return [out for out in f(*every) if is_float(out.dtype)] or [total(*every)]

            values, tangents = cr.jvp(among, tuple(x[i] for i in floats), directions(x))
            return [*values, *tangents]

        return forward

    def slope(*x: Tensor) -> Tensor:
        gradients = cr.grad(total, floats)(*x)
        along = [cr.astype(cr.sum(g * d), cr.float64) for g, d in zip(gradients, directions(x), strict=True)]
        return sum(along[1:], along[0])

    return lambda *x: list(cr.grad(slope, floats)(*x))


@dataclass
class Traced:
    """A program as a graph: inputs, outputs, and what it assigns to tensors that it closes over."""

    inputs: list[Node]
    outputs: list[Node]
    updates: list[tuple[Tensor, Node, Node]]

    @property
    def ends(self) -> list[Node]:
        """Outputs, then new values."""
        return [*self.outputs, *(new for _, _, new in self.updates)]

    def interpreted(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The values of all ends."""
        return [np.array(x) for x in Interpreted(self.inputs, self.ends)(*arrays)]

    def compiled(self, arrays: Sequence[np.ndarray], way: str) -> list[np.ndarray]:
        """The same from machine code; updated tensors are as they were afterwards."""
        updates = [(before, new) for _, before, new in self.updates]
        target = host(way if way in ("avx2", "sse2") else None)
        before = [tensor.numpy().copy() for tensor, _, _ in self.updates]

        def run(binary: Binary, threads: int = 1, late: int = 0) -> list[np.ndarray]:
            with mock.patch.object(partition, "WORTH_SHARING", 0):  # every kernel that can be divided is
                program = Instance(binary, threads=threads)
            _litter(program)
            for node, array in zip(program.binary.inputs, arrays, strict=True):
                program.bind(node, np.ascontiguousarray(array))
            found = program.again() if threads == 1 else _together(program, threads, late)
            found = [*found, *(tensor.numpy().copy() for tensor, _, _ in self.updates)]
            for (tensor, _, _), old in zip(self.updates, before, strict=True):
                np.copyto(tensor.numpy(), old)
            return found

        if way != "threads":
            return run(Binary(self.inputs, self.outputs, updates, target=target))
        binary = Binary(self.inputs, self.outputs, updates, target=target, shared=True)
        first = run(binary)
        for threads, late in ((2, 0), (2, 1), (3, 2)):
            for alone, other in zip(first, run(binary, threads, late), strict=True):
                if alone.tobytes() != other.tobytes():
                    raise MismatchError(f"other bits by {threads} threads than by one:\n{alone}\n{other}")
        return first

    def state(self) -> dict[Node, np.ndarray]:
        """The present values of the tensors that it updates."""
        return {before: tensor.numpy().copy() for tensor, before, _ in self.updates}

    def cloud(
        self, arrays: Sequence[np.ndarray], place: int, state: Mapping[Node, np.ndarray]
    ) -> list[np.ndarray]:
        """The values of one end with every rounding error a few times as large: how far it can be trusted."""
        found = []
        order = topological([self.ends[place]])
        given = {**state, **dict(zip(self.inputs, arrays, strict=True))}
        for number in range(CLOUD):
            rng = np.random.default_rng(number)
            values: dict[Node, np.ndarray] = {}
            for node in order:
                if node in given:
                    value = given[node]
                elif node.value is not None:
                    value = node.value
                else:
                    with np.errstate(all="ignore"):
                        value = value_of(node, [values[x] for x in node.inputs])
                    if is_float(node.dtype) and not _moves_only(node):
                        noise = rng.uniform(-4, 4, size=value.shape) * np.finfo(value.dtype).eps
                        if node.op.name in (
                            "matmul",
                            "sum",
                        ):  # terms may cancel: what is lost is not relative
                            value = np.asarray(value + noise * _scale(value), value.dtype)
                        else:
                            value = np.asarray(value * (1 + noise), value.dtype)
                values[node] = value
            found.append(values[self.ends[place]])
        return found


def _moves_only(node: Node) -> bool:
    return node.op.name in (
        "reshape", "transpose", "broadcast", "expand", "squeeze", "slice", "pad", "concat", "stack", "identity",
        "stop_gradient", "gather", "constant", "negative", "abs", "max", "min", "maximum", "minimum", "where", "sign",
    )  # fmt: skip


def trace(f: Function, arrays: Sequence[np.ndarray]) -> Traced:
    """The graph of a function."""
    inputs = [new_leaf(a.shape, a.dtype, f"x{i}") for i, a in enumerate(arrays)]
    with tracing() as recorded:
        outputs = [x.node for x in f(*(Tensor(None, node) for node in inputs))]
    return Traced(inputs, outputs, list(recorded.updates))


def _litter(program: Instance) -> None:
    """Leave something in the arena, as another run does: nothing may be read before it is written."""
    arena = program._code.arena
    program._arena[: arena.status] = 0x7B
    program._arena[arena.scratch :] = 0x7B


def _together(program: Instance, threads: int, late: int) -> list[np.ndarray]:
    """One run by several threads, of which one comes late: whoever does not wait for it reads what is not there."""
    team, rows = Team(threads), program._partitions[threads]

    def work(rank: int, barrier: Any) -> None:
        if rank == late:
            time.sleep(LATE)
        program.binary.step(program._address, rows[rank].ctypes.data, barrier)

    team.run(work, threads)
    program.check()
    outputs = zip(program._views, program._code.outputs, strict=True)
    return [(program._view(output) if view is None else view).copy() for view, output in outputs]


def compare(got: np.ndarray, wanted: np.ndarray, cloud: Callable[[], list[np.ndarray]]) -> None:
    """Whole numbers are equal; floats are as near as rounding allows."""
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        raise MismatchError(f"{got.dtype}{got.shape} instead of {wanted.dtype}{wanted.shape}")
    if not is_float(wanted.dtype):
        if not np.array_equal(got, wanted):
            raise MismatchError(f"got\n{got}\ninstead of\n{wanted}")
        return
    if _near(got, wanted, TOLERANCE[wanted.dtype.str[1:]] * _scale(wanted)):
        return
    around = np.stack([wanted, *cloud()]).astype(np.float64)
    with np.errstate(all="ignore"):
        low, high = np.nanmin(around, axis=0), np.nanmax(around, axis=0)
        slack = 4 * (high - low) + TOLERANCE[wanted.dtype.str[1:]] * _scale(wanted)
        unsure = ~np.isfinite(around).all(axis=0) & ~(np.isfinite(around) == np.isfinite(around[:1])).all(
            axis=0
        )
        fine = ((got >= low - slack) & (got <= high + slack)) | (np.isnan(got) & np.isnan(wanted)) | unsure
    if not (fine | (got == wanted)).all():
        raise MismatchError(f"got\n{got}\ninstead of\n{wanted}\n(rounding: {np.max(high - low, initial=0)})")


def _same_signs(got: np.ndarray, wanted: np.ndarray) -> None:
    """0 and -0 are equal, but not the same."""
    if is_float(wanted.dtype) and (np.signbit(got) != np.signbit(wanted))[wanted == 0].any():
        raise MismatchError(f"zeros of another sign: got\n{got}\ninstead of\n{wanted}")


def _near(got: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    return bool(np.allclose(got, wanted, rtol=0, atol=tolerance, equal_nan=True))


def _scale(x: np.ndarray) -> float:
    finite = np.abs(x[np.isfinite(x)])
    return float(max(1e-3, finite.max(initial=0.0)))


def _check_call(program: Program | Text, asked: Function, arrays: list[np.ndarray], kind: str) -> None:
    """``cr.compile`` against the eager function, twice in a row: updates of the first call show in the second."""
    g, same = program.load()
    fast = cr.compile(derived(g, same, kind))
    traced = trace(asked, arrays)
    for _ in range(2):
        state = traced.state()
        expected = [x.numpy() for x in asked(*map(cr.tensor, arrays))]
        found = [x.numpy() for x in fast(*arrays)]
        for place, (got, wanted) in enumerate(zip(found, expected, strict=True)):
            compare(got, wanted, partial(traced.cloud, arrays, place, state))
