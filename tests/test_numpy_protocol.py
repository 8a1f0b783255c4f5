"""NumPy's own functions on tensors: the right derivative, or an error, never a derivative that is lost."""

from __future__ import annotations

import copy
import math
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, numpy_protocol
from chainrule.errors import ChainruleError, GradientError

UFUNCS = sorted(
    {value for value in vars(np).values() if isinstance(value, np.ufunc)}, key=lambda ufunc: ufunc.__name__
)
FUNCTIONS = sorted(
    {
        value
        for room in (np, np.linalg, np.fft)
        for name, value in vars(room).items()
        if hasattr(value, "_implementation") and not name.startswith(("save", "_"))
    },
    key=lambda function: (function.__module__, function.__name__),
)
POINT = {
    "x": np.array([[0.31, 0.72], [0.57, 0.21], [0.83, 0.44]]),
    "y": np.array([[0.27, 0.61], [0.52, 0.35], [0.13, 0.94]]),
}


def calls(p: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Arguments to try, with tensors or arrays in ``p``."""
    x, y = p["x"], p["y"]
    yield "x", (x,), {}
    yield "x, y", (x, y), {}
    yield "[x, y]", ([x, y],), {}
    yield "row, row", (x[0], y[0]), {}
    yield "matrix, row", (x, y[0]), {}
    yield "square", (x[:2],), {}
    yield "square, square", (x[:2], y[:2]), {}
    yield "number, x", (x[0, 0], y), {}
    yield "array, x", (np.array([[0.5, 1.5], [2.5, 0.2], [0.1, 0.7]]), x), {}
    yield "condition, x, y", (x > 0.5, x, y), {}
    yield "x, 0", (x, 0), {}
    yield "x, 1", (x, 1), {}
    yield "x, 2", (x, 2), {}
    yield "x, 0, 1", (x, 0, 1), {}
    yield "x, 0.3, 0.6", (x, 0.3, 0.6), {}
    yield "x, y, y", (x, y, y), {}
    yield "x, shape", (x, (2, 3)), {}
    yield "x, wide shape", (x, (4, 3, 2)), {}
    yield "x, indices, axis", (x, np.array([1, 0, 1]), 1), {}
    yield "x, axes", (x, (1, 0)), {}
    yield "row", (x[0],), {}
    yield "[row, x]", ([x[:1], y],), {}
    yield "x, axis=0", (x,), {"axis": 0}
    yield "x, axis=-1, keepdims", (x,), {"axis": -1, "keepdims": True}
    yield "x, ddof", (x,), {"ddof": 1}
    yield "x, ord", (x[0],), {"ord": 1}
    yield "x, ord=2", (x[0],), {"ord": 2}
    yield "matrix, ord=2", (x,), {"ord": 2}
    yield "[x, y], axis=1", ([x, y],), {"axis": 1}
    yield "[x, y], axis=None", ([x, y],), {"axis": None}
    yield "x, dtype", (x,), {"dtype": np.float32}
    yield "x, where", (x,), {"where": np.array([True, False])}
    yield "x, initial", (x,), {"initial": 0.5}
    yield "x, out", (x,), {"out": np.zeros((3, 2))}
    yield "x, y, out", (x, y), {"out": np.zeros((3, 2))}
    yield "x, y, where", (x, y), {"where": np.array([True, False]), "out": np.zeros((3, 2))}
    yield "x, order", (x,), {"order": "F"}
    yield "constant, full of x", (np.zeros(3), x[0, 0]), {}


def total(result: Any) -> Any:
    """The parts of a result in one number, each element with a weight of its own."""
    parts = [result] if not isinstance(result, list | tuple) else result
    found: Any = 0.0
    for part in parts:
        part = part if isinstance(part, cr.Tensor) else np.asarray(part)  # noqa: PLW2901
        if part.dtype.kind == "f" and part.size:
            weights = np.cos(np.arange(part.size, dtype=np.float64)).reshape(part.shape)
            found = found + (part * weights).sum()
    return found


def plain(function: Callable[..., Any], which: int, point: dict[str, Any]) -> float | None:
    """What NumPy has on arrays; None where it does not take these arguments."""
    # copies: some of NumPy's functions write into their arguments
    _, args, kwargs = list(calls({name: array.copy() for name, array in point.items()}))[which]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = float(total(function(*args, **kwargs)))
    except Exception:
        return None
    return found if np.isfinite(found) else None


def differences(function: Callable[..., Any], which: int) -> dict[str, np.ndarray]:
    """The derivative of what NumPy has, by central differences."""
    slopes = {}
    for name, at in POINT.items():
        slope = np.zeros(at.shape)
        for index in np.ndindex(at.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = at.copy()
                moved[index] += step
                ends.append(plain(function, which, POINT | {name: moved}))
            slope[index] = np.nan if None in ends else (ends[0] - ends[1]) / 2e-6
        slopes[name] = slope
    return slopes


NAMES = [name for name, _, _ in calls(POINT)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("function", [*UFUNCS, *FUNCTIONS], ids=lambda f: f.__name__)
@pytest.mark.parametrize("transform", [True, False], ids=["grad", "backward"])
def test_value_and_derivative_are_right_or_there_is_an_error(
    function: Callable[..., Any], transform: bool
) -> None:
    for which, name in enumerate(NAMES):
        value = plain(function, which, POINT)
        if value is None:
            continue

        def loss(p: dict[str, Any], which: int = which) -> Any:
            _, args, kwargs = list(calls(p))[which]
            return cr.tensor(0.0) + total(function(*args, **kwargs)) + 0.0 * p["x"].sum() + 0.0 * p["y"].sum()

        try:
            if transform:
                got, slopes = cr.value_and_grad(loss)({key: at.copy() for key, at in POINT.items()})
            else:
                leaves = {key: cr.tensor(at, requires_grad=True) for key, at in POINT.items()}
                got = loss(leaves)
                got.backward()
                slopes = {key: leaf.grad for key, leaf in leaves.items()}
        except (ChainruleError, TypeError, ValueError) as error:
            assert isinstance(error, ChainruleError) or "full of x" in name, (name, error)
            continue
        if not transform and name.startswith("["):
            continue  # outside transforms a list of tensors that NumPy turns into an array is one of constants
        np.testing.assert_allclose(got.item(), value, rtol=1e-6, err_msg=name)
        for key, expected in differences(function, which).items():
            np.testing.assert_allclose(slopes[key].numpy(), expected, atol=2e-5, err_msg=f"{name} by {key}")


def answers(function: Callable[..., Any]) -> Iterator[Any]:
    """What a function of NumPy gives for leaves that require a gradient, wherever it does not refuse."""
    for which in range(len(NAMES)):
        leaves = {key: cr.tensor(at, requires_grad=True) for key, at in POINT.items()}
        _, args, kwargs = list(calls(leaves))[which]
        try:
            yield function(*args, **kwargs)
        except (ChainruleError, TypeError, ValueError):
            continue


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "function",
    [
        *numpy_protocol.UFUNCS,
        *numpy_protocol.FUNCTIONS,
        *sorted([*numpy_protocol.FLAT, *numpy_protocol.FLAT_UFUNCS], key=lambda f: f.__name__),
    ],
    ids=lambda f: f.__name__,
)
def test_what_is_known_is_not_refused(function: Callable[..., Any]) -> None:
    if function.__name__.startswith("save"):
        return  # writes a file: see test_files_and_text
    boolean = function in (np.bitwise_and, np.bitwise_or, np.invert)
    if boolean:
        x = cr.tensor([True, False])
        assert isinstance(function(x) if function is np.invert else function(x, x), cr.Tensor)
    else:
        assert next(answers(function), None) is not None


def test_files_and_text(tmp_path: Any) -> None:
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    np.save(tmp_path / "x.npy", x)
    assert np.load(tmp_path / "x.npy").tolist() == [1.0, 2.0]
    assert np.array2string(x) == "[1. 2.]" and np.allclose(x, [1.0, 2.0])


ESCAPES: dict[str, Callable[[Any], Any]] = {
    "float": lambda t: t * float(t[0]),
    "int": lambda t: t * int(t[0]),
    "complex": lambda t: t * complex(t[0]).real,
    "item": lambda t: t * t[0].item(),
    "tolist": lambda t: t * sum(t.tolist()),
    "numpy": lambda t: t * t.numpy(),
    "data": lambda t: t * t.data,
    "data of a result": lambda t: t * cr.exp(t).data,
    "dlpack": lambda t: t * np.from_dlpack(t),
    "asarray": lambda t: t * np.asarray(t),
    "array": lambda t: t * np.array([t[0], t[1]]),
    "array of arrays": lambda t: t * np.array([[t[0], t[1]]])[0],
    "mean of a list": lambda t: t * np.mean([t[0], t[1]]),
    "math": lambda t: t * math.exp(t[0]),
    "random": lambda t: t * random.Random(0).gauss(float(t[0]), 1.0),
    "generator": lambda t: t * np.random.default_rng(0).normal(t),
    "linspace": lambda t: t * np.linspace(0.0, t[0], 2),
    "interp": lambda t: t * np.interp(t, [0.0, 1.0], [0.0, 1.0]),
    "full": lambda t: t * np.full(2, t[0]),
    "written into an array": lambda t: t * filled(t),
    "added to an array": lambda t: t * added(t),
    "add.at": lambda t: t * added_at(t),
    "copyto": lambda t: t * copied(t),
    "a new leaf": lambda t: t * cr.tensor(t, requires_grad=True),
    "a sort": lambda t: t * np.sort(t),
    "an outer method": lambda t: np.multiply.outer(t, t)[0],
    "an accumulation": np.add.accumulate,
    "a ufunc of Python": lambda t: t * np.frompyfunc(lambda x: x, 1, 1)(t),
}


def filled(t: Any) -> Any:
    array = np.zeros(2)
    array[0] = t[0]
    return array


def added(t: Any) -> Any:
    array = np.zeros(2)
    array += t
    return array


def added_at(t: Any) -> Any:
    array = np.zeros(2)
    np.add.at(array, [0, 1], t)
    return array


def copied(t: Any) -> Any:
    array = np.zeros(2)
    np.copyto(array, t)
    return array


TRANSFORMS: dict[str, Callable[..., Any]] = {
    "grad": lambda f, t: cr.grad(lambda t: f(t).sum())(t),
    "value_and_grad": lambda f, t: cr.value_and_grad(lambda t: f(t).sum())(t),
    "vjp": cr.vjp,
    "jvp": lambda f, t: cr.jvp(f, (t,), (t,)),
    "jacobian": lambda f, t: cr.jacobian(f)(t),
    "hessian": lambda f, t: cr.hessian(lambda t: f(t).sum())(t),
    "hvp": lambda f, t: cr.hvp(lambda t: f(t).sum(), t, t),
    "check_gradients": cr.check_gradients,
    "grad of grad": lambda f, t: cr.grad(lambda t: cr.grad(lambda s: (f(t) * s).sum())(t).sum())(t),
    "grad under no_grad": lambda f, t: under_no_grad(lambda: cr.grad(lambda t: f(t).sum())(t)),
}


def under_no_grad(f: Callable[[], Any]) -> Any:
    with cr.no_grad():
        return f()


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("escape", ESCAPES)
def test_no_value_leaves_a_transform(escape: str, transform: str) -> None:
    with pytest.raises((GradientError, ValueError)) as caught:
        TRANSFORMS[transform](ESCAPES[escape], np.array([0.5, 1.5]))
    # what goes wrong in array[0] = x is reported by NumPy, with our error as its cause
    error = caught.value if isinstance(caught.value, GradientError) else caught.value.__cause__
    assert isinstance(error, GradientError)
    assert "test_numpy_protocol.py" in str(error.where) and error.hint


@pytest.mark.parametrize("escape", ESCAPES)
def test_no_value_leaves_a_trace(escape: str) -> None:
    with pytest.raises((ChainruleError, ValueError)):
        cr.compile(ESCAPES[escape])(np.array([0.5, 1.5]))


def test_what_may_leave_a_transform(capsys: pytest.CaptureFixture[str]) -> None:
    w = cr.tensor([2.0, 3.0], requires_grad=True)

    def f(t: Any) -> Any:
        print(t, f"{t.sum():.1f}", repr(t))
        if t[0] > 0 and bool(t[1]):  # the branch has its own derivative
            t = t * float(t[0].detach())
        with cr.no_grad():
            scale = float(t[0])
        return (t * scale * w.numpy()).sum() + t[int(np.argmax(t))]

    gradient = cr.grad(f)(np.array([1.0, 2.0]))
    assert gradient.tolist() == [2.0, 4.0] and "3.0" in capsys.readouterr().out


def test_lists_of_tensors_become_tensors_with_their_derivatives() -> None:
    f = lambda t: (t * cr.tensor([t[1], t[0]])).sum() + (cr.tensor(t, dtype=cr.float32) * t).sum()
    assert cr.grad(f)(np.array([1.0, 2.0])).tolist() == [6.0, 6.0]
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    f(w).backward()
    assert w.grad is not None and w.grad.tolist() == [6.0, 6.0]
    fresh = cr.tensor(w, requires_grad=True)  # asked for: a leaf of its own
    assert fresh.node.owner is not None and not np.shares_memory(fresh.numpy(), w.numpy())


def test_outside_transforms_values_are_to_be_had() -> None:
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    loss = (w * w).sum()
    for value in (float(loss), loss.item(), loss.numpy(), np.asarray(loss), loss.data, np.array([loss])[0]):
        assert value == 5.0
    assert f"{loss:.1f}" == "5.0" and int(loss) == 5 and bool(loss) and w.tolist() == [1.0, 2.0]
    assert type(np.mean(cr.tensor([1.0, 3.0]))) is np.float32  # nothing is lost: NumPy on the values


def test_a_loss_on_the_target_may_be_differentiated_by_it() -> None:
    scores = np.array([0.3, -0.2])
    slope = cr.grad(lambda y: nn.binary_cross_entropy(scores, y, "sum"))(np.array([0.25, 0.75]))
    np.testing.assert_allclose(slope.numpy(), -scores)


def test_memory_of_a_tensor_is_not_written_by_numpy() -> None:
    t, array = cr.tensor([1.0, 2.0]), np.zeros(2, np.float32)
    with pytest.raises(GradientError, match="not assigned into"):
        np.add(array, array, out=t)
    with pytest.raises(GradientError, match="not assigned into"):
        np.copyto(t, array)
    array += t  # a constant: NumPy's own meaning
    assert type(array) is np.ndarray and array.tolist() == [1.0, 2.0]


CONSTANTS: dict[str, Callable[[Any], Any]] = {
    "detach": lambda t: t.detach(),
    "float of detach": lambda t: np.array([float(x.detach()) for x in t]),
    "numpy of detach": lambda t: t.detach().numpy(),
    "data of detach": lambda t: t.detach().data,
    "list of detach": lambda t: t.detach().tolist(),
    "NumPy on detach": lambda t: np.sort(t.detach())[::-1],
    "no_grad": lambda t: under_no_grad(t.numpy),
    "no_grad data": lambda t: under_no_grad(lambda: t.data),
    "no_grad result": lambda t: under_no_grad(lambda: t * 1.0),
    "written afterwards": lambda t: overwritten(t.detach().numpy()),
    "a copy": lambda t: copy.deepcopy(t.detach()),
    "a leaf of it": lambda t: cr.tensor(t.detach(), requires_grad=True).detach(),
}


def overwritten(array: np.ndarray) -> np.ndarray:
    kept = array.copy()
    array[...] = 7.0
    return kept


@pytest.mark.parametrize("when", ["before", "after", "between"])
@pytest.mark.parametrize("constant", CONSTANTS)
def test_a_constant_leaves_the_rest_of_the_derivative(constant: str, when: str) -> None:
    """t^2 c with c = t, held constant: whether t was used before c was made, or not."""
    make, at = CONSTANTS[constant], np.array([3.0, 2.0])

    def f(t: Any) -> Any:
        if when == "before":
            c = make(t)
            return (t * t * c).sum()
        if when == "after":
            squares = t * t
            return (squares * make(t)).sum()
        half = t * make(t)
        return (half * t).sum()

    np.testing.assert_allclose(cr.grad(f)(at).numpy(), 2 * at * at)
    np.testing.assert_allclose(cr.jvp(f, (at,), (np.ones(2),))[1].numpy(), (2 * at * at).sum())
    np.testing.assert_allclose(cr.vjp(f, at)[1](1.0)[0].numpy(), 2 * at * at)
    np.testing.assert_allclose(cr.jacobian(f)(at).numpy(), 2 * at * at)
    np.testing.assert_allclose(cr.hessian(f)(at).numpy(), np.diag(2 * at))
    w = cr.tensor(at, requires_grad=True)
    if constant != "written afterwards":  # outside transforms detach() shares the memory
        f(w).backward()
        assert w.grad is not None
        np.testing.assert_allclose(w.grad.numpy(), 2 * at * at)
    assert at.tolist() == [3.0, 2.0]


def test_an_argument_of_a_transformed_function_is_not_changed() -> None:
    at = np.array([3.0, 2.0])
    for change in (
        lambda t: t.assign(t.detach() * 0.0),
        lambda t: setattr(t, "requires_grad", False),
        lambda t: setattr(t, "data", np.zeros(2)),
    ):

        def f(t: Any, change: Any = change) -> Any:
            change(t)
            return (t * t).sum()

        with pytest.raises(GradientError):
            cr.grad(f)(at)
    assert at.tolist() == [3.0, 2.0]


def test_a_table_of_pandas_on_the_left_keeps_the_derivative() -> None:
    import pandas as pd

    w, y = cr.tensor([1.0, 2.0], requires_grad=True), pd.Series([3.0, 5.0], dtype=np.float32)
    for loss in (((y - w) ** 2).sum(), ((w - y) ** 2).sum(), (y * w * y).sum(), (y / (1.0 + w)).sum()):
        assert isinstance(loss, cr.Tensor) and loss.requires_grad
    ((y - w) ** 2).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [-4.0, -6.0])
    frame = pd.DataFrame(np.eye(2, dtype=np.float32))
    assert isinstance(frame * w, cr.Tensor)
