"""The tensor as users see it: making, computing, gradients, and errors that name their line."""

import copy
import gc
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, DtypeError, GradientError, ShapeError, TracingError
from chainrule.graph import topological


def leaf(*values: float) -> cr.Tensor:
    return cr.tensor(list(values), dtype=cr.float64, requires_grad=True)


# Making one


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, cr.float32),
        (2, cr.int64),
        (True, cr.bool_),
        ([1.0, 2.0], cr.float32),
        ([1, 2], cr.int64),
        ([1, 2.5], cr.float32),
        ([], cr.float32),
        (np.ones(2), cr.float64),
        (np.ones(2, np.int8), cr.int8),
        (np.float64(1), cr.float64),
        ([np.float64(1), np.float64(2)], cr.float64),
        (np.ones(2, ">f4"), cr.float32),
    ],
)
def test_dtype_of_a_new_tensor(data, dtype: np.dtype) -> None:
    assert cr.tensor(data).dtype == dtype
    assert cr.tensor(data, dtype=cr.float64).dtype == cr.float64


def test_data_are_copied() -> None:
    array = np.ones(2)
    x = cr.tensor(array)
    array[0] = 5.0
    assert x.tolist() == [1.0, 1.0]
    assert cr.tensor(x).data is not x.data


@pytest.mark.parametrize("bad", [np.ones(2, np.float16), np.ones(2, complex), "text", [{}], {"a": 1}])
def test_unknown_dtypes_are_refused(bad) -> None:
    with pytest.raises(DtypeError, match=r"not supported(.|\n)*test_tensor\.py"):
        cr.tensor(bad)


def test_ragged_lists_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"different lengths(.|\n)*test_tensor\.py"):
        cr.tensor([[1.0], [1.0, 2.0]])


def test_only_floats_require_gradients() -> None:
    with pytest.raises(DtypeError, match=r"only floats(.|\n)*test_tensor\.py"):
        cr.tensor([1, 2], requires_grad=True)
    x = cr.tensor([1, 2])
    with pytest.raises(DtypeError, match="only floats"):
        x.requires_grad = True


# What it is


def test_attributes() -> None:
    x = cr.tensor(np.arange(6.0).reshape(2, 3))
    assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((2, 3), 2, 6, 2, cr.float64)
    np.testing.assert_array_equal(x.T.numpy(), x.numpy().T)
    assert [row.tolist() for row in x] == x.tolist()
    with pytest.raises(ShapeError, match=r"no length(.|\n)*test_tensor\.py"):
        len(cr.tensor(1.0))


def test_conversion_to_python() -> None:
    x = cr.tensor(2.5)
    assert (x.item(), float(x), int(x), bool(x)) == (2.5, 2.5, 2, True)
    assert [10, 20, 30][cr.tensor(1)] == 20
    with pytest.raises(ValueError, match="ambiguous"):
        bool(cr.tensor([1.0, 2.0]))


def test_numpy_and_back() -> None:
    x = cr.tensor([1.0, 2.0])
    assert x.numpy() is x.data
    assert np.asarray(x) is not None and np.asarray(x, dtype=np.float64).dtype == np.float64
    assert np.sum(np.asarray(x)) == 3.0
    array = np.array([10.0, 20.0], np.float32)
    for result in (array + x, array * x, array - x, array / x, array**x, array @ x, array < x, array == x):
        assert isinstance(result, cr.Tensor)
    np.testing.assert_array_equal((array - x).numpy(), [9.0, 18.0])
    assert (array @ x).item() == 50.0
    assert isinstance(np.add(array, x), cr.Tensor)


def test_comparison_is_elementwise_and_identity_hashes() -> None:
    x, y = cr.tensor([1.0, 2.0]), cr.tensor([1.0, 3.0])
    assert (x == y).tolist() == [True, False] and (x != y).tolist() == [False, True]
    assert (x >= y).tolist() == [True, False] and (x < 2.0).tolist() == [True, False]
    assert ((x == y) | ~(x < 2)).tolist() == [True, True] and ((x > 0) & (x > 1)).tolist() == [False, True]
    assert len({x, y, x}) == 2 and {x: 1}[x] == 1


