"""Graphs that nobody thought of: random programs over shared, broadcast, reduced and multiplied tensors.

A program is a list of steps. Each takes two tensors from a pool by number and puts its result there, so nodes
are shared; the last line sums the whole pool up. Every step keeps its values bounded.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.thorough import generated

import chainrule as cr
from chainrule.graph import check, new_leaf
from chainrule.interpret import Interpreted
from chainrule.tensor import Tensor
from chainrule.trace import tracing

SHAPES = [(), (3,), (2, 3), (3, 1), (2, 1, 3), (1, 3)]  # any two broadcast
LARGEST = 36  # elements of a tensor in the pool


def product(x: Tensor, y: Tensor) -> Tensor:
    """Products of matrices with two rows that are made of x and of y."""
    a, b = (cr.stack([z.reshape(-1), cr.sin(z).reshape(-1)]) for z in (x, y))
    return cr.tanh(a @ a.T @ b)


#: what a step does with two tensors and an axis of the first
SMOOTH: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "sin": lambda x, y, axis: cr.sin(x),
    "cos": lambda x, y, axis: cr.cos(x),
    "tanh": lambda x, y, axis: cr.tanh(x),
    "logistic": lambda x, y, axis: cr.logistic(x),
    "softplus": lambda x, y, axis: cr.softplus(x),
    "erf": lambda x, y, axis: cr.erf(x),
    "exp": lambda x, y, axis: cr.exp(cr.sin(x)),
    "expm1": lambda x, y, axis: cr.expm1(cr.sin(x)),
    "log": lambda x, y, axis: cr.log(1.5 + cr.sin(x)),
    "log1p": lambda x, y, axis: cr.log1p(x * x),
    "sqrt": lambda x, y, axis: cr.sqrt(1.0 + x * x),
    "cube": lambda x, y, axis: cr.tanh(x) ** 3,
    "power": lambda x, y, axis: (1.5 + cr.sin(x)) ** cr.tanh(y),
    "add": lambda x, y, axis: 0.5 * (x + y),
    "subtract": lambda x, y, axis: -(x - y),
    "multiply": lambda x, y, axis: cr.tanh(x) * y,
    "divide": lambda x, y, axis: x / (1.5 + cr.sin(y)),
    "matmul": lambda x, y, axis: product(x, y),
    "sum": lambda x, y, axis: 0.3 * x.sum(axis=axis),
    "mean": lambda x, y, axis: x.mean(axis=axis, keepdims=True),
    "var": lambda x, y, axis: x.var(axis=axis),
    "prod": lambda x, y, axis: cr.prod(cr.tanh(x), axis=axis),
    "logsumexp": lambda x, y, axis: cr.logsumexp(x, axis=axis),
    "softmax": lambda x, y, axis: cr.softmax(x, axis=axis),
    "log_softmax": lambda x, y, axis: cr.tanh(cr.log_softmax(x, axis=axis)),
    "norm": lambda x, y, axis: cr.norm(x + 3.0, axis=axis),
    "transpose": lambda x, y, axis: x.T,
    "reshape": lambda x, y, axis: x.reshape(-1),
    "flip": lambda x, y, axis: x.flip(axis),
    "slice": lambda x, y, axis: x[..., ::2],
    "index": lambda x, y, axis: x.take([0, -1, 0], axis=axis),
    "pad": lambda x, y, axis: cr.pad(x, [(1, 0)] * x.ndim, 0.5),
    "concat": lambda x, y, axis: cr.concat([x, cr.sin(x)], axis=axis),
    "stack": lambda x, y, axis: cr.stack([x, x * x.mean()], axis=axis),
}
PIECEWISE: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "relu": lambda x, y, axis: cr.relu(x),
    "abs": lambda x, y, axis: cr.abs(x),
    "clip": lambda x, y, axis: cr.clip(x, -0.5, 0.5),
    "maximum": lambda x, y, axis: cr.maximum(x, y),
    "minimum": lambda x, y, axis: cr.minimum(x, y),
    "where": lambda x, y, axis: cr.where(x > y, cr.sin(x), y),
    "max": lambda x, y, axis: x.max(axis=axis),
    "min": lambda x, y, axis: x.min(axis=axis),
}


def distance_to_kinks(name: str, x: np.ndarray, y: np.ndarray, axis: int) -> float:
    """How far the operands of a piecewise step are from where it has no derivative."""
    if name in ("max", "min"):
        ordered = np.sort(x, axis=axis)
        gaps = np.diff(ordered, axis=axis)
        distances = np.take(gaps, -1 if name == "max" else 0, axis=axis) if gaps.shape[axis] else gaps
    elif name == "clip":
        distances = np.abs(np.abs(x) - 0.5)
    else:
        distances = np.abs(x) if name in ("relu", "abs") else np.abs(x - y)
    return float(np.min(distances, initial=np.inf))


Step = tuple[str, int, int, int]


def run(steps: list[Step], inputs: list[Tensor], distances: list[float] | None = None) -> Tensor:
    """The sum of the means of everything that the program computes, each with a weight of its own."""
    pool = list(inputs)
    for name, i, j, k in steps:
        x, y = pool[i % len(pool)], pool[j % len(pool)]
        x = x if x.ndim else x.reshape(1)
        axis = k % x.ndim
        if not broadcast(x, y):
            y = y.mean()
        if distances is not None and name in PIECEWISE:
            distances.append(distance_to_kinks(name, x.numpy(), y.numpy(), axis))
        result = {**SMOOTH, **PIECEWISE}[name](x, y, axis)
        while result.size > LARGEST or result.ndim > 3:
            result = result.mean(axis=0)
        pool.append(result)
    return sum(np.cos(1.0 + i) * x.mean() for i, x in enumerate(pool))


def broadcast(x: Tensor, y: Tensor) -> bool:
    return all(a == b or 1 in (a, b) for a, b in zip(x.shape[::-1], y.shape[::-1], strict=False))


def programs(*tables: dict[str, Any]) -> st.SearchStrategy[list[Step]]:
    names = st.sampled_from([name for table in tables for name in table])
    number = st.integers(0, 11)
    return st.lists(st.tuples(names, number, number, number), min_size=4, max_size=14)


shapes = st.lists(st.sampled_from(SHAPES), min_size=2, max_size=3)
seeds = st.integers(0, 2**32 - 1)


def points(shapes: list[tuple[int, ...]], seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Where to evaluate, and a direction to move in."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=s) for s in shapes], [rng.normal(size=s) for s in shapes]


@generated(100, 300, programs(SMOOTH, PIECEWISE), shapes, seeds, derandomize=True)
def test_gradients_of_random_graphs_agree_with_finite_differences(steps, shapes, seed) -> None:
    x, direction = points(shapes, seed)
    distances: list[float] = []
    run(steps, [cr.tensor(a) for a in x], distances)
    assume(min(distances, default=1.0) > 1e-2)

    # a partial derivative that is wrong shows in the derivative along a random direction
    line = lambda t: run(steps, [a + t * d for a, d in zip(x, direction, strict=True)])
    cr.check_gradients(line, 0.0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(programs(SMOOTH), shapes, seeds)
def test_second_derivatives_of_random_graphs_agree_with_finite_differences(steps, shapes, seed) -> None:
    x, direction = points(shapes, seed)

    def slope(t: Tensor) -> Tensor:
        gradients = cr.grad(lambda x: run(steps, x))([a + t * d for a, d in zip(x, direction, strict=True)])
        return sum((g * np.sin(1.0 + d)).sum() for g, d in zip(gradients, direction, strict=True))

    cr.check_gradients(slope, 0.0)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(programs(SMOOTH, PIECEWISE), shapes, seeds, st.sampled_from([np.float32, np.float64]))
def test_traced_and_interpreted_equals_eager_bit_for_bit(steps, shapes, seed, dtype) -> None:
    x = [a.astype(dtype) for a in points(shapes, seed)[0]]
    both = cr.value_and_grad(lambda x: run(steps, x))
    value, gradient = both(x)
    with tracing():
        inputs = [Tensor(None, new_leaf(a.shape, a.dtype)) for a in x]
        traced_value, traced_gradient = both(inputs)
    outputs = [traced_value.node, *(g.node for g in traced_gradient)]
    check(outputs)
    found = Interpreted([t.node for t in inputs], outputs)(*x)
    for got, expected in zip(found, [value, *gradient], strict=True):
        np.testing.assert_array_equal(got, expected.numpy(), strict=True)
