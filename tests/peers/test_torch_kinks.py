"""Values and derivatives far out and at kinks, where PyTorch's convention is ours too."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

pytestmark = pytest.mark.peers
INF = np.inf
FAR = [-INF, -1e300, -800.0, -40.0, -1e-300, 0.0, 1e-300, 40.0, 800.0, 1e300, INF]
#: name -> ours, PyTorch's (given torch), points
CASES = {
    "tanh": (cr.tanh, lambda t: t.tanh, FAR),
    "logistic": (cr.logistic, lambda t: t.sigmoid, FAR),
    "exp": (cr.exp, lambda t: t.exp, FAR),
    "expm1": (cr.expm1, lambda t: t.expm1, FAR),
    "erf": (cr.erf, lambda t: t.erf, FAR),
    "relu": (cr.relu, lambda t: t.relu, FAR),
    "abs": (cr.abs, lambda t: t.abs, FAR),
    "log1p": (cr.log1p, lambda t: t.log1p, [-1.0, -0.5, 0.0, 1e-300, 1e300, INF]),
    "sqrt": (cr.sqrt, lambda t: t.sqrt, [0.0, 1e-300, 1.0, INF]),
    "clip": (lambda x: cr.clip(x, 0.0, 1.0), lambda t: lambda x: x.clamp(0, 1), [-1.0, 0.0, 0.5, 1.0, 2.0]),
    **{
        f"x ** {p}": (lambda x, p=p: x**p, lambda t, p=p: lambda x: x**p, [0.0, 0.5, 2.0])
        for p in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, -1.0)
    },
    "0 ** p": (lambda p: 0.0**p, lambda t: lambda p: t.zeros((), dtype=t.float64) ** p, [-1.0, 0.5, 2.0]),
    "prod": (cr.prod, lambda t: t.prod, [0.0, 0.0, 3.0]),
    "max": (cr.max, lambda t: t.amax, [1.0, 1.0, 0.0]),
    "logsumexp": (cr.logsumexp, lambda t: lambda x: t.logsumexp(x, 0), [-INF, 0.0, 0.0]),
    "softmax": (lambda x: cr.softmax(x)[0], lambda t: lambda x: t.softmax(x, 0)[0], [1000.0, 0.0, -INF]),
    "huber": (
        lambda x: nn.huber(x, np.zeros(5), "sum"),
        lambda t: lambda x: t.nn.functional.huber_loss(x, t.zeros(5, dtype=t.float64), reduction="sum"),
        [0.0, 1.0, -1.0, 0.5, 2.0],
    ),
    "cross entropy": (
        lambda x: nn.cross_entropy(x.reshape(1, 3), [1]),
        lambda t: lambda x: t.nn.functional.cross_entropy(x.reshape(1, 3), t.tensor([1])),
        [-INF, 1e300, 0.0],
    ),
    "binary cross entropy": (
        lambda x: nn.binary_cross_entropy(x, np.array([0.0, 1.0, 0.0, 1.0]), "sum"),
        lambda t: (
            lambda x: t.nn.functional.binary_cross_entropy_with_logits(
                x, t.tensor([0.0, 1.0, 0.0, 1.0], dtype=t.float64), reduction="sum"
            )
        ),
        [-800.0, -800.0, 1e300, 1e300],
    ),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["interpreted", "compiled"])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str, compiled: bool) -> None:
    import torch

    ours, find, points = CASES[name]
    theirs, point = find(torch), torch.tensor(points, dtype=torch.float64, requires_grad=True)
    value = theirs(point)
    (gradient,) = torch.autograd.grad(value.sum(), point)
    way = cr.compile if compiled else lambda f: f
    for f, expected in ((ours, value), (cr.grad(lambda x: ours(x).sum()), gradient)):
        np.testing.assert_allclose(
            way(f)(cr.tensor(np.array(points))).numpy(), expected.detach(), 1e-12, 1e-15
        )
