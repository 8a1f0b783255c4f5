"""Parameters that no gradient reaches would stay as they are for a whole run: fit says so, and why."""

import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import GradientError

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = X.sum(axis=1, keepdims=True)


class Two(nn.Module):
    """Two layers, and what is between them."""

    def __init__(self, between):
        self.a, self.b, self.between = nn.Linear(3, 4, seed=0), nn.Linear(4, 1, seed=1), between

    def forward(self, x):
        return self.b(self.between(self.a(x)))


def said(model, **settings):
    given = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 2, "batch_size": 8, **settings}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cr.fit(model, (X, Y), progress=False, **given)
    return [str(w.message) for w in caught if issubclass(w.category, cr.TrainingWarning)]


WARNED = {
    "greater": lambda h: (h > 0).astype(cr.float32),
    "sign": cr.sign,
    "where": lambda h: cr.where(h > 0, 1.0, 0.0).astype(cr.float32),
}


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
@pytest.mark.parametrize("name", WARNED)
def test_a_layer_behind_an_operation_without_a_gradient_is_named_once(name, executor):
    (text,) = said(Two(WARNED[name]), executor=executor)
    op = "sign" if name == "sign" else "greater"
    for line, parameter in zip(text.splitlines(), ("a.weight", "a.bias"), strict=True):
        assert line.startswith(
            f"parameter {parameter} gets no gradient: the loss depends on it only through {op} ("
        )
        assert "test_untrained.py:" in line
        assert line.endswith("has the derivative 0" if name == "sign" else "has no derivative")


@pytest.mark.parametrize("unused", [lambda h: h.detach(), lambda h: cr.tensor(np.zeros(h.shape, np.float32))])
def test_a_parameter_that_the_loss_does_not_touch_is_named(unused):
    (text,) = said(Two(unused))
    assert text.splitlines() == [
        f"parameter a.{name} gets no gradient: the loss does not depend on it" for name in ("weight", "bias")
    ]


def test_replicas_say_it_once():
    assert len(said(Two(WARNED["greater"]), restarts=3)) == 1


@pytest.mark.parametrize("between", [cr.relu, lambda h: h * (h > 0), lambda h: h + (cr.sign(h) - h).detach()])
def test_nothing_is_said_where_all_are_trained(between):
    assert said(Two(between)) == []


def test_nothing_is_said_of_frozen_parameters():
    model = Two(WARNED["greater"])
    for p in model.a.parameters():
        p.requires_grad = False
    assert said(model) == []


@pytest.mark.parametrize("op", ["sign", "floor"])
@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
def test_a_loss_whose_gradient_is_0_is_refused(op, executor):
    loss = lambda p, t: (getattr(cr, op)(p) - t).mean()
    with pytest.raises(GradientError, match=f"gradient is 0 everywhere(.|\n)*through {op}") as caught:
        said(Two(cr.tanh), loss=loss, executor=executor)
    assert "test_untrained.py" in caught.value.where
