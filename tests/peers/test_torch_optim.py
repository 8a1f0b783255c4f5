"""Twenty steps of every optimizer and its main options against PyTorch, on the same loss and data."""

import numpy as np
import pytest
import torch

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.peers

STEPS = 20
CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"centered": True, "alpha": 0.9}),
    ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.1, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1}),
    ("Adam", {"amsgrad": True, "betas": (0.5, 0.1)}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.5, "amsgrad": True}),
    ("NAdam", {}),
    ("NAdam", {"weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
]
each = pytest.mark.parametrize(("name", "settings"), CASES, ids=[f"{n}-{'-'.join(s)}" for n, s in CASES])


def start(dtype):
    rng = np.random.default_rng(3)
    shapes = [(4, 5), (5,), (5, 2), (2,)]
    values = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    return values, rng.normal(size=(16, 4)).astype(dtype), rng.normal(size=(16, 2)).astype(dtype)


def ours(make, dtype, clip=None):
    values, x, y = start(dtype)
    parameters = [cr.tensor(value, requires_grad=True) for value in values]
    opt = make().attach(parameters)
    for _ in range(STEPS):
        v, a, w, b = parameters
        opt.zero_grad()
        cr.mean((cr.tanh(cr.tensor(x) @ v + a) @ w + b - y) ** 2).backward()
        if clip:
            clip(parameters)
        opt.step()
    return [p.numpy() for p in parameters]


def theirs(make, dtype, clip=None, scheduler=None):
    values, x, y = start(dtype)
    parameters = [torch.tensor(value, requires_grad=True) for value in values]
    opt = make(parameters)
    schedule = scheduler(opt) if scheduler else None
    for _ in range(STEPS):
        v, a, w, b = parameters
        opt.zero_grad()
        ((torch.tanh(torch.tensor(x) @ v + a) @ w + b - torch.tensor(y)) ** 2).mean().backward()
        if clip:
            clip(parameters)
        opt.step()
        if schedule:
            schedule.step()
    return [p.detach().numpy() for p in parameters]


def assert_equal(found, expected, rtol):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@pytest.fixture
def default_double():
    # NAdam's running product is held in torch's default dtype
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@each
def test_float64(name, settings, default_double):
    found = ours(lambda: getattr(optim, name)(0.02, **settings), np.float64)
    expected = theirs(lambda p: getattr(torch.optim, name)(p, lr=0.02, **settings), np.float64)
    assert_equal(found, expected, rtol=1e-11)
    assert max(np.abs(a - b).max() for a, b in zip(found, start(np.float64)[0], strict=True)) > 0.01


@each
def test_float32(name, settings):
    found = ours(lambda: getattr(optim, name)(0.02, **settings), np.float32)
    expected = theirs(lambda p: getattr(torch.optim, name)(p, lr=0.02, **settings), np.float32)
    assert_equal(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adagrad", "Adam", "AdamW", "NAdam"])
def test_defaults(name, default_double):
    expected = theirs(getattr(torch.optim, name), np.float64)
    assert_equal(ours(getattr(optim, name), np.float64), expected, rtol=1e-11)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "NAdam", "RMSprop", "Adagrad"])
def test_weight_decay_of_a_module_with_biases(name):
    layer = nn.Linear(4, 2, seed=0, dtype=np.float64)
    peer = torch.nn.Linear(4, 2, dtype=torch.float64)
    shape = tuple(peer.weight.shape)
    weight = layer.weight.numpy() if layer.weight.shape == shape else layer.weight.numpy().T
    with torch.no_grad():
        peer.weight.copy_(torch.tensor(weight.copy()))
        peer.bias.fill_(1.0)
    layer.bias.assign(np.ones(2))
    opt = getattr(optim, name)(0.05, weight_decay=0.3, decay_biases=True).attach(layer)
    other = getattr(torch.optim, name)(peer.parameters(), lr=0.05, weight_decay=0.3)
    x = np.random.default_rng(1).normal(size=(6, 4))
    for _ in range(STEPS):
        opt.zero_grad()
        other.zero_grad()
        (layer(x) ** 2).mean().backward()
        (peer(torch.tensor(x)) ** 2).mean().backward()
        opt.step()
        other.step()
    np.testing.assert_allclose(layer.bias.numpy(), peer.bias.detach().numpy(), rtol=1e-8)


