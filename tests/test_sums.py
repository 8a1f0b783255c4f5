"""Sums of very many floats: as exact as sums of a few, whatever adds them up; the same bits for any number of threads.

Every kind of sum is taken over 0.1 in float32, where one accumulator would be off by 1e-4 to 1e-2 (each addition
rounds in the same direction for a long time), and over random numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.compiler import partition
from chainrule.compiler.program import Binary, Instance, run_parts
from chainrule.compiler.team import Team
from chainrule.data.features.numbers import moments
from chainrule.ops import PRIMITIVES
from chainrule.ops.edges import edge_dot, edge_sum, edge_sum_down, incidence_of
from chainrule.ops.record import Form, Reduction
from chainrule.sums import BLOCK, total
from chainrule.training.step import Objective, training_step

TOLERANCE = 3e-6  # of float32 sums; 256 terms in one accumulator may be off by so much, more must not be
TENTH = np.float64(np.float32(0.1))

Array = np.ndarray


def assert_close(got: Any, exact: Any, tolerance: float = TOLERANCE) -> None:
    """Relative to the exact result."""
    got, exact = np.asarray(got, np.float64), np.asarray(exact, np.float64)
    assert got.shape == exact.shape
    np.testing.assert_array_less(np.abs(got - exact), tolerance * np.abs(exact) + 1e-30)


def terms(shape: tuple[int, ...], kind: str) -> Array:
    """Positive numbers, so that errors relative to the sum mean something."""
    if kind == "tenths":
        return np.full(shape, 0.1, np.float32)
    return np.random.default_rng(0).uniform(0.0, 1.0, shape).astype(np.float32)


def both_ways(f: Callable[..., Any], *operands: Array) -> list[Array]:
    """Interpreted and compiled."""
    return [np.asarray(f(*map(cr.tensor, operands))), np.asarray(cr.compile(f)(*operands))]


kinds = pytest.mark.parametrize("kind", ["tenths", "uniform"])


# Reductions


def positions(length: int, others: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Shapes with one long axis at each place, and all sets of axes that contain it."""
    found = []
    for place in range(len(others) + 1):
        shape = (*others[:place], length, *others[place:])
        rest = [axis for axis in range(len(shape)) if axis != place]
        for count in range(len(rest) + 1):
            found += [(shape, tuple(sorted((place, *more)))) for more in itertools.combinations(rest, count)]
    return found


@kinds
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        *positions(100_003, ()),
        *positions(100_003, (3,)),
        *positions(30_001, (2, 3)),
        *positions(20_011, (70,)),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "name", [p.name for p in PRIMITIVES.values() if getattr(p.lowering, "in_blocks", False)]
)
def test_reductions_over_every_axis(
    name: str, shape: tuple[int, ...], axes: tuple[int, ...], kind: str
) -> None:
    x = terms(shape, kind)
    for keepdims in (False, True):
        exact = x.astype(np.float64).sum(axes, keepdims=keepdims)
        for result in both_ways(lambda t, k=keepdims: PRIMITIVES[name](t, axis=axes, keepdims=k), x):
            assert result.dtype == np.float32
            assert_close(result, exact)


def test_a_reduction_that_rounds_every_partial_result_says_so() -> None:
    """Products lose as much in any order; extrema lose nothing; sums alone are taken in blocks."""
    reductions = {
        p.name: p.lowering.in_blocks for p in PRIMITIVES.values() if isinstance(p.lowering, Reduction)
    }
    assert reductions == {"sum": True, "prod": False, "max": False, "min": False}


