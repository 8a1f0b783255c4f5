"""Updates written by hand: ``p -= lr * p.grad`` changes the parameter, or there is an error; never neither."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ChainruleError, GradientError, SettingError, ShapeError

AUGMENTED: dict[str, Callable[[Any, Any], Any]] = {
    "+=": operator.iadd,
    "-=": operator.isub,
    "*=": operator.imul,
    "/=": operator.itruediv,
    "**=": operator.ipow,
    "@=": operator.imatmul,
}
MATRIX = np.array([[2.0, 1.0], [0.5, 3.0]], np.float32)


def trained() -> list[cr.Tensor]:
    """What keeps its value between steps."""
    frozen = nn.Parameter(MATRIX, requires_grad=False)
    return [cr.tensor(MATRIX, requires_grad=True), nn.Parameter(MATRIX), frozen, nn.Buffer.made(MATRIX)]


@pytest.mark.parametrize("sign", AUGMENTED)
@pytest.mark.parametrize(
    "operand", [MATRIX.T.copy(), MATRIX.T.astype(np.float64), 2.0], ids=["same", "wider", "number"]
)
def test_an_update_without_recording_changes_the_tensor_itself(sign: str, operand: Any) -> None:
    if sign == "@=" and isinstance(operand, float):
        operand = 2.0 * np.eye(2, dtype=np.float32)
    for p in trained():
        data = p.data
        with cr.no_grad():
            result = AUGMENTED[sign](p, operand)
        expected = AUGMENTED[sign](MATRIX.astype(np.float64), operand)
        assert result is p and p.data is data and p.dtype == np.float32
        np.testing.assert_allclose(p.numpy(), expected, rtol=1e-6)
        assert p.node.value is not None
        np.testing.assert_allclose((p * 1.0).numpy(), expected, rtol=1e-6)  # later graphs see it


@pytest.mark.parametrize("sign", AUGMENTED)
def test_an_update_of_a_leaf_while_recording_is_refused(sign: str) -> None:
    for p in trained()[:2]:
        with pytest.raises(GradientError, match="in place"):
            AUGMENTED[sign](p, MATRIX)
        assert np.array_equal(p.numpy(), MATRIX)
    frozen, w = nn.Parameter(MATRIX, requires_grad=False), cr.tensor(MATRIX, requires_grad=True)
    with pytest.raises(GradientError, match="in place"):
        AUGMENTED[sign](frozen, w)  # the derivative by w would be lost


@pytest.mark.parametrize("sign", AUGMENTED)
def test_what_is_computed_gets_a_new_tensor(sign: str) -> None:
    for x in (cr.tensor(MATRIX), cr.tensor(MATRIX, requires_grad=True) * 1.0):
        before = x
        result = AUGMENTED[sign](x, MATRIX)
        assert result is not before and np.array_equal(before.numpy(), MATRIX)
        assert result.requires_grad == before.requires_grad

    def f(t: Any) -> Any:
        return AUGMENTED[sign](t, MATRIX).sum()

    plain = {"+=": "+", "-=": "-", "*=": "*", "/=": "/", "**=": "**", "@=": "@"}[sign]
    direct = eval(f"lambda t: (t {plain} MATRIX).sum()", {"MATRIX": MATRIX})
    for transform in (cr.grad, cr.hessian, lambda g: cr.compile(cr.grad(g))):
        np.testing.assert_allclose(transform(f)(MATRIX).numpy(), transform(direct)(MATRIX).numpy(), rtol=1e-5)


def model_and_data() -> tuple[nn.Module, np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    return nn.Sequential(nn.Linear(3, 4, seed=0), nn.Tanh(), nn.Linear(4, 1, seed=1)), x, x[:, :1] ** 2


def by_hand(model: nn.Module) -> Callable[[Any, Any], Any]:
    def step(x: Any, y: Any) -> Any:
        model.zero_grad()
        loss = nn.squared_error(model(x), y)
        loss.backward()
        with cr.no_grad():
            for p in model.parameters():
                p -= 0.1 * p.grad  # noqa: PLW2901
        return loss

    return step


def by_attribute(model: Any) -> Callable[[Any, Any], Any]:
    def step(x: Any, y: Any) -> Any:
        model.zero_grad()
        loss = nn.squared_error(model(x), y)
        loss.backward()
        with cr.no_grad():
            for layer in (model[0], model[2]):
                layer.weight -= 0.1 * layer.weight.grad
                layer.bias -= 0.1 * layer.bias.grad
        return loss

    return step


def by_data(model: nn.Module) -> Callable[[Any, Any], Any]:
    def step(x: Any, y: Any) -> Any:
        model.zero_grad()
        loss = nn.squared_error(model(x), y)
        loss.backward()
        for p in model.parameters():
            p.data -= 0.1 * p.grad.numpy()
        return loss

    return step


def by_new_data(model: nn.Module) -> Callable[[Any, Any], Any]:
    def step(x: Any, y: Any) -> Any:
        model.zero_grad()
        loss = nn.squared_error(model(x), y)
        loss.backward()
        for p in model.parameters():
            p.data = p.data - 0.1 * p.grad.numpy()
        return loss

    return step


@pytest.mark.parametrize("how", [by_hand, by_attribute, by_data, by_new_data])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_steps_by_hand_equal_the_optimizer(how: Callable[[Any], Any], compiled: bool) -> None:
    model, x, y = model_and_data()
    reference, _, _ = model_and_data()
    if compiled and "data" in how.__name__:
        with pytest.raises((ChainruleError, TypeError)):  # a buffer is NumPy's, and a graph has no values
            cr.compile(how(model))(x, y)
        return
    step, optimizer = how(model), cr_sgd().attach(reference)
    step = cr.compile(step) if compiled else step
    losses = []
    for _ in range(5):
        losses.append(step(x, y).item())
        optimizer.zero_grad()
        nn.squared_error(reference(x), y).backward()
        optimizer.step()
    assert losses == sorted(losses, reverse=True)
    for own, other in zip(model.parameters(), reference.parameters(), strict=True):
        np.testing.assert_allclose(own.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


def cr_sgd() -> Any:
    from chainrule import optim

    return optim.SGD(0.1)


def test_an_update_that_does_not_fit_is_refused() -> None:
    p = cr.tensor([1.0, 2.0], requires_grad=True)
    with cr.no_grad(), pytest.raises(ShapeError):
        p += np.ones((3, 2), np.float32)
    assert p.tolist() == [1.0, 2.0]


def test_a_graph_made_before_an_update_by_hand_is_outdated() -> None:
    p = cr.tensor([1.0, 2.0], requires_grad=True)
    loss = (p * p).sum()
    with cr.no_grad():
        p -= 1.0
    with pytest.raises(GradientError, match="changed after"):
        loss.backward()


@pytest.mark.parametrize("new", [cr.tensor([[1.0]]), np.ones((1, 1)), 1.0], ids=["tensor", "array", "number"])
def test_nothing_else_takes_a_parameters_place(new: Any) -> None:
    layer = nn.Linear(1, 1)
    with pytest.raises(SettingError, match="'weight' is a parameter"):
        layer.weight = new
    norm = nn.BatchNorm1d(1)
    with pytest.raises(SettingError, match="'running_mean' is a buffer"):
        norm.running_mean = new
    with pytest.raises(SettingError, match="'weight' is a parameter"), cr.no_grad():
        layer.weight = layer.weight - 0.1
    layer.weight = nn.Parameter(np.ones((1, 1), np.float32))
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
