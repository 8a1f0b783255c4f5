"""Every primitive and every function composed from primitives against PyTorch in float64.

Value, gradient and second derivative on the records' own domains; then the conventions where there is no
derivative, and a list of where the two libraries differ.
"""

import inspect
import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import functions
from chainrule.ops import PRIMITIVES
from chainrule.ops.record import is_float

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def torch():
    import torch

    torch.set_num_threads(1)
    return torch


def prod(torch, x, axis, keepdims):
    for a in reversed(axis):
        x = torch.prod(x, dim=a, keepdim=keepdims)
    return x


def expand(torch, x, axes):
    for a in axes:
        x = torch.unsqueeze(x, a)
    return x


def slice_(torch, x, start, count, step):
    for axis, (a, k, s) in enumerate(zip(start, count, step, strict=True)):
        x = torch.index_select(x, axis, a + s * torch.arange(k))
    return x


def pad(torch, x, low, high, interior, value):
    shape = [a + b + n + max(n - 1, 0) * i for a, b, i, n in zip(low, high, interior, x.shape, strict=True)]
    if not low:
        return x  # PyTorch has no grid without axes
    where = [a + (i + 1) * torch.arange(n) for a, i, n in zip(low, interior, x.shape, strict=True)]
    return torch.full(shape, value, dtype=x.dtype).index_put(torch.meshgrid(*where, indexing="ij"), x)


def scatter_add(torch, updates, indices, axis, size):
    shape = [*updates.shape[:axis], size, *updates.shape[axis + indices.ndim :]]
    flat = updates.reshape(*updates.shape[:axis], -1, *updates.shape[axis + indices.ndim :])
    return torch.zeros(shape, dtype=updates.dtype).index_add(axis, indices.reshape(-1) % size, flat)


def gather(torch, x, indices, axis):
    index = (indices % x.shape[axis]).reshape(-1)
    return torch.index_select(x, axis, index).reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def edge_matrix(torch, weights, rows, source, columns, first):
    """The dense matrix [upper, lower] of the weights on edges."""
    target = torch.repeat_interleave(torch.arange(len(rows) - 1), torch.diff(rows))
    matrix = torch.zeros(len(rows) - 1, len(columns) - 1, dtype=weights.dtype)
    return matrix.index_put((target, source.long()), weights[first : first + len(source)])


def edge_sum(torch, values, weights, rows, source, columns, target, position, first):
    return edge_matrix(torch, weights, rows, source, columns, first) @ values


def edge_sum_down(torch, values, weights, rows, source, columns, target, position, first):
    return edge_matrix(torch, weights, rows, source, columns, first).T @ values


def edge_dot(torch, upper, lower, rows, source, columns, target, position, first):
    above = torch.repeat_interleave(torch.arange(len(rows) - 1), torch.diff(rows))
    return (upper[above] * lower[source.long()]).sum(1)