@pytest.mark.parametrize(
    "length", [1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5, BLOCK**2 + 1, 64 * BLOCK, 64 * BLOCK + 1]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lengths_around_those_of_blocks(length: int, dtype: Any) -> None:
    """Every element is added exactly once: integers below 2^24 have exact sums."""
    rng = np.random.default_rng(length)
    for shape, axis in (
        ((length,), 0),
        ((length, 3), 0),
        ((3, length), 1),
        ((2, length, 2), 1),
        ((length, 2, 2), (0, 2)),
    ):
        x = rng.integers(0, 5, shape).astype(dtype)
        for result in both_ways(lambda t, a=axis: cr.sum(t, a), x):
            np.testing.assert_array_equal(result, x.sum(axis, dtype=np.float64).astype(dtype))


@pytest.mark.parametrize("view", ["reversed", "every second", "by columns", "repeated"])
@kinds
def test_however_the_terms_lie_in_memory(view: str, kind: str) -> None:
    base = terms((60_002, 6), kind)
    x = {
        "reversed": base[::-1, ::-1],
        "every second": base[::2, ::2],
        "by columns": np.asfortranarray(base),
        "repeated": np.broadcast_to(base[:1], base.shape),
    }[view]
    for axis in (None, 0):
        for result in both_ways(lambda t, a=axis: cr.sum(t, a), x):
            assert_close(result, x.astype(np.float64).sum(axis))


def test_elementwise_work_runs_inside_the_blocks() -> None:
    x = terms((40_001, 3), "uniform")
    for result in both_ways(lambda t: cr.sum(cr.exp(cr.square(t) - 1) * 0.5, 0), x):
        assert_close(result, (np.exp(np.square(x.astype(np.float64)) - 1) * 0.5).sum(0))


def test_random_bits_inside_the_blocks_are_those_of_the_interpreter() -> None:
    def f(t: Any) -> Any:
        drawn = nn.Dropout(0.5, seed=3)
        return cr.sum(drawn(t), 0)

    eager, compiled = both_ways(f, np.ones((50_001, 2), np.float32))
    np.testing.assert_array_equal(eager, compiled)  # whole numbers: exact


@pytest.mark.slow
def test_ten_million_tenths() -> None:
    x = np.full(10**7, 0.1, np.float32)
    for result in both_ways(cr.sum, x):
        assert_close(result, 10**7 * TENTH, 2e-6)
    assert_close(total(x[:, None], (0,)), [10**7 * TENTH], 2e-6)


def test_sums_of_float64_are_nearly_exact() -> None:
    x = np.full((300_001, 2), 0.1)
    exact = math.fsum(x[:, 0])
    for result in both_ways(lambda t: cr.sum(t, 0), x):
        assert_close(result, [exact, exact], 1e-14)


# Products


@kinds
@pytest.mark.parametrize(
    ("rows", "columns", "depth"),
    [
        (1, 1, 3_000_000),
        (1, 1, 3001),
        (2, 1, 300_001),
        (4, 3, 300_001),
        (4, 30, 50_001),
        (23, 7, 50_001),
        (30, 30, 50_003),
        (30, 1, 50_003),
        (1, 30, 50_003),
        (64, 64, 5000),
        (3, 5, 1500),
    ],
)
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)], ids=str)
def test_products(rows: int, columns: int, depth: int, transposed: tuple[bool, bool], kind: str) -> None:
    a, b = terms((rows, depth), kind), np.ones((depth, columns), np.float32)
    if kind != "tenths":
        b = terms((depth, columns), kind)[::-1].copy()
    exact = a.astype(np.float64) @ b.astype(np.float64)
    x, y = (np.ascontiguousarray(m.T) if turn else m for m, turn in zip((a, b), transposed, strict=True))

    def f(x: Any, y: Any) -> Any:
        return (x.T if transposed[0] else x) @ (y.T if transposed[1] else y)

    eager, compiled = both_ways(f, x, y)
    assert_close(compiled, exact, 3e-6)
    assert_close(eager, exact, 2e-5)  # NumPy's library may have one accumulator for 1024 terms


def test_products_of_what_numpy_multiplies_by_itself() -> None:
    """Of views without a contiguous axis its own loop has one accumulator for all terms."""
    x, y = terms((4, 200_002), "tenths")[:, ::2], np.ones((200_002, 2), np.float32)[::2, :1]
    assert_close(
        cr.tensor(x).node.op and np.asarray(cr.tensor(x) @ cr.tensor(y)),
        100_001 * TENTH * np.ones((4, 1)),
        2e-5,
    )


def test_batches_of_products() -> None:
    a, b = terms((2, 3, 20_001), "uniform"), terms((20_001, 4), "uniform")
    for result in both_ways(lambda a, b: a @ b, a, b):
        assert_close(result, a.astype(np.float64) @ b.astype(np.float64))


# Repeated indices


