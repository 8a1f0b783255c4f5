"""Sums along the edges of a sparse graph, with the minibatch as the vector axis.

``count`` edges lead from lower neurons to upper ones. Five integer arrays describe them, in two orders, so that
messages run both ways without a search:

rows [upper + 1]    where each upper neuron's edges start; entries ``first`` to ``first + count`` of all weights
source [count]      the lower neuron of each edge
columns [lower + 1] where each lower neuron's edges start in the two arrays that follow
target [count]      the upper neuron
position [count]    which of all weights is the edge's

Values are [neurons, batch], weights those of all edges of a network. No array is ever [edges, batch]. The arrays
are trusted: whoever makes them has checked them.

Lectures: A26, A28.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from chainrule.errors import DtypeError, ShapeError
from chainrule.ops.movement import pad
from chainrule.ops.notation import call
from chainrule.ops.operand import Application, Cotangents, Operand
from chainrule.ops.record import Array, Case, Form, OwnLoop, Primitive, expect, is_float
from chainrule.sums import BLOCK

CHUNK = 1 << 14  # edges whose products NumPy holds at a time


def _check(name: str, incidence: tuple[Operand, ...], first: int) -> tuple[int, int, int]:
    """Numbers of upper neurons, lower neurons and edges."""
    rows, source, columns, target, position = incidence
    expect(
        all(x.dtype == np.int32 and len(x.shape) == 1 for x in incidence),
        DtypeError,
        f"{name}: the edges are not described by rows of int32",
        got=", ".join(f"{x.dtype}{list(x.shape)}" for x in incidence),
    )
    expect(
        source.shape == target.shape == position.shape
        and min(rows.shape[0], columns.shape[0]) > 0
        and first >= 0,
        ShapeError,
        f"{name}: the arrays that describe the edges disagree",
        expected="rows [upper + 1], source [edges], columns [lower + 1], target [edges], position [edges]",
        got=", ".join(str(list(x.shape)) for x in incidence),
    )
    return rows.shape[0] - 1, columns.shape[0] - 1, source.shape[0]


def _need(name: str, what: str, shape: tuple[int, ...], rows: int) -> None:
    expect(
        len(shape) == 2 and shape[0] == rows,
        ShapeError,
        f"{name}: the {what} values do not fit the edges",
        expected=f"[{rows}, batch]",
        got=list(shape),
    )


def _sum_form(name: str, up: bool) -> Callable[..., Form]:
    def form(values: Operand, weights: Operand, *incidence: Operand, first: int) -> Form:
        upper, lower, count = _check(name, incidence, first)
        _need(name, "lower" if up else "upper", values.shape, lower if up else upper)
        expect(
            len(weights.shape) == 1 and weights.shape[0] >= first + count,
            ShapeError,
            f"{name}: there are too few weights",
            expected=f"[{first + count}] or more",
            got=list(weights.shape),
        )
        return Form((upper if up else lower, values.shape[1]), values.dtype)

    return form


def _sparse_product(values: Array, weights: Array, starts: Array, neighbour: Array) -> Array:
    """The product with the matrix whose row i holds weights[starts[i]:starts[i + 1]], in columns neighbour."""
    from scipy.sparse import csr_array

    dtype = values.dtype
    if (
        is_float(dtype) and np.diff(starts).max(initial=0) > BLOCK
    ):  # SciPy has one accumulator for all of a row
        values, weights = values.astype(np.float64), weights.astype(np.float64)
    matrix = csr_array((weights, neighbour, starts), shape=(len(starts) - 1, len(values)))
    return np.asarray(matrix @ values, dtype=dtype)


def _edge_sum(values: Array, weights: Array, rows: Array, source: Array, *_: Array, first: int) -> Array:
    return _sparse_product(values, weights[first : first + len(source)], rows - first, source)


def _edge_sum_down(
    values: Array,
    weights: Array,
    rows: Array,
    source: Array,
    columns: Array,
    target: Array,
    position: Array,
    first: int,
) -> Array:
    return _sparse_product(values, weights[position], columns, target)


def _dot_form(upper: Operand, lower: Operand, *incidence: Operand, first: int) -> Form:
    above, below, count = _check("edge_dot", incidence, first)
    _need("edge_dot", "upper", upper.shape, above)
    _need("edge_dot", "lower", lower.shape, below)
    expect(
        upper.shape[1] == lower.shape[1],
        ShapeError,
        "edge_dot: upper and lower values differ in their minibatch",
        got=f"{list(upper.shape)} and {list(lower.shape)}",
    )
    return Form((count,), upper.dtype)


def _edge_dot(upper: Array, lower: Array, rows: Array, source: Array, *_: Array, first: int) -> Array:
    target = np.repeat(np.arange(len(rows) - 1), np.diff(rows))
    result = np.empty(len(source), upper.dtype)
    for start in range(0, len(source), CHUNK):
        part = slice(start, start + CHUNK)
        result[part] = np.sum(upper[target[part]] * lower[source[part]], axis=1)  # which adds in pairs
    return result


def incidence_of(source: Array, target: Array, upper: int, lower: int, first: int) -> tuple[Array, ...]:
    """The five arrays of edges that come sorted by target."""
    by_source = np.argsort(source, kind="stable")
    rows = first + np.concatenate([[0], np.cumsum(np.bincount(target, minlength=upper))])
    columns = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=lower))])
    arrays = (rows, source, columns, target[by_source], first + by_source)
    return tuple(np.asarray(array, np.int32) for array in arrays)


def _domain(kind: str) -> Callable[[np.random.Generator], Iterator[Case]]:
    def domain(rng: np.random.Generator) -> Iterator[Case]:
        for upper, lower, density, batch, first in (
            (3, 4, 0.6, 2, 0),
            (5, 3, 0.5, 1, 2),
            (2, 1, 1.0, 19, 1),
            (4, 9, 0.9, 37, 0),
            (1, 40, 1.0, 3, 0),
            (2, 3, 0.0, 3, 0),
        ):
            target, source = np.nonzero(rng.random((upper, lower)) < density)
            incidence = incidence_of(source, target, upper, lower, first)
            above, below = rng.normal(size=(upper, batch)), rng.normal(size=(lower, batch))
            weights = rng.normal(size=first + len(source) + 1)
            operands = {"up": (below, weights), "down": (above, weights), "dot": (above, below)}[kind]
            yield Case((*operands, *incidence), {"first": first})

    return domain


def _bad(*shapes: tuple[int, ...]) -> tuple[Case, ...]:
    """An edge from each of two lower neurons to each of three upper ones, with floats of wrong shapes."""
    target, source = np.repeat(np.arange(3), 2), np.tile(np.arange(2), 3)
    good = incidence_of(source, target, 3, 2, 0)
    floats = tuple(np.ones(shape) for shape in shapes[:2])
    wide = tuple(array.astype(np.int64) for array in good)
    uneven = (*good[:3], good[3][:-1], good[4])
    wrong = tuple(np.ones(shape) for shape in shapes[2:])
    return (
        Case((*floats, *wide), {"first": 0}),
        Case((*floats, *uneven), {"first": 0}),
        Case((wrong[0], floats[1], *good), {"first": 0}),
        Case((floats[0], wrong[1], *good), {"first": 0}),
    )


def _whole(part: Operand, weights: int, first: int) -> Operand:
    """Numbers of a block's edges as numbers of all edges, zero elsewhere."""
    behind = weights - first - part.shape[0]
    if first == behind == 0:
        return part
    return pad(part, low=(first,), high=(behind,), interior=(0,), value=0.0)