SAME_NAME = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "negative",
    "exp",
    "expm1",
    "log",
    "log1p",
    "sqrt",
    "abs",
]
SAME_NAME += ["sign", "floor", "sin", "cos", "tanh", "erf", "relu", "maximum", "minimum", "not_equal", "less"]
SAME_NAME += [
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_not",
    "where",
    "matmul",
]
#: what PyTorch computes for each record, from its operands and parameters
THEIRS = {name: (lambda torch, *xs, name=name: getattr(torch, name)(*xs)) for name in SAME_NAME} | {
    "power": lambda torch, x, p: torch.pow(x, p),
    "root": lambda torch, x: torch.sqrt(x),
    "equal": lambda torch, x, y: torch.eq(x, y),
    "logistic": lambda torch, x: torch.sigmoid(x),
    "softplus": lambda torch, x: torch.nn.functional.softplus(x, threshold=1e9),
    "clip": lambda torch, x, low, high: torch.clamp(x, low, high),
    "sum": lambda torch, x, axis, keepdims: torch.sum(x, axis, keepdim=keepdims),
    "max": lambda torch, x, axis, keepdims: torch.amax(x, axis, keepdim=keepdims),
    "min": lambda torch, x, axis, keepdims: torch.amin(x, axis, keepdim=keepdims),
    "prod": prod,
    "logsumexp": lambda torch, x, axis, keepdims: torch.logsumexp(x, axis, keepdim=keepdims),
    "argmax": lambda torch, x, axis: torch.argmax(x, axis),
    "reshape": lambda torch, x, shape: x.reshape(shape),
    "transpose": lambda torch, x, axes: x.permute(axes),
    "broadcast": lambda torch, x, shape: torch.broadcast_to(x, shape),
    "expand": expand,
    "squeeze": lambda torch, x, axes: torch.squeeze(x, axes),
    "slice": slice_,
    "pad": pad,
    "concat": lambda torch, *xs, axis: torch.cat(xs, axis),
    "stack": lambda torch, *xs, axis: torch.stack(xs, axis),
    "cast": lambda torch, x, dtype: x.to(getattr(torch, dtype.name)),
    "identity": lambda torch, x: x * 1,
    "stop_gradient": lambda torch, x: x.detach(),
    "gather": gather,
    "scatter_add": scatter_add,
    "edge_sum": edge_sum,
    "edge_sum_down": edge_sum_down,
    "edge_dot": edge_dot,
}
#: composed functions: ours, theirs, shapes of the float operands (drawn from 0.2 to 2)
COMPOSED = {
    "square": (cr.square, lambda torch, x: torch.square(x), [(3, 4)]),
    "clip": (lambda x: cr.clip(x, min=1.0), lambda torch, x: torch.clamp(x, min=1.0), [(3, 4)]),
    "mean": (lambda x: cr.mean(x, 1), lambda torch, x: x.mean(1), [(3, 4)]),
    "var": (lambda x: cr.var(x, 0, correction=1), lambda torch, x: x.var(0), [(3, 4)]),
    "std": (cr.std, lambda torch, x: x.std(correction=0), [(3, 4)]),
    "norm": (lambda x: cr.norm(x, -1), lambda torch, x: torch.linalg.vector_norm(x, dim=-1), [(3, 4)]),
    "softmax": (lambda x: cr.softmax(x, 0), lambda torch, x: torch.softmax(x, 0), [(3, 4)]),
    "log_softmax": (cr.log_softmax, lambda torch, x: torch.log_softmax(x, -1), [(3, 4)]),
    "logsumexp": (cr.logsumexp, lambda torch, x: torch.logsumexp(x, (0, 1)), [(3, 4)]),
    "argmax": (cr.argmax, lambda torch, x: torch.argmax(x), [(3, 4)]),
    "matmul": (cr.matmul, lambda torch, x, y: x @ y, [(3, 4), (4,)]),
    "broadcast_to": (lambda x: cr.broadcast_to(x, (2, 3)), lambda torch, x: x.expand(2, 3), [(3,)]),
    "expand_dims": (lambda x: cr.expand_dims(x, -1), lambda torch, x: x.unsqueeze(-1), [(3,)]),
    "reshape": (lambda x: cr.reshape(x, (-1, 2)), lambda torch, x: x.reshape(-1, 2), [(3, 4)]),
    "transpose": (cr.transpose, lambda torch, x: x.permute(2, 1, 0), [(2, 3, 4)]),
    "squeeze": (cr.squeeze, lambda torch, x: x.squeeze(), [(1, 3, 1)]),
    "concat": (
        lambda x, y: cr.concat([x, y], -1),
        lambda torch, x, y: torch.cat([x, y], -1),
        [(2, 3), (2, 1)],
    ),
    "stack": (lambda x, y: cr.stack([x, y], -1), lambda torch, x, y: torch.stack([x, y], -1), [(2,), (2,)]),
    "pad": (
        lambda x: cr.pad(x, [(1, 2), (0, 3)], 0.5),
        lambda torch, x: torch.nn.functional.pad(x, (0, 3, 1, 2), value=0.5),
        [(2, 3)],
    ),
    "astype": (lambda x: cr.astype(x, cr.float32), lambda torch, x: x.float(), [(3,)]),
    "flip": (lambda x: cr.flip(x, 1), lambda torch, x: x.flip(1), [(3, 4)]),
    "take": (lambda x: cr.take(x, [1, 1], 1), lambda torch, x: x[:, [1, 1]], [(3, 4)]),
    "one_hot": (
        lambda x: cr.one_hot(cr.argmax(x, 1), 4, cr.float64),
        lambda torch, x: torch.nn.functional.one_hot(x.argmax(1), 4).double(),
        [(3, 4)],
    ),
}