@kinds
@pytest.mark.parametrize(
    ("count", "size", "width"), [(100_000, 3, ()), (100_000, 5, (7,)), (30_000, 3, (2, 20)), (3000, 2, (33,))]
)
def test_gradients_of_rows_that_are_picked_many_times(
    count: int, size: int, width: tuple[int, ...], kind: str
) -> None:
    indices = np.random.default_rng(1).integers(-size, size, count)
    weight = terms((count, *width), kind)
    exact = np.zeros((size, *width))
    np.add.at(exact, indices, weight)
    gradient = cr.grad(lambda table: cr.sum(cr.take(table, indices, 0) * weight))
    for result in both_ways(gradient, np.zeros((size, *width), np.float32)):
        assert_close(result, exact)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_repeated_indices_on_every_axis(axis: int) -> None:
    shape = [3, 2, 4]
    shape[axis] = 6
    indices = np.random.default_rng(2).integers(0, 6, (100, 60))
    indices[:, :50] = 4  # one is met far more often than the others
    picked = (*shape[:axis], *indices.shape, *shape[axis + 1 :])
    weight = terms(picked, "tenths")
    exact = np.zeros(shape)
    np.add.at(exact, (slice(None),) * axis + (indices,), weight)
    gradient = cr.grad(lambda table: cr.sum(cr.take(table, indices, axis) * weight))
    for result in both_ways(gradient, np.zeros(shape, np.float32)):
        assert_close(result, exact)


def test_every_update_of_very_many_is_added_once() -> None:
    """Small whole numbers: exact, with rows that are full once, several times and never."""
    counts = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 5000, 0, 3]
    rng = np.random.default_rng(3)
    indices = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    weight = rng.integers(0, 9, (len(indices), 5)).astype(np.float32)
    exact = np.zeros((len(counts), 5))
    np.add.at(exact, indices, weight)
    gradient = cr.grad(lambda table: cr.sum(cr.take(table, indices, 0) * weight))
    run = cr.compile(gradient)
    table = np.zeros((len(counts), 5), np.float32)
    for result in (gradient(cr.tensor(table)), run(table), run(table)):
        np.testing.assert_array_equal(np.asarray(result), exact)


# Edges of sparse graphs


@dataclass(frozen=True)
class Star:
    """All edges between a few neurons and very many."""

    upper: int
    lower: int
    batch: int


@pytest.mark.parametrize(
    "star",
    [Star(2, 60_000, 1), Star(3, 20_000, 5), Star(20_000, 3, 7), Star(2, 10_000, 40), Star(9000, 2, 300)],
    ids=str,
)
def test_neurons_with_very_many_edges(star: Star) -> None:
    target, source = (i.ravel() for i in np.indices((star.upper, star.lower)))
    incidence = [cr.tensor(a) for a in incidence_of(source, target, star.upper, star.lower, 0)]
    below, above = (np.full((n, star.batch), 0.1, np.float32) for n in (star.lower, star.upper))
    weights = np.ones(len(source), np.float32)
    for primitive, values, count, others in (
        (edge_sum, below, star.lower, star.upper),
        (edge_sum_down, above, star.upper, star.lower),
    ):

        def f(v: Any, w: Any, primitive: Any = primitive) -> Any:
            return primitive(v, w, *incidence, first=0)

        exact = np.full((others, star.batch), count * TENTH)
        for result in both_ways(f, values, weights):
            assert_close(result, exact)


@pytest.mark.parametrize("star", [Star(20_000, 2, 3), Star(9000, 3, 300)], ids=str)
def test_messages_down_many_edges_beside_the_gradients_of_weights(star: Star) -> None:
    target, source = (i.ravel() for i in np.indices((star.upper, star.lower)))
    incidence = [cr.tensor(a) for a in incidence_of(source, target, star.upper, star.lower, 0)]
    slope = np.full((star.upper, star.batch), 0.1, np.float32)
    values, weights = np.ones((star.lower, star.batch), np.float32), np.ones(len(source), np.float32)
    gradient = cr.grad(lambda v, w: cr.sum(edge_sum(v, w, *incidence, first=0) * slope), argnums=(0, 1))
    for of_values, of_weights in (
        gradient(cr.tensor(values), cr.tensor(weights)),
        cr.compile(gradient)(values, weights),
    ):
        assert_close(of_values, np.full(values.shape, star.upper * TENTH))
        assert_close(of_weights, np.full(weights.shape, star.batch * TENTH))


def test_dot_products_over_a_long_minibatch() -> None:
    incidence = [cr.tensor(a) for a in incidence_of(np.array([0, 1]), np.array([0, 0]), 1, 2, 0)]
    upper, lower = np.full((1, 5000), 0.1, np.float32), np.ones((2, 5000), np.float32)
    for result in both_ways(lambda u, v: edge_dot(u, v, *incidence, first=0), upper, lower):
        assert_close(result, [5000 * TENTH] * 2)


