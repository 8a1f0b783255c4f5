"""What a module is made of is found wherever it is kept, and trained; what cannot be found is an error."""

from __future__ import annotations

import copy
from collections import OrderedDict, UserDict, deque
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import DtypeError, GradientError, SettingError

X = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
Y = X.sum(1, keepdims=True)


class Holder(nn.Module):
    """Keeps layers in a container, and applies those that ``leaves`` finds in it."""

    def __init__(self, container: Any) -> None:
        self.kept = container

    def forward(self, x: Any) -> Any:
        for layer in leaves(self.kept):
            x = layer(x) if isinstance(layer, nn.Module) else x @ layer
        return x


def leaves(value: Any) -> list[Any]:
    if isinstance(value, list | tuple | deque):
        return [leaf for item in value for leaf in leaves(item)]
    if hasattr(value, "values"):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [value] if isinstance(value, nn.Module | cr.Tensor) else []


def parts() -> tuple[Any, Any, Any]:
    return nn.Linear(2, 3, seed=0), nn.Parameter(np.eye(3, dtype=np.float32)), nn.Linear(3, 1, seed=1)


def in_containers() -> dict[str, tuple[Any, list[str]]]:
    a, b, c = parts()
    return {
        "list": ([a, b, c], ["0", "1", "2"]),
        "tuple": ((a, b, c), ["0", "1", "2"]),
        "dict": ({"first": a, 2: b, "c": c}, ["first", "2", "c"]),
        "list in list": ([[a, b], [[c]]], ["0.0", "0.1", "1.0.0"]),
        "dict in list": ([{"u": a, "v": {"w": b}}, c], ["0.u", "0.v.w", "1"]),
        "tuple in dict": ({"deep": (a, (b, None, 3)), "c": [c]}, ["deep.0", "deep.1.0", "c.0"]),
        "ordered dict": (OrderedDict(a=[a], b=b, c=c), ["a.0", "b", "c"]),
        "user dict": (UserDict(a=a, b=b, c=c), ["a", "b", "c"]),
        "view of a dict": (MappingProxyType({"a": a, "b": b, "c": c}), ["a", "b", "c"]),
        "deque": (deque([a, [b], c]), ["0", "1.0", "2"]),
    }


@pytest.mark.parametrize("kind", in_containers())
def test_parts_in_containers_are_named_and_trained(kind: str) -> None:
    container, (first, second, third) = in_containers()[kind]
    model = Holder(container)
    names = [f"{first}.weight", f"{first}.bias", second, f"{third}.weight", f"{third}.bias"]
    assert sorted(model.state_dict()) == sorted(f"kept.{name}" for name in names)
    model.load_state_dict(model.state_dict())
    before = model.state_dict()
    history = cr.fit(
        model, (X, Y), loss=nn.squared_error, optimizer=optim.SGD(0.05), epochs=5, progress=False, restarts=1
    )
    assert history.loss[0, -1] < history.loss[0, 0]
    assert not any(np.array_equal(before[name], value) for name, value in model.state_dict().items())
    assert all(module.training is False for _, module in model.named_modules())
    optimizer = optim.SGD(0.05).attach(model)
    before = model.state_dict()
    nn.squared_error(model(X), Y).backward()
    optimizer.step()
    assert not any(np.array_equal(before[name], value) for name, value in model.state_dict().items())


def test_containers_changed_later_are_looked_into_again() -> None:
    a, b, _c = parts()
    model = Holder([[a]])
    assert len(model.parameters()) == 2
    optimizer = optim.SGD(0.05).attach(model)
    model.kept[0].append(b)
    assert sorted(model.state_dict()) == ["kept.0.0.bias", "kept.0.0.weight", "kept.0.1"]
    nn.squared_error(model(X).sum(1, keepdims=True), Y).backward()
    with pytest.raises(SettingError, match=r"since the optimizer was attached(.|\n)*kept\.0\.1"):
        optimizer.step()
    optimizer.attach(model).step()


def test_predictions_follow_a_nested_list() -> None:
    a, _, c = parts()
    model = Holder([[a], [c]])
    first = model.predict(X)
    model.kept[1][0] = nn.Linear(3, 1, seed=9)
    assert not np.array_equal(model.predict(X), first)
    np.testing.assert_allclose(model.predict(X), model(X).numpy(), rtol=1e-5, atol=1e-6)


def test_a_layer_replaced_after_attach_is_an_error() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    optimizer = optim.Adam(0.1).attach(model)
    setattr(model, "1", nn.Linear(3, 1))
    nn.squared_error(model(X), Y).backward()
    with pytest.raises(SettingError, match=r"1\.weight, 1\.bias"):
        optimizer.step()


class Stray(nn.Module):
    def __init__(self, value: Any) -> None:
        self.linear = nn.Linear(2, 1)
        self.extra = value

    def forward(self, x: Any) -> Any:
        return self.linear(x)


