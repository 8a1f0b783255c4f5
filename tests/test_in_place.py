"""Whatever is written into memory between forward and backward: derivatives are those of what was computed, or an
error says that a parameter changed. And what is written into a leaf is seen by the next computation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import GradientError
from chainrule.tensor import as_tensor

A = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
B = np.array([[1.0, 2.0, -1.0], [0.5, 3.0, 0.125]])


def spoil(array: np.ndarray) -> None:
    """Other numbers of the same kind, in place, with the same sum and the same bounds."""
    array[...] = np.roll(array.reshape(-1), 1).reshape(array.shape)


#: how an array takes part in a product with w, [2, 3] each
ENTRIES: dict[str, Callable[[Any, np.ndarray], Any]] = {
    "operator": lambda w, x: w * x * w,
    "reflected": lambda w, x: x * w * w,
    "NumPy's function": lambda w, x: np.multiply(x, w) * w,
    "a view": lambda w, x: (w.T * x.T * w.T).T,
    "matmul": lambda w, x: (w @ x.T) @ x * w,
    "where": lambda w, x: cr.where(x > 0, w * w, x * w),
    "maximum": lambda w, x: cr.maximum(w * w, x),
    "join": lambda w, x: (cr.concat([w * w, x]) * cr.concat([x, w]))[:2],
    "stack": lambda w, x: cr.stack([w, x, w]) * cr.stack([x, w, w]),
    "tensor over it": lambda w, x: cr.square(as_tensor(x) * w),
    "part of a tensor over it": lambda w, x: as_tensor(x)[0] * w * w,
    "dlpack": lambda w, x: cr.from_dlpack(x) * w * w,
    "under no_grad": lambda w, x: without(lambda: as_tensor(x).reshape((2, 3))) * w * w,
    "the same twice": lambda w, x: w * x + w * x * w,
    "an exponent": lambda w, x: cr.exp(w) ** x,
    "a loss": lambda w, x: nn.squared_error(w * w, x, "none"),
}


def without(f: Callable[[], Any]) -> Any:
    with cr.no_grad():
        return f()


def gradient_of(loss: Any, w: Any) -> np.ndarray:
    w.grad = None
    loss.backward()
    return w.grad.numpy().copy()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("entry", ENTRIES)
def test_an_array_is_written_between_forward_and_backward(entry: str, dtype: Any) -> None:
    x, w = B.astype(dtype), cr.tensor(A.astype(dtype), requires_grad=True)
    expected = gradient_of((ENTRIES[entry](w, x.copy()) * A).sum(), w)
    loss = (ENTRIES[entry](w, x) * A).sum()
    spoil(x)
    np.testing.assert_array_equal(gradient_of(loss, w), expected)
    after = gradient_of((ENTRIES[entry](w, x) * A).sum(), w)  # and the next one is of the new numbers
    np.testing.assert_array_equal(after, gradient_of((ENTRIES[entry](w, x.copy()) * A).sum(), w))


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_array_is_written_before_the_pullback(entry: str) -> None:
    x, w = B.copy(), A.copy()
    _, expected = cr.vjp(lambda w: ENTRIES[entry](w, B), A)
    out, pullback = cr.vjp(lambda w: ENTRIES[entry](w, x), w)
    v = np.cos(np.arange(out.size)).reshape(out.shape)
    spoil(x), spoil(w)
    np.testing.assert_array_equal(pullback(v)[0].numpy(), expected(v)[0].numpy())


@pytest.mark.parametrize("indices", [np.array([2, 0, 1]), [np.array([0, 1, 1]), np.array([2, 0, 1])], A > 0])
def test_indices_are_written_between_forward_and_backward(indices: Any) -> None:
    w = cr.tensor(A, requires_grad=True)
    several = isinstance(indices, list)
    given = tuple(i.copy() for i in indices) if several else indices.copy()
    take = (
        (lambda: w[given]) if several or given.dtype == bool else (lambda: w[:, given] * cr.take(w, given, 1))
    )
    expected = gradient_of((take() ** 2).sum(), w)
    loss = (take() ** 2).sum()
    for array in given if several else [given]:
        spoil(array)
    np.testing.assert_array_equal(gradient_of(loss, w), expected)


#: ways to memory under a leaf, and to what is computed from it
WAYS: dict[str, Callable[[Any], np.ndarray]] = {
    "data": lambda w: w.data,
    "numpy": lambda w: w.numpy(),
    "asarray": np.asarray,
    "dlpack": np.from_dlpack,
    "detach": lambda w: w.detach().numpy(),
    "data of detach": lambda w: w.detach().data,
}


def leaf(kind: str) -> Any:
    return nn.Parameter(A) if kind == "parameter" else cr.tensor(A, requires_grad=True)


def nonlinear(w: Any) -> Any:
    return (cr.exp(w.T) @ w + (w.reshape((-1,)) ** 2).sum()).sum()


@pytest.mark.parametrize("kind", ["parameter", "leaf"])
@pytest.mark.parametrize("when", ["asked before", "asked after", "asked and used before"])
@pytest.mark.parametrize("way", WAYS)
def test_a_leaf_is_written_between_forward_and_backward(way: str, when: str, kind: str) -> None:
    w = leaf(kind)
    expected = gradient_of(nonlinear(w), w)
    w = leaf(kind)
    memory = None if when == "asked after" else WAYS[way](w)
    if when == "asked and used before":
        nonlinear(w)
    loss = nonlinear(w)
    memory = WAYS[way](w) if memory is None else memory
    spoil(memory)
    np.testing.assert_array_equal(gradient_of(loss, w), expected)
    # the write is seen by everybody from now on
    np.testing.assert_array_equal(w.numpy(), memory)
    fresh = cr.tensor(memory, requires_grad=True)
    after = nonlinear(w)
    assert after.item() == nonlinear(fresh).item()
    np.testing.assert_array_equal(gradient_of(after, w), gradient_of(nonlinear(fresh), fresh))
    with cr.no_grad():
        assert nonlinear(w).item() == after.item()
    assert cr.compile(lambda: nonlinear(w))().item() == pytest.approx(after.item())


@pytest.mark.parametrize("way", [way for way in WAYS if "detach" not in way])
def test_what_is_computed_may_be_written_without_harm(way: str) -> None:
    w = cr.tensor(A, requires_grad=True)
    expected = gradient_of((cr.exp(w) * w).sum(), w)
    e = cr.exp(w)
    loss = (e * w).sum()
    memory = WAYS[way](e)
    if way == "data":
        with pytest.raises(ValueError, match="read-only"):
            spoil(memory)
    else:
        spoil(memory)
    np.testing.assert_array_equal(gradient_of(loss, w), expected)
    np.testing.assert_array_equal(e.numpy(), np.exp(A))


def test_parts_of_a_leaf_may_be_written_without_harm() -> None:
    w = cr.tensor(A, requires_grad=True)
    expected = gradient_of(nonlinear(w), w)
    loss, row = nonlinear(w), w.T[0]
    spoil(row.numpy())
    with cr.no_grad():
        column = w[:, 0]
    spoil(column.numpy())
    np.testing.assert_array_equal(gradient_of(loss, w), expected)
    np.testing.assert_array_equal(w.numpy(), A)


UPDATES: dict[str, Callable[[Any], Any]] = {
    "assign": lambda w: w.assign(w.detach() + 1.0),
    "data": lambda w: setattr(w, "data", A + 1.0),
    "-=": lambda w: without(lambda: w.__isub__(1.0)),
    "initialise": lambda w: w.initialise(np.random.default_rng(0)),
    "compiled": lambda w: cr.compile(lambda: w.assign(w * 2.0))(),
}


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("update", UPDATES)
def test_updates_between_forward_and_backward_are_noticed(update: str, asked: bool) -> None:
    w = nn.Parameter(A)
    if asked:
        w.numpy()
    loss = nonlinear(w)
    UPDATES[update](w)
    with pytest.raises(GradientError, match="changed after"):
        loss.backward()


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("update", [name for name in UPDATES if name not in ("initialise", "compiled")])
def test_updates_of_constants_and_of_what_was_detached(update: str, asked: bool) -> None:
    """A tensor without a gradient takes part by its value at that time."""
    c, w, source = cr.tensor(B), cr.tensor(A, requires_grad=True), cr.tensor(B, requires_grad=True)
    if asked:
        c.numpy(), source.numpy()
    expected = gradient_of((c * w * w * source.detach()).sum(), w)
    loss = (c * w * w * source.detach()).sum()
    if update == "-=":
        c.assign(c - 1.0)
    else:
        UPDATES[update](c)
    UPDATES[update](source)
    np.testing.assert_array_equal(gradient_of(loss, w), expected)


def test_state_of_a_layer_between_forward_and_backward() -> None:
    norm, x = nn.BatchNorm1d(3, dtype=np.float64).eval(), cr.tensor(A, requires_grad=True)
    expected = gradient_of((norm(x) ** 2).sum(), x)
    loss = (norm(x) ** 2).sum()
    norm.train()(B)  # moves the running moments
    norm.eval()
    np.testing.assert_array_equal(gradient_of(loss, x), expected)


def test_a_model_is_loaded_between_forward_and_backward() -> None:
    model = nn.Linear(3, 2, seed=0)
    loss = nn.squared_error(model(A.astype(np.float32)), np.zeros((2, 2), np.float32))
    model.load_state_dict(nn.Linear(3, 2, seed=1).state_dict())
    with pytest.raises(GradientError, match="changed after"):
        loss.backward()


def test_predictions_between_forward_and_backward_change_nothing() -> None:
    model = nn.Linear(3, 2, seed=0)
    x, y = A.astype(np.float32), np.ones((2, 2), np.float32)
    nn.squared_error(model(x), y).backward()
    expected = model.weight.grad.numpy().copy()
    model.zero_grad()
    loss = nn.squared_error(model(x), y)
    model.predict(x)
    cr.compile(model.forward)(x)
    model.state_dict(), model.weight.numpy(), nn.flatten_parameters(model)
    loss.backward()
    np.testing.assert_array_equal(model.weight.grad.numpy(), expected)


def test_programs_follow_updates_of_what_a_graph_held() -> None:
    """Compiled code reads parameters where they lie, also after a recorded graph kept an earlier value."""
    model = nn.Linear(3, 2, seed=0)
    x, y = A.astype(np.float32), np.ones((2, 2), np.float32)
    optimizer = optim.SGD(0.1).attach(model)
    fast = cr.compile(model.forward)
    for _ in range(4):
        optimizer.zero_grad()
        loss = nn.squared_error(model(x), y)
        np.testing.assert_allclose(model.predict(x), model(x).numpy(), rtol=1e-6)
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(fast(x).numpy(), model(x).numpy(), rtol=1e-6)
        np.testing.assert_allclose(model.predict(x), model(x).numpy(), rtol=1e-6)


def test_a_cotangent_is_written_before_the_outer_sweep() -> None:
    w, v = cr.tensor(A, requires_grad=True), B.copy()

    def outer(v: np.ndarray) -> Any:
        _, pullback = cr.vjp(lambda x: x * x * w, cr.tensor(A))
        return (pullback(v)[0] * w).sum()

    expected = gradient_of(outer(B), w)
    loss = outer(v)
    spoil(v)
    np.testing.assert_array_equal(gradient_of(loss, w), expected)


def test_copies_are_leaves_in_memory_of_their_own() -> None:
    w = cr.tensor(A, requires_grad=True)
    with pytest.raises(GradientError, match="cannot be copied"):
        copy.copy(cr.exp(w))
    for original in (w, nn.Parameter(A)):
        twin = copy.copy(original)
        assert type(twin) is type(original) and not np.shares_memory(twin.numpy(), original.numpy())
        loss = nonlinear(twin)
        spoil(original.data)
        spoil(twin.data)
        fresh = cr.tensor(A, requires_grad=True)
        np.testing.assert_array_equal(gradient_of(loss, twin), gradient_of(nonlinear(fresh), fresh))
        assert original.grad is None


VIEWS = {
    "transposed": lambda t: t.T,
    "reshaped": lambda t: t.reshape(-1),
    "sliced": lambda t: t[1:],
    "reversed": lambda t: cr.flip(t, axis=0),
    "repeated": lambda t: cr.broadcast_to(t, (2, *t.shape)),
    "a view of a view": lambda t: t.T[1:].T,
}


@pytest.mark.parametrize("lent", [False, True])
@pytest.mark.parametrize("change", ["assign", "data", "minus"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_without_history_keeps_its_numbers(view: str, change: str, lent: bool) -> None:
    """It was computed before its source changed, as compiled code has it too."""
    w = nn.Parameter(A)
    if lent:
        w.numpy()
    with cr.no_grad():
        seen = VIEWS[view](w)
        before = np.array(seen.numpy())
        if change == "assign":
            w.assign(A * 3)
        elif change == "data":
            w.data[:] = 7.0
        else:
            w -= 1.0
        np.testing.assert_array_equal(seen.numpy(), before)