def test_operators() -> None:
    x, a = cr.tensor(np.array([1.0, -2.0])), np.array([1.0, -2.0])
    cases = [(x + 2, a + 2), (2 - x, 2 - a), (x * x, a * a), (1 / x, 1 / a), (x**3, a**3), (2**x, 2**a)]
    cases += [(-x, -a), (+x, a), (abs(x), abs(a)), (x @ x, a @ a), (x**2, a**2), (x**-1, 1 / a)]
    for got, expected in cases:
        np.testing.assert_allclose(got.numpy(), expected, strict=True)
    condition, mask = cr.tensor([True, False]), np.array([True, True])
    for got, expected in ((mask & condition, [True, False]), (False | condition, [True, False])):
        assert got.tolist() == expected
    assert (cr.tensor([3]) ** 2).dtype == cr.int64 and (cr.tensor([3]) ** 2.0).dtype == cr.float32
    assert (cr.tensor([3.0]) ** np.float64(2)).dtype == cr.float64


def test_methods_are_the_functions() -> None:
    x = cr.tensor(np.array([[0.5, -1.5], [2.0, 0.25]]))
    names = [
        "exp",
        "expm1",
        "sin",
        "cos",
        "tanh",
        "logistic",
        "erf",
        "relu",
        "softplus",
        "square",
        "abs",
        "sign",
    ]
    names += ["floor", "sum", "prod", "max", "min", "mean", "var", "std", "norm", "argmax", "logsumexp"]
    names += ["softmax", "log_softmax", "transpose", "squeeze", "flip"]
    for name in names:
        np.testing.assert_array_equal(getattr(x, name)().numpy(), getattr(cr, name)(x).numpy())
    assert x.reshape(4).shape == x.reshape((4,)).shape == x.reshape(np.int64(4)).shape == (4,)
    assert x.reshape(1, -1).shape == (1, 4) and x.expand_dims(0).broadcast_to((3, 2, 2)).shape == (3, 2, 2)
    assert x.clip(max=0.3).max().item() == 0.3 and x.astype(cr.int32).dtype == cr.int32
    assert x.maximum(0.0).min().item() == 0.0 and x.take([1], axis=1).shape == (2, 1)


def test_repr() -> None:
    assert repr(cr.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(cr.tensor([[1, 2], [3, 4]])) == "tensor([[1, 2],\n        [3, 4]])"
    assert repr(leaf(0.5)) == "tensor([0.5], dtype=float64, requires_grad=True)"
    assert "..." in repr(cr.tensor(np.zeros(1000)))
    assert f"{cr.tensor(0.25):.3f}" == "0.250" and f"{cr.tensor([1.0]):>14}" == "  tensor([1.])"
    assert f"{cr.tensor([1.0])}" == str(cr.tensor([1.0])) == "tensor([1.])"


# Functions take arrays, numbers and lists too


def test_functions_lift_what_is_not_a_tensor() -> None:
    assert cr.exp(0.0).item() == 1.0 and cr.sum([1.0, 2.0]).item() == 3.0
    assert cr.maximum(np.array([1.0, 5.0]), 3.0).tolist() == [3.0, 5.0]
    assert cr.where(np.array([True, False]), 1.0, 2.0).tolist() == [1.0, 2.0]
    assert cr.where([True, False], leaf(1.0, 2.0), 0.0).tolist() == [1.0, 0.0]
    assert cr.take([5.0, 6.0], cr.tensor([1])).tolist() == [6.0]
    assert cr.concat([[1.0], np.array([2.0])]).tolist() == [1.0, 2.0]
    assert cr.one_hot([0, 2], 3).tolist() == [[1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    "join", [cr.stack, lambda xs: cr.concat([x.reshape(1) for x in xs]), cr.sum, cr.mean]
)
@pytest.mark.parametrize("kind", [list, tuple])
def test_lists_and_tuples_of_tensors_keep_their_history(join, kind: type) -> None:
    a, b = cr.tensor(1.0, requires_grad=True), cr.tensor(2.0, requires_grad=True)
    join(kind([a, b * 3.0])).sum().backward()
    assert b.grad.item() == 3.0 * a.grad.item() > 0


def test_a_list_of_tensors_as_an_operand_is_refused() -> None:
    with pytest.raises(DtypeError, match=r"cr\.stack"):
        leaf(1.0, 2.0) * [cr.tensor(1.0), cr.tensor(2.0)]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x.sum(axis=2),
        lambda x: x.reshape(5),
        lambda x: x.reshape(-1, -1),
        lambda x: x + cr.tensor(np.ones(4)),
        lambda x: x @ x,
        lambda x: x @ 2.0,
        lambda x: cr.concat([x, x.T]),
        lambda x: cr.concat([]),
        lambda x: cr.stack([]),
        lambda x: x.squeeze(0),
        lambda x: x.transpose((0, 0)),
        lambda x: x.max(axis=(0, -2)),
        lambda x: x[:0].max(),
        lambda x: x.take(5),
        lambda x: x[5],
        lambda x: x[0, 0, 0],
        lambda x: x["a"],
        lambda x: x[0.5],
        lambda x: -(x > 0),
        lambda x: x & True,
        lambda x: cr.where(x, x, x),
        lambda x: x.astype("float16"),
        lambda x: x.backward(),
        lambda x: x.assign(np.ones(3)),
        lambda x: x.__setitem__(0, 1.0),
    ],
)
def test_errors_name_the_users_line(wrong) -> None:
    with pytest.raises(ChainruleError, match=r"where: .*test_tensor\.py:\d+: "):
        wrong(cr.tensor(np.ones((2, 3))))


