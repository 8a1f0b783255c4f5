"""Every rule against its textbook form in plain NumPy, one array at a time."""

from decimal import Decimal

import numpy as np
import pytest

import chainrule as cr
from chainrule import optim
from chainrule.errors import SettingError
from chainrule.optim.rules import bias_correction
from chainrule.tensor import Tensor

STEPS = 20


def sgd(w, gradients, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    v = 0.0
    for loss_gradient in gradients(w):
        g = loss_gradient + weight_decay * w
        v = momentum * v + g
        w = w - lr * (g + momentum * v if nesterov else v)
        yield w


def rmsprop(w, gradients, lr, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False):
    s = m = v = 0.0
    for loss_gradient in gradients(w):
        g = loss_gradient + weight_decay * w
        s, m = alpha * s + (1 - alpha) * g**2, alpha * m + (1 - alpha) * g
        v = momentum * v + g / (np.sqrt(s - m**2 if centered else s) + eps)
        w = w - lr * v
        yield w


def adagrad(w, gradients, lr, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
    s = initial_accumulator_value
    for t, loss_gradient in enumerate(gradients(w)):
        g = loss_gradient + weight_decay * w
        s = s + g**2
        w = w - lr / (1 + t * lr_decay) * g / (np.sqrt(s) + eps)
        yield w


def adam(w, gradients, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, decoupled=False):
    m = s = largest = 0.0
    first, second = betas
    for t, loss_gradient in enumerate(gradients(w), 1):
        g = loss_gradient + (0.0 if decoupled else weight_decay * w)
        w = w * (1 - lr * weight_decay if decoupled else 1)
        m, s = first * m + (1 - first) * g, second * s + (1 - second) * g**2
        largest = np.maximum(largest, s)
        root = np.sqrt((largest if amsgrad else s) / (1 - second**t))
        w = w - lr * m / (1 - first**t) / (root + eps)
        yield w


def adamw(w, gradients, lr, weight_decay=1e-2, **settings):
    return adam(w, gradients, lr, weight_decay=weight_decay, decoupled=True, **settings)


def nadam(
    w,
    gradients,
    lr,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=0.0,
    momentum_decay=4e-3,
    decoupled_weight_decay=False,
):
    m = s = 0.0
    product = 1.0
    first, second = betas
    for t, loss_gradient in enumerate(gradients(w), 1):
        g = loss_gradient + (0.0 if decoupled_weight_decay else weight_decay * w)
        w = w * (1 - lr * weight_decay if decoupled_weight_decay else 1)
        now, following = (first * (1 - 0.5 * 0.96 ** (u * momentum_decay)) for u in (t, t + 1))
        product = product * now
        m, s = first * m + (1 - first) * g, second * s + (1 - second) * g**2
        mean = following * m / (1 - product * following) + (1 - now) * g / (1 - product)
        w = w - lr * mean / (np.sqrt(s / (1 - second**t)) + eps)
        yield w


CASES = [
    (optim.SGD, sgd, {}),
    (optim.SGD, sgd, {"momentum": 0.9}),
    (optim.SGD, sgd, {"momentum": 0.9, "nesterov": True}),
    (optim.SGD, sgd, {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1}),
    (optim.RMSprop, rmsprop, {}),
    (optim.RMSprop, rmsprop, {"alpha": 0.5, "momentum": 0.9, "weight_decay": 0.1}),
    (optim.RMSprop, rmsprop, {"centered": True}),
    (optim.RMSprop, rmsprop, {"centered": True, "momentum": 0.9}),
    (optim.Adagrad, adagrad, {}),
    (optim.Adagrad, adagrad, {"lr_decay": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.1}),
    (optim.Adam, adam, {}),
    (optim.Adam, adam, {"betas": (0.0, 0.5), "eps": 1e-3, "weight_decay": 0.1}),
    (optim.Adam, adam, {"amsgrad": True, "betas": (0.5, 0.1)}),
    (optim.AdamW, adamw, {}),
    (optim.AdamW, adamw, {"weight_decay": 0.5, "amsgrad": True, "betas": (0.5, 0.1)}),
    (optim.NAdam, nadam, {}),
    (optim.NAdam, nadam, {"weight_decay": 0.1}),
    (optim.NAdam, nadam, {"weight_decay": 0.1, "decoupled_weight_decay": True, "momentum_decay": 0.1}),
]
IDS = [f"{kind.__name__}-{'-'.join(settings)}" for kind, _, settings in CASES]


def path(kind, settings, start, hessian, lr=0.05):
    """The points that the optimizer visits on w' H w / 2."""
    w = cr.tensor(start, requires_grad=True)
    opt = kind(lr, **settings).attach([w])
    points = []
    for _ in range(STEPS):
        opt.zero_grad()
        (0.5 * (w @ cr.tensor(hessian) @ w)).backward()
        opt.step()
        points.append(w.numpy().copy())
    return np.array(points)


@pytest.mark.parametrize(("kind", "textbook", "settings"), CASES, ids=IDS)
def test_rule_against_textbook(kind, textbook, settings):
    root = np.random.default_rng(0).normal(size=(5, 5))
    start, hessian = np.array([3.0, -2.0, 1.0, 0.5, -0.1]), root @ root.T

    def gradients(w):
        while True:
            yield hessian @ w_now[-1]

    w_now = [start]
    for w in textbook(start, gradients, 0.05, **settings):
        w_now.append(w)
        if len(w_now) > STEPS:
            break
    found = path(kind, settings, start, hessian)
    np.testing.assert_allclose(found, w_now[1:], rtol=1e-11, atol=1e-13)
    assert np.abs(found - start).max() > 0.01


@pytest.mark.parametrize(("kind", "textbook", "settings"), CASES, ids=IDS)
def test_float32_stays_close_to_float64(kind, textbook, settings):
    root = np.random.default_rng(0).normal(size=(5, 5))
    start, hessian = np.array([3.0, -2.0, 1.0, 0.5, -0.1]), root @ root.T
    single = path(kind, settings, start.astype(np.float32), hessian.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, path(kind, settings, start, hessian), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.999, 1 - 1e-9])
@pytest.mark.parametrize("t", [1, 2, 1000, 10**7])
def test_bias_correction_keeps_its_digits(beta, t):
    exact = 1 - Decimal(beta) ** t
    found = bias_correction(beta, Tensor.leaf(np.array(float(t)))).item()
    np.testing.assert_allclose(found, float(exact), rtol=1e-14)


def test_centered_variance_that_rounds_below_zero_gives_no_nan():
    g = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    w = cr.tensor(np.ones_like(g), requires_grad=True)
    opt = optim.RMSprop(1e-6, alpha=0.9, centered=True).attach([w])
    below = 0
    for _ in range(300):
        w.grad = cr.tensor(g)
        opt.step()
        below += (opt.state[0]["square"].numpy() < opt.state[0]["mean"].numpy() ** 2).sum()
    assert below > 0
    assert np.isfinite(w.numpy()).all()


def test_zero_gradients_change_nothing():
    for kind, _, settings in CASES:
        w = cr.tensor([1.0, -2.0], requires_grad=True)
        opt = kind(0.1, **{**settings, "weight_decay": 0.0}).attach([w])
        for _ in range(3):
            w.grad = cr.tensor([0.0, 0.0])
            opt.step()
        np.testing.assert_array_equal(w.numpy(), [1.0, -2.0])


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (optim.SGD, {"lr": -0.1}, "lr must be a number >= 0"),
        (optim.SGD, {"lr": float("nan")}, "lr must be a number >= 0"),
        (optim.SGD, {"lr": float("inf")}, "lr must be a number >= 0"),
        (optim.SGD, {"lr": "0.1"}, "lr must be a number >= 0 or a function"),
        (optim.SGD, {"lr": True}, "lr must be a number >= 0 or a function"),
        (
            optim.Adam,
            {"lr": [cr.tensor([1.0])]},
            r"(?s)parameters were given.*optim\.Adam\(1e-3\)\.attach\(model\)",
        ),
        (optim.SGD, {"momentum": 1.0}, "momentum"),
        (optim.SGD, {"nesterov": True}, "nesterov=True needs a momentum"),
        (optim.SGD, {"momentum": 0.9, "nesterov": 1e-4}, "True or False"),
        (optim.SGD, {"weight_decay": -1e-4}, "weight_decay"),
        (optim.RMSprop, {"alpha": 1.5}, "alpha"),
        (optim.RMSprop, {"eps": -1e-8}, "eps"),
        (optim.RMSprop, {"centered": "yes"}, "centered"),
        (optim.Adagrad, {"lr_decay": -1}, "lr_decay"),
        (optim.Adagrad, {"initial_accumulator_value": -1}, "initial_accumulator_value"),
        (optim.Adam, {"betas": (0.9, 1.0)}, r"betas\[1\]"),
        (optim.Adam, {"betas": (-0.1, 0.9)}, r"betas\[0\]"),
        (optim.Adam, {"betas": 0.9}, "two numbers"),
        (optim.Adam, {"amsgrad": 1}, "amsgrad"),
        (optim.AdamW, {"weight_decay": "0.1"}, "weight_decay"),
        (optim.NAdam, {"momentum_decay": -1.0}, "momentum_decay"),
        (optim.NAdam, {"decay_biases": None}, "decay_biases"),
    ],
)
def test_settings_out_of_range(kind, settings, said):
    with pytest.raises(SettingError, match=said):
        kind(**settings)