def _dot_derivative(
    g: Operand, y: Operand, upper: Operand, lower: Operand, *incidence: Operand, first: int
) -> Cotangents:
    weights = _whole(g, first + g.shape[0], first)
    above = edge_sum(lower, weights, *incidence, first=first)
    return (above, edge_sum_down(upper, weights, *incidence, first=first), *[None] * len(incidence))


#: values [lower, batch] -> [upper, batch]: each upper neuron's sum of weight times value over its edges
edge_sum: Primitive = Primitive(
    "edge_sum",
    _sum_form("edge_sum", up=True),
    _edge_sum,
    lambda g, y, values, weights, *incidence, first: (
        edge_sum_down(g, weights, *incidence, first=first),
        _whole(edge_dot(g, values, *incidence, first=first), weights.shape[0], first),
        *[None] * len(incidence),
    ),
    _domain("up"),
    _bad((2, 4), (6,), (3, 4), (5,)),
    promoted=(0, 2),
    lowering=OwnLoop("edges"),
    written=lambda node, v, w, *incidence: call(
        "edge sum of {1} {0}", r"\sum_{{(j,i)\in E}} {1}\,{0}", v, w, shape=node.shape
    ),
)

#: values [upper, batch] -> [lower, batch]: each lower neuron's sum of weight times value over its edges
edge_sum_down: Primitive = Primitive(
    "edge_sum_down",
    _sum_form("edge_sum_down", up=False),
    _edge_sum_down,
    lambda g, y, values, weights, *incidence, first: (
        edge_sum(g, weights, *incidence, first=first),
        _whole(edge_dot(values, g, *incidence, first=first), weights.shape[0], first),
        *[None] * len(incidence),
    ),
    _domain("down"),
    _bad((3, 4), (6,), (2, 4), (5,)),
    promoted=(0, 2),
    lowering=OwnLoop("edges"),
    written=lambda node, v, w, *incidence: call(
        "edge sum downwards of {1} {0}", r"\sum_{{(i,j)\in E}} {1}\,{0}", v, w, shape=node.shape
    ),
)

#: upper [upper, batch], lower [lower, batch] -> [edges]: the sum over the minibatch of the products of both ends
edge_dot: Primitive = Primitive(
    "edge_dot",
    _dot_form,
    _edge_dot,
    _dot_derivative,
    _domain("dot"),
    _bad((3, 4), (2, 4), (2, 4), (2, 5)),
    promoted=(0, 2),
    lowering=OwnLoop("edges"),
    written=lambda node, upper, lower, *incidence: call(
        "{0} dot {1} on every edge", r"{0} \cdot {1} \; \text{{on }} E", upper, lower, shape=node.shape
    ),
)

EDGES = {edge_sum, edge_sum_down, edge_dot}


def products(node: Application) -> int:
    """How many products such a node adds up."""
    return int(node.inputs[3].shape[0] * node.inputs[0].shape[1])