@pytest.mark.parametrize(
    "value",
    [
        lambda: cr.tensor([1.0], requires_grad=True),
        lambda: {nn.Linear(2, 1)},
        lambda: frozenset({nn.Parameter([1.0])}),
        lambda: (nn.Linear(2, 1) for _ in range(2)),
        lambda: map(nn.Linear, [2], [1]),
        lambda: [cr.tensor([1.0], requires_grad=True)],
        lambda: {"a": [cr.tensor([1.0], requires_grad=True)]},
        lambda: [{nn.Linear(2, 1)}],
    ],
)
def test_what_would_not_be_trained_is_an_error_that_names_it(value: Any) -> None:
    with pytest.raises(SettingError, match=r"'extra[.a0]*' would not be trained") as caught:
        Stray(value()).parameters()
    assert caught.value.hint


@pytest.mark.parametrize(
    "value",
    [
        lambda: cr.tensor([1.0]),
        lambda: cr.tensor([1.0], requires_grad=True) * 2.0,
        lambda: {1, 2},
        lambda: "x",
    ],
)
def test_constants_and_results_are_attributes_like_others(value: Any) -> None:
    assert len(Stray(value()).parameters()) == 2


class Hidden(nn.Module):
    """A layer where no attribute leads to it."""

    def __init__(self) -> None:
        self.linear, layer = nn.Linear(2, 2), nn.Linear(2, 1)
        self.applied = [layer.forward]

    def forward(self, x: Any) -> Any:
        return self.applied[0](self.linear(x))


def test_fit_refuses_layers_that_no_attribute_leads_to() -> None:
    with pytest.raises(SettingError, match="not parameters of the model"):
        cr.fit(Hidden(), (X, Y), loss=nn.squared_error, optimizer=optim.SGD(0.1), epochs=1, progress=False)
    scale = cr.tensor(1.0, requires_grad=True)
    with pytest.raises(SettingError, match="not parameters of the model"):
        cr.fit(
            nn.Linear(2, 1), (X, Y), loss=lambda p, y: nn.squared_error(p * scale, y), optimizer=optim.SGD(0.1),
            epochs=1, progress=False,
        )  # fmt: skip


def test_fit_refuses_a_loss_without_parameters() -> None:
    class Nothing(nn.Module):
        def forward(self, x: Any) -> Any:
            return x

    with pytest.raises(GradientError):
        cr.fit(Nothing(), (X, X), loss=nn.squared_error, optimizer=optim.SGD(0.1), epochs=1, progress=False)
    with pytest.raises(GradientError):
        cr.fit(
            nn.Linear(2, 1),
            (X, Y),
            loss=lambda p, y: (y * y).mean(),
            optimizer=optim.SGD(0.1),
            epochs=1,
            progress=False,
        )


def test_a_parameter_in_two_places_is_trained_once() -> None:
    layer = nn.Linear(2, 2, seed=0)
    model = Holder([layer, [layer]])
    assert len(model.parameters()) == 2
    optimizer = optim.SGD(0.5).attach(model)
    (model(X) ** 2).mean().backward()
    expected = layer.weight.numpy() - 0.5 * layer.weight.grad.numpy()
    optimizer.step()
    np.testing.assert_allclose(layer.weight.numpy(), expected, rtol=1e-6)
    twin = copy.deepcopy(model)
    assert len(twin.parameters()) == 2


def test_parameters_from_a_generator_are_all_attached() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    assert len(optim.SGD(0.1).attach(p for p in model.parameters()).parameters) == 4


def test_a_parameter_from_an_array() -> None:
    array = np.array([1.0, 2.0])
    p = nn.Parameter(array)
    assert (
        p.dtype == np.float64 and p.requires_grad and p.penalised and not np.shares_memory(p.numpy(), array)
    )
    (p * p).sum().backward()
    assert p.grad is not None and p.grad.tolist() == [2.0, 4.0]
    with cr.no_grad():
        p -= 1.0
    p.initialise(np.random.default_rng(0))
    assert p.tolist() == [1.0, 2.0] and nn.Parameter([1.0]).dtype == np.float32
    twin = copy.deepcopy(p)
    assert isinstance(twin, nn.Parameter) and twin.requires_grad and twin.penalised
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad
    own = nn.Parameter(cr.tensor([1.0], requires_grad=True) * 2.0)
    assert own.node.owner is not None and own.tolist() == [2.0]
    drawn = nn.Parameter(
        np.zeros((2, 2), np.float32), initialiser=nn.initialisers.constant(3.0), penalised=False
    )
    drawn.initialise(np.random.default_rng(0))
    assert drawn.tolist() == [[3.0, 3.0], [3.0, 3.0]] and not drawn.penalised


@pytest.mark.parametrize("data", [[1, 2], np.arange(3), np.array([True]), np.ones(2, np.complex128)])
def test_a_parameter_is_a_float(data: Any) -> None:
    with pytest.raises(DtypeError):
        nn.Parameter(data)


def test_a_parameter_is_not_made_of_what_is_differentiated() -> None:
    with pytest.raises(GradientError):
        cr.grad(lambda t: (nn.Parameter(t) * t).sum())(np.ones(2))