# Gradients


def test_gradients_add_up_until_they_are_cleared() -> None:
    w = leaf(1.0, 2.0)
    (w * w).sum().backward()
    (w * 3.0).sum().backward()
    assert w.grad.tolist() == [5.0, 7.0]
    w.grad = None
    (w * 3.0).sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]


def test_backward_twice_from_the_same_tensor() -> None:
    w = leaf(3.0)
    loss = (w * w).sum()
    loss.backward()
    loss.backward()
    assert w.grad.tolist() == [12.0]


def test_backward_with_a_cotangent() -> None:
    w = leaf(1.0, 2.0)
    (w * w).backward(np.array([1.0, 10.0]))
    (w * w).backward([1.0, 10.0])
    (w * w).backward(cr.tensor([1.0, 10.0]))
    assert w.grad.tolist() == [6.0, 120.0]
    for gradient in (None, 1.0, np.ones(3), np.ones((2, 2))):
        with pytest.raises(GradientError, match=r"cotangent(.|\n)*test_tensor\.py"):
            (w * w).backward(gradient)


def test_gradient_is_an_array_of_its_own() -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    cotangent = np.ones(2)
    (a + b).backward(cotangent)
    a.grad.data[...] = 7.0
    assert b.grad.tolist() == [1.0, 1.0] and cotangent.tolist() == [1.0, 1.0]
    a.grad = None
    a.sum().backward()
    a.grad.data[0] = 5.0  # not a view that repeats one number
    assert a.grad.tolist() == [5.0, 1.0]


def test_gradient_takes_shape_and_dtype_of_the_leaf() -> None:
    w = cr.tensor([[1.0], [2.0]], requires_grad=True)
    (w * np.ones((3, 2, 4))).sum().backward()
    assert (w.grad.shape, w.grad.dtype) == ((2, 1), cr.float32)
    assert w.grad.tolist() == [[12.0], [12.0]] and not w.grad.requires_grad


def test_no_grad_and_detach() -> None:
    w = leaf(2.0)
    with cr.no_grad():
        y = w * 3.0
    assert not y.requires_grad and not w.detach().requires_grad and (w * 1.0).requires_grad
    (w * w.detach() * y).sum().backward()
    assert w.grad.tolist() == [12.0]
    assert w.detach().data is w.data


def test_no_grad_ends_with_its_block_and_with_an_error() -> None:
    with pytest.raises(ZeroDivisionError), cr.no_grad(), cr.no_grad():
        raise ZeroDivisionError
    assert (leaf(1.0) * 2.0).requires_grad


@pytest.mark.parametrize("make", [lambda: cr.tensor(2.0) * 1.0, lambda: leaf(2.0).sum().detach()])
def test_backward_without_anything_that_requires_a_gradient(make) -> None:
    with pytest.raises(GradientError, match=r"nothing that requires(.|\n)*test_tensor\.py"):
        make().backward()


def test_integers_and_comparisons_carry_no_gradient() -> None:
    w = leaf(1.0, 2.0)
    assert not (w > 1).requires_grad and not w.argmax().requires_grad and not w.astype(cr.int32).requires_grad
    (w * (w > 1)).sum().backward()
    assert w.grad.tolist() == [0.0, 1.0]


def test_requires_grad_can_be_switched() -> None:
    w, frozen = leaf(2.0), leaf(3.0)
    frozen.requires_grad = False
    (w * frozen).sum().backward()
    assert w.grad.tolist() == [3.0] and frozen.grad is None
    frozen.requires_grad = True
    (w * frozen).sum().backward()
    assert frozen.grad.tolist() == [2.0]
    with pytest.raises(GradientError, match="detach"):
        (w * 2.0).requires_grad = False


