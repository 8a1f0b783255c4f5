"""Tracing: what user code does to tensors becomes a graph, and leaves no trace in the tensors."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import TracingError
from chainrule.graph import new_leaf
from chainrule.interpret import Interpreted
from chainrule.tensor import Tensor
from chainrule.trace import tracing


def placeholder(*shape: int) -> Tensor:
    return Tensor(None, new_leaf(shape, cr.float64))


def test_records_without_computing() -> None:
    with tracing():
        x = placeholder(2)
        y = cr.exp(x) * 2.0
        constant = cr.tensor(1.0) + 1.0
    assert y.data is None and constant.data is None
    assert repr(y) == "<traced tensor float64[2]>"
    np.testing.assert_allclose(Interpreted([x.node], [y.node])(np.array([0.0, 1.0]))[0], [2.0, 2 * np.e])


def step(w: Tensor, x: Tensor, lr: float = 0.1) -> Tensor:
    """One step of gradient descent as a user writes it."""
    w.grad = None
    loss = ((x * w - 1.0) ** 2).sum()
    loss.backward()
    with cr.no_grad():
        w.assign(w - lr * w.grad)
    return loss


def test_training_step_equals_the_eager_one() -> None:
    x0, start = np.array([1.0, 2.0, 3.0]), [0.1, 0.2, 0.3]
    eager, traced = (cr.tensor(start, dtype=cr.float64, requires_grad=True) for _ in range(2))
    buffer, leaf = traced.data, traced.node
    with tracing() as trace:
        x = placeholder(3)
        loss = step(traced, x)
    ((tensor, before, after),) = trace.updates
    assert tensor is traced and before is leaf and traced.node is leaf and traced.grad is None
    program = Interpreted([x.node, before], [loss.node, after])
    for _ in range(3):
        expected = step(eager, cr.tensor(x0)).numpy()
        value, new = program(x0, traced.data)
        np.copyto(buffer, new)
        np.testing.assert_array_equal(value, expected)
        np.testing.assert_array_equal(traced.numpy(), eager.numpy())
    assert traced.data is buffer


def test_two_steps_in_one_trace() -> None:
    """The second step starts from what the first assigned, and its derivative stops there."""
    x0 = np.array([1.0, 2.0])
    eager, traced = (cr.tensor([0.1, 0.2], dtype=cr.float64, requires_grad=True) for _ in range(2))
    for _ in range(2):
        step(eager, cr.tensor(x0))
    with tracing() as trace:
        x = placeholder(2)
        for _ in range(2):
            step(traced, x)
    ((_, before, after),) = trace.updates
    new = Interpreted([x.node, before], [after])(x0, traced.data)[0]
    np.testing.assert_array_equal(new, eager.numpy())


def test_a_second_gradient_in_one_trace_does_not_reach_through_the_first_update() -> None:
    def step(w: cr.Tensor, v: cr.Tensor) -> None:
        for updated, spared in ((v, w), (w, v)):
            ((w * v - 1.0) ** 2).sum().backward()
            spared.grad = None
            with cr.no_grad():
                updated.assign(updated.detach() - 0.1 * updated.grad)
            updated.grad = None

    eager, compiled = (
        [
            cr.tensor(np.array([0.5, 2.0]), requires_grad=True),
            cr.tensor(np.array([3.0, -1.0]), requires_grad=True),
        ]
        for _ in range(2)
    )
    step(*eager)
    cr.compile(lambda: step(*compiled))()
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-14)


def test_gradient_of_before_is_back_afterwards() -> None:
    w = cr.tensor([1.0], requires_grad=True)
    (w * 2.0).sum().backward()
    kept = w.grad
    with tracing():
        w.grad = None
        (w * 5.0).sum().backward()
        assert w.grad is not kept
    assert w.grad.item() == 2.0


def test_error_inside_restores_the_tensors() -> None:
    w = cr.tensor([1.0], requires_grad=True)
    leaf = w.node
    with pytest.raises(ZeroDivisionError), tracing():
        w.assign(w * 2.0)
        raise ZeroDivisionError
    assert w.node is leaf and w.item() == 1.0


def test_no_value_inside() -> None:
    with tracing():
        x = placeholder(1)
        y = x * 2.0
        for ask in (
            y.item,
            y.numpy,
            lambda: float(y),
            lambda: bool(y > 0),
            lambda: np.asarray(y),
        ):
            with pytest.raises(TracingError, match=r"test_trace\.py(.|\n)*cr\.where instead of if"):
                ask()


def test_no_outdated_value_of_an_assigned_tensor_inside() -> None:
    w = cr.tensor([1.0], requires_grad=True)
    with tracing():
        assert w.item() == 1.0
        w.assign(w * 2.0)
        with pytest.raises(TracingError):
            w.item()
    assert w.item() == 1.0


def test_traced_tensor_outside_its_trace() -> None:
    with tracing():
        y = placeholder(1) * 2.0
    with pytest.raises(TracingError, match=r"outside its trace(.|\n)*test_trace\.py"):
        y + 1.0


def test_no_grad_and_detach_cut_the_traced_graph() -> None:
    w = cr.tensor([2.0], requires_grad=True)
    with tracing():
        with cr.no_grad():
            constant = w * 3.0
        (w * constant * w.detach()).sum().backward()
        node = w.grad.node
    np.testing.assert_array_equal(Interpreted([], [node])()[0], [12.0])


def test_transforms_are_traced_and_read_parameters_at_each_run() -> None:
    w = cr.tensor([1.0, 2.0], dtype=cr.float64)
    with tracing() as trace:
        w.assign(w - 0.5 * cr.grad(lambda w: (w * w * w).sum())(w))
    ((_, before, after),) = trace.updates
    program = Interpreted([before], [after])
    for value in ([1.0, 2.0], [3.0, -1.0]):
        np.testing.assert_allclose(program(np.array(value))[0], np.array(value) - 1.5 * np.square(value))


def test_backward_with_a_traced_cotangent() -> None:
    w = cr.tensor([1.0, 2.0], dtype=cr.float64, requires_grad=True)
    with tracing():
        x = placeholder(2)
        (w * w).backward(x)
        node = w.grad.node
    np.testing.assert_array_equal(Interpreted([x.node], [node])(np.array([1.0, 10.0]))[0], [2.0, 40.0])