# What is made of sums

FAR = {  # columns far from zero: their squares say nothing about their spread
    "around 1000": lambda rng, n: rng.normal(1000, 1, (n, 2)),
    "years": lambda rng, n: rng.integers(1900, 2026, (n, 2)).astype(float),
    "10000 and a bit": lambda rng, n: 1e4 + rng.uniform(0, 1, (n, 2)),
}


@pytest.mark.parametrize("columns", FAR)
@pytest.mark.parametrize("axis", [0, None, 1])
def test_moments_of_columns_far_from_zero(columns: str, axis: int | None) -> None:
    x = FAR[columns](np.random.default_rng(0), 300_000).astype(np.float32)
    x = np.ascontiguousarray(x.T) if axis == 1 else x
    wide = x.astype(np.float64)
    for f, exact, tolerance in (
        (cr.mean, wide.mean(axis), 1e-6),
        (cr.var, wide.var(axis), 1e-4),
        (cr.std, wide.std(axis), 1e-4),
        (cr.norm, np.sqrt(np.square(wide).sum(axis)), 1e-6),
    ):
        for result in both_ways(lambda t, f=f: f(t, axis), x):
            assert_close(result, exact, tolerance)


def test_gradients_of_moments() -> None:
    x = FAR["10000 and a bit"](np.random.default_rng(0), 100_000).astype(np.float32)
    wide = x.astype(np.float64)
    exact = 2 * (wide - wide.mean(0)) / len(x)
    for result in both_ways(cr.grad(lambda t: cr.sum(cr.var(t, 0))), x):
        np.testing.assert_allclose(result, exact, atol=1e-2 / len(x))  # a float32 near 10000 is known to 5e-4


@pytest.mark.parametrize("axis", [0, 1])
def test_logarithms_of_sums_of_exponentials(axis: int) -> None:
    x = terms((200_003, 2) if axis == 0 else (2, 200_003), "uniform")
    exact = np.log(np.exp(x.astype(np.float64)).sum(axis))
    for result in both_ways(lambda t: cr.logsumexp(t, axis), x):
        assert_close(result, exact, 3e-7)
    for result in both_ways(lambda t: cr.sum(cr.softmax(t, axis), axis), x):
        assert_close(result, np.ones(2))


LOSSES = {
    "squared_error": nn.squared_error,
    "half_squared_error": nn.half_squared_error,
    "absolute_error": nn.absolute_error,
    "huber": nn.huber,
    "binary_cross_entropy": nn.binary_cross_entropy,
}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_very_many_rows(name: str, reduction: str) -> None:
    rng = np.random.default_rng(0)
    prediction = rng.normal(size=(200_003, 1)).astype(np.float32)
    target = (rng.random((200_003, 1)) < 0.5).astype(np.float32)
    loss = LOSSES[name]
    exact = np.asarray(
        loss(cr.tensor(prediction.astype(np.float64)), cr.tensor(target.astype(np.float64)), reduction)
    )
    for result in both_ways(lambda p, t: loss(p, t, reduction), prediction, target):
        assert_close(result, exact, 2e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cross_entropy_of_very_many_rows(reduction: str) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(100_003, 3)).astype(np.float32), rng.integers(0, 3, 100_003)
    exact = np.asarray(nn.cross_entropy(cr.tensor(logits.astype(np.float64)), cr.tensor(labels), reduction))
    for result in both_ways(lambda z: nn.cross_entropy(z, labels, reduction), logits):
        assert_close(result, exact, 2e-6)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_gradients_of_a_long_minibatch(batch_norm: bool) -> None:
    """Of weights (a product over rows) and biases (a sum over rows), beside float64."""
    rng = np.random.default_rng(0)
    x, y = 3 + rng.normal(size=(40_001, 5)), rng.normal(size=(40_001, 2))
    found = []
    for dtype in (np.float64, np.float32):
        model = nn.MLP([5, 16, 2], activation="tanh", batch_norm=batch_norm, seed=1, dtype=dtype)

        def gradients(a: Any, b: Any, model: Any = model) -> list[Any]:
            model.zero_grad()
            nn.squared_error(model(a), b).backward()
            return [p.grad for p in model.parameters()]

        a, b = x.astype(dtype), y.astype(dtype)
        found.append([np.asarray(g, np.float64) for g in gradients(cr.tensor(a), cr.tensor(b))])
        if dtype == np.float32:
            step = cr.compile(gradients)
            found.append([np.asarray(g, np.float64) for g in step(a, b)])
    largest = max(float(np.abs(g).max()) for g in found[0])
    for other in found[1:]:
        for mine, exact in zip(other, found[0], strict=True):
            np.testing.assert_allclose(mine, exact, rtol=1e-5, atol=3e-6 * largest)