def test_assign_changes_the_buffer_in_place() -> None:
    w = leaf(1.0, 2.0)
    buffer = w.data
    w.assign(w * 10.0)
    assert w.data is buffer and w.tolist() == [10.0, 20.0] and w.requires_grad
    w.assign(w[::-1])
    assert w.tolist() == [20.0, 10.0]
    w.assign([1, 2])
    assert w.tolist() == [1.0, 2.0]
    (w * w).sum().backward()
    assert w.grad.tolist() == [2.0, 4.0]
    for wrong in (np.ones(3), cr.tensor([1.0, 2.0])):
        with pytest.raises(ShapeError, match="does not fit"):
            w.assign(wrong)


def test_backward_after_an_update_is_refused() -> None:
    w = leaf(1.0, 2.0)
    loss = (w * w).sum()
    w.assign([5.0, 6.0])
    with pytest.raises(
        GradientError, match=r"changed after(.|\n)*test_tensor\.py(.|\n)*compute the loss again"
    ):
        loss.backward()


def test_a_computed_tensor_is_not_assigned_to() -> None:
    y = leaf(1.0) * 2.0
    with pytest.raises(GradientError, match="result of a computation"):
        y.assign([5.0])


def test_leaf_that_is_gone_gets_no_gradient() -> None:
    w = leaf(1.0)
    y = (w * leaf(2.0)).sum()
    y.backward()
    assert w.grad.tolist() == [2.0]


def test_history_is_freed_with_the_last_tensor() -> None:
    w = leaf(1.0)
    y = w
    for _ in range(1000):
        y = y * 1.01
    node = weakref.ref(y.node.inputs[0])
    del y
    gc.collect()
    assert node() is None


def test_training_loop_keeps_no_history() -> None:
    w = leaf(1.0, 2.0)
    for _ in range(5):
        w.grad = None
        loss = ((w - 3.0) ** 2).sum()
        loss.backward()
        with cr.no_grad():
            w.assign(w - 0.1 * w.grad)
    assert len(topological([w.node])) == len(topological([w.grad.node])) == 1
    np.testing.assert_allclose(w.numpy(), 3 - 0.8**5 * np.array([2.0, 1.0]))


def test_values_that_are_not_finite_pass_without_a_warning() -> None:
    x = leaf(0.0, -1.0)
    y = cr.log(x) + 1.0 / x
    y.backward(np.ones(2))
    np.testing.assert_array_equal(y.numpy(), [np.nan, np.nan])
    assert cr.log(x).numpy()[0] == -np.inf


def test_error_classes_are_those_of_python_too() -> None:
    with pytest.raises(ValueError):
        cr.tensor([1.0]) + np.ones((2, 2, 3)) @ np.ones(3) + cr.tensor(np.ones(5))
    with pytest.raises(IndexError):
        cr.tensor([1.0])[3]
    with pytest.raises(TypeError):
        cr.tensor([1.0]) + None
    assert issubclass(TracingError, TypeError) and issubclass(GradientError, RuntimeError)


def test_deep_copy_is_independent() -> None:
    w = leaf(1.0, 2.0)
    w.sum().backward()
    model = {"w": w, "same": w, "y": (w * 2.0).detach()}
    twins = copy.deepcopy(model)
    twin = twins["w"]
    assert twins["same"] is twin and not twins["y"].requires_grad and twins["y"].tolist() == [2.0, 4.0]
    with pytest.raises(GradientError, match=r"(?s)a computed tensor cannot be copied.*detach"):
        copy.deepcopy(w * 2.0)  # a derivative through the copy would end there without a word
    assert twin.grad.tolist() == [1.0, 1.0] and twin.grad is not w.grad
    (twin * 2.0).sum().backward()
    assert twin.grad.tolist() == [3.0, 3.0] and w.grad.tolist() == [1.0, 1.0]
    twin.assign([9.0, 9.0])
    assert w.tolist() == [1.0, 2.0]


def test_other_data_are_the_value_from_then_on() -> None:
    """They are copied into the tensor's own memory, so what was made of the former ones is outdated."""
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    before = (w * w).sum()
    given = np.array([3.0, 4.0], np.float32)
    w.data = given
    np.testing.assert_array_equal((w * 2).numpy(), [6.0, 8.0])
    (w * w).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [6.0, 8.0])
    with pytest.raises(GradientError, match="changed"):
        before.backward()
    given[0] = 10.0
    np.testing.assert_array_equal(w.numpy(), [3.0, 4.0])
    with pytest.raises(ShapeError, match="does not fit"):
        w.data = np.ones((1, 2), np.float32)