def compare(torch, ours, theirs, operands, rtol: float = 1e-12) -> None:
    """Values, gradients of a weighted sum, and gradients of a weighted sum of those."""
    floats = [i for i, x in enumerate(operands) if is_float(x.dtype)]
    constants = {i: cr.tensor(x) for i, x in enumerate(operands)}

    def our_function(values):
        return ours(*(constants | dict(zip(floats, values, strict=True))).values())

    points = [cr.tensor(operands[i]) for i in floats]
    peers = [torch.tensor(x, requires_grad=is_float(x.dtype)) for x in operands]
    out, expected = our_function(points), theirs(torch, *peers)
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=rtol, atol=1e-15, strict=True)
    if not expected.requires_grad:
        return
    w = np.cos(np.arange(out.size)).reshape(out.shape)

    def our_gradient(values):
        return cr.grad(lambda values: (our_function(values) * w).sum())(values)

    leaves = [peers[i] for i in floats]
    their_gradient = torch.autograd.grad((expected * torch.tensor(w)).sum(), leaves, create_graph=True)
    for g, e in zip(our_gradient(points), their_gradient, strict=True):
        np.testing.assert_allclose(g.numpy(), e.detach().numpy(), rtol=rtol, atol=1e-14, strict=True)
    slope = lambda values: sum(
        (g * cr.sin(1.0 + x)).sum() for g, x in zip(our_gradient(values), points, strict=True)
    )
    total = sum((g * torch.sin(1.0 + x.detach())).sum() for g, x in zip(their_gradient, leaves, strict=True))
    if total.requires_grad:
        second = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
        for g, e in zip(cr.grad(slope)(points), second, strict=True):
            np.testing.assert_allclose(
                g.numpy(), e.numpy(force=True), rtol=100 * rtol, atol=1e-13, strict=True
            )


def test_every_primitive_and_composed_function_is_compared() -> None:
    # leaf and constant hold values; random_bits is compared with its authors' known answers
    assert THEIRS.keys() == PRIMITIVES.keys() - {"leaf", "constant", "random_bits"}
    public = {
        name
        for name, f in inspect.getmembers(functions, inspect.isfunction)
        if f.__module__ == functions.__name__
    }
    assert {name for name in public if not name.startswith("_")} <= THEIRS.keys() | COMPOSED.keys()


@pytest.mark.parametrize("name", THEIRS)
def test_primitive(torch, name: str) -> None:
    primitive = PRIMITIVES[name]
    for case in primitive.domain(np.random.default_rng(3)):
        ours = lambda *xs, case=case: primitive(*xs, **case.params)
        theirs = lambda torch, *xs, case=case: THEIRS[name](torch, *xs, **case.params)
        if 0 in case.inputs[0].shape and name == "pad":
            continue  # index_put of nothing
        compare(torch, ours, theirs, [np.asarray(x) for x in case.inputs])


@pytest.mark.parametrize("name", COMPOSED)
def test_composed_function(torch, name: str) -> None:
    ours, theirs, shapes = COMPOSED[name]
    rng = np.random.default_rng(4)
    compare(torch, ours, theirs, [rng.uniform(0.2, 2.0, size=shape) for shape in shapes])