LR = torch.optim.lr_scheduler
SCHEDULES = [
    (optim.InverseTime(0.05, decay=0.3), lambda o: LR.LambdaLR(o, lambda t: 1 / (1 + 0.3 * t))),
    (optim.StepDecay(0.05, factor=0.5, every=6), lambda o: LR.StepLR(o, 6, 0.5)),
    (optim.CosineDecay(0.05, steps=STEPS, final=0.01), lambda o: LR.CosineAnnealingLR(o, STEPS, 0.01)),
    (
        optim.OneCycle(0.05, steps=STEPS + 1),
        lambda o: LR.OneCycleLR(o, 0.05, total_steps=STEPS + 1, cycle_momentum=False),
    ),
    (
        optim.Warmup(optim.StepDecay(0.05, factor=0.5, every=6), steps=4),
        lambda o: LR.SequentialLR(
            o, [LR.LinearLR(o, start_factor=1 / 5, total_iters=4), LR.StepLR(o, 6, 0.5)], milestones=[4]
        ),
    ),
]


@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step:UserWarning")
@pytest.mark.parametrize(("schedule", "scheduler"), SCHEDULES, ids=[type(s).__name__ for s, _ in SCHEDULES])
def test_schedules(schedule, scheduler):
    found = ours(lambda: optim.SGD(schedule, momentum=0.9), np.float64)
    expected = theirs(lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9), np.float64, scheduler=scheduler)
    assert_equal(found, expected, rtol=1e-11)


def test_clipping():
    # PyTorch adds 1e-6 to the norm before it divides
    found = ours(lambda: optim.SGD(0.1), np.float64, lambda p: optim.clip_norm(p, 0.5))
    expected = theirs(
        lambda p: torch.optim.SGD(p, lr=0.1), np.float64, lambda p: torch.nn.utils.clip_grad_norm_(p, 0.5)
    )
    assert_equal(found, expected, rtol=1e-5)
    found = ours(lambda: optim.SGD(0.1), np.float64, lambda p: optim.clip_value(p, 0.05))
    expected = theirs(
        lambda p: torch.optim.SGD(p, lr=0.1), np.float64, lambda p: torch.nn.utils.clip_grad_value_(p, 0.05)
    )
    assert_equal(found, expected, rtol=1e-12)


def test_lbfgs_reaches_the_optimum_of_torch():
    rng = np.random.default_rng(5)
    x, labels = rng.normal(size=(60, 4)), rng.integers(0, 2, size=60).astype(float)

    def value_and_gradient(theta):
        def loss(t):
            z = cr.tensor(x) @ t
            return cr.mean(cr.softplus(z) - cr.tensor(labels) * z) + 0.05 * cr.sum(t * t)

        value, gradient = cr.value_and_grad(loss)(cr.tensor(theta))
        return value.item(), gradient.numpy()

    w = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    peer = torch.optim.LBFGS(
        [w], max_iter=500, tolerance_grad=1e-12, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def closure():
        peer.zero_grad()
        z = torch.tensor(x) @ w
        loss = (torch.nn.functional.softplus(z) - torch.tensor(labels) * z).mean() + 0.05 * (w * w).sum()
        loss.backward()
        return loss

    peer.step(closure)
    result = optim.LBFGS(tolerance=1e-9).minimise(value_and_gradient, np.zeros(4))
    assert result.converged
    np.testing.assert_allclose(result.theta, w.detach().numpy(), atol=1e-7)