def test_statistics_of_batch_normalisation() -> None:
    x = FAR["around 1000"](np.random.default_rng(0), 200_000).astype(np.float32)
    wide = x.astype(np.float64)
    layer = nn.BatchNorm1d(2)
    (mean, variance), (after, spread) = layer.moments(x)
    assert_close(mean, wide.mean(0), 1e-6)
    assert_close(variance, wide.var(0), 1e-4)
    np.testing.assert_allclose(after, [0, 0], atol=1e-4)
    np.testing.assert_allclose(spread, [1, 1], atol=1e-4)
    for run in (layer, cr.compile(layer)):
        result = np.asarray(run(cr.tensor(x)), np.float64)
        np.testing.assert_allclose(result.mean(0), [0, 0], atol=1e-4)
        np.testing.assert_allclose(result.std(0), [1, 1], atol=1e-4)


def test_scalers_of_tables() -> None:
    for columns in FAR.values():
        x = columns(np.random.default_rng(0), 1_000_000)[:, 0]
        mean, deviation = moments(x)
        exact = math.fsum(x) / len(x)
        assert_close(mean, exact, 1e-14)
        assert_close(deviation, math.sqrt(math.fsum((x - exact) ** 2) / len(x)), 1e-9)


def test_means_of_an_epoch() -> None:
    """The loss of an epoch with very many steps, and the validation loss of very many rows."""
    x = np.full((60_000, 1), 0.1, np.float32)
    model = nn.Linear(1, 1, bias=False)
    model.weight.data[...] = 0
    history = cr.fit(
        model,
        (x, x),
        loss=nn.absolute_error,
        optimizer=optim.SGD(0.0),
        epochs=1,
        batch_size=1,
        validation=(x, x),
        progress=False,
    )
    assert_close(history.loss, [[TENTH]])
    assert_close(history.validation_loss, [[TENTH]])


def test_norms_of_very_long_gradients() -> None:
    p = cr.tensor(np.zeros(500_003, np.float32), requires_grad=True)
    (p * np.float32(0.1)).sum().backward()
    assert_close(optim.gradient_norm([p]), math.sqrt(500_003) * TENTH, 1e-7)


# Bits


class Picking(nn.Module):
    """Rows of a table picked by the first column, some very often, beside batch normalisation of the others."""

    def __init__(self) -> None:
        self.table = nn.Parameter.drawn((6, 8), nn.initialisers.constant(0.5), (0,))
        self.rest = nn.MLP([12, 40, 3], batch_norm=True, seed=1)

    def forward(self, x: Any) -> Any:
        picked = cr.take(self.table, cr.abs(x[:, 0]).astype(cr.int64), 0)
        return self.rest(cr.concat([picked, x[:, 1:]], 1))


def test_any_number_of_threads_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "WORTH_SHARING", 0)
    rows, steps = 3001, 2
    rng = np.random.default_rng(0)
    data = rng.normal(size=(2 * rows, 5)).astype(np.float32), rng.integers(0, 3, 2 * rows)

    def trained(threads: int, *, shared: bool) -> list[Array]:
        model, optimizer = Picking(), optim.Adam(1e-2)
        optimizer.attach(model)
        forms = (Form((rows, 5), np.dtype(np.float32)), Form((rows,), np.dtype(np.int64)))
        step = training_step(
            Objective(model=model, loss=nn.cross_entropy, penalty=nn.l2(1e-3)), optimizer, 1.0, forms
        )
        updates = [(before, after) for _, before, after in step.updates]
        program = Instance(
            Binary(step.inputs, step.outputs, updates, rows=rows, shared=shared), threads=threads
        )
        part = program.part(data, None, steps, threads)
        run_parts([part], Team(threads), threads)
        return [part.records, *(p.data.copy() for p in model.parameters())]

    expected = trained(1, shared=False)
    for threads in (1, 2, 3):
        for mine, its in zip(expected, trained(threads, shared=True), strict=True):
            np.testing.assert_array_equal(mine, its)