def gradients(torch, ours, theirs, *points):
    """Ours and theirs at one point, as lists of numbers."""
    mine = cr.grad(lambda *xs: ours(*xs).sum(), tuple(range(len(points))))(*map(np.asarray, points))
    leaves = [torch.tensor(np.asarray(x), requires_grad=True) for x in points]
    return [g.tolist() for g in mine], [
        g.tolist() for g in torch.autograd.grad(theirs(*leaves).sum(), leaves)
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "points"),
    [
        (cr.relu, "relu", [0.0]),
        (cr.abs, "abs", [0.0]),
        (cr.sign, "sign", [0.0]),
        (cr.sqrt, "sqrt", [0.0]),
        (cr.log, "log", [0.0]),
        (cr.maximum, "maximum", [1.0, 1.0]),
        (cr.minimum, "minimum", [1.0, 1.0]),
        (cr.max, "amax", [[1.0, 1.0, 0.0]]),
        (cr.min, "amin", [[1.0, 1.0, 2.0]]),
        (cr.max, "max", [[1.0, 1.0, 0.0]]),
        (cr.norm, "norm", [[0.0, 0.0]]),
        (cr.prod, "prod", [[0.0, 2.0, 3.0]]),
        (cr.prod, "prod", [[0.0, 0.0, 3.0]]),
        (cr.clip, "clamp", [0.0, 0.0, 1.0]),
        (cr.clip, "clamp", [1.0, 0.0, 1.0]),
        (cr.clip, "clamp", [-1.0, 0.0, 1.0]),
        (cr.clip, "clamp", [2.0, 0.0, 1.0]),
        (cr.clip, "clamp", [0.5, 1.0, 0.0]),
        (lambda x, p: x**p, "pow", [0.0, 2.0]),
        (lambda x, p: x**p, "pow", [0.0, 1.0]),
        (lambda x, p: x**p, "pow", [0.0, 0.0]),
        (cr.logsumexp, "logsumexp", [[-np.inf, 0.0, 1.0]]),
        (cr.log_softmax, "log_softmax", [[-np.inf, 0.0, 1e4]]),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),  # no addresses: all workers agree
)
def test_conventions_where_there_is_no_derivative(torch, ours, theirs, points) -> None:
    needs_axis = theirs in ("logsumexp", "log_softmax")
    peer = lambda *xs: getattr(torch, theirs)(*xs, **({"dim": -1} if needs_axis else {}))
    mine, expected = gradients(torch, ours, peer, *points)
    for ours_, theirs_ in zip(mine, expected, strict=True):
        np.testing.assert_allclose(ours_, theirs_, rtol=1e-14)


def test_where_the_two_libraries_differ(torch) -> None:
    """The whole list; each line is a decision of ours."""
    F = torch.nn.functional
    # saturated activations: our derivatives keep their digits, theirs are computed from the rounded value
    mine, expected = gradients(torch, cr.logistic, torch.sigmoid, 40.0)
    assert mine == [pytest.approx(math.exp(-40), rel=1e-12)] and expected == [0.0]
    mine, expected = gradients(torch, cr.tanh, torch.tanh, 20.0)
    assert mine == [pytest.approx(4 * math.exp(-40), rel=1e-12)] and expected == [0.0]
    # softplus: theirs is linear above 20 unless told otherwise
    assert cr.softplus(np.float64(21)).item() - 21 == pytest.approx(math.exp(-21), rel=1e-4)
    assert F.softplus(torch.tensor(21.0, dtype=torch.float64)).item() == 21
    # the largest along an axis: ours shares a tie, torch.max(x, dim) picks one element, as does its argmax
    mine, expected = gradients(torch, lambda x: cr.max(x, 0), lambda x: torch.max(x, 0).values, [1.0, 1.0])
    assert mine == [[0.5, 0.5]] and sorted(expected[0]) == [0.0, 1.0]
    # variance: ours divides by n, theirs by n - 1
    x = np.array([1.0, 2.0, 4.0])
    assert cr.var(x).item() * 3 == pytest.approx(torch.tensor(x).var().item() * 2)
    # a tensor without axes has a dtype like any other; in theirs it does not widen one with axes
    assert (cr.tensor([1.0]) * cr.tensor(np.float64(2))).dtype == cr.float64
    assert (torch.tensor([1.0]) * torch.tensor(2.0, dtype=torch.float64)).dtype == torch.float32
    # sums of unsigned integers stay unsigned (array API), the mean of integers is a float
    assert cr.sum(np.ones(2, np.uint8)).dtype == cr.uint64
    assert torch.ones(2, dtype=torch.uint8).sum().dtype == torch.int64
    assert cr.mean(np.array([1, 2])).item() == 1.5
    with pytest.raises(RuntimeError):
        torch.tensor([1, 2]).mean()
