"""What every primitive's record promises, checked on the cases that the record itself draws."""

import importlib
import pkgutil
import zlib

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops
from chainrule.errors import ChainruleError, DtypeError, GradientError
from chainrule.graph import emit
from chainrule.interpret import evaluate
from chainrule.ops import PRIMITIVES, dtypes
from chainrule.ops.record import Case, Primitive, is_float

FLOATS = (cr.float32, cr.float64)
INTEGERS = (cr.int8, cr.int32, cr.int64, cr.uint8, cr.uint32)
MIXING = [p for p in PRIMITIVES.values() if p.promoted[1] - p.promoted[0] > 1]
REFUSES_BOOLEANS = {"subtract", "negative", "power", "sign"}
MAKES_FLOATS = {
    *("divide", "exp", "expm1", "log", "log1p", "sqrt", "root", "sin", "cos"),
    *("logistic", "tanh", "softplus", "erf", "logsumexp"),
}
MAKES_BOOLEANS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}


def cases_of(primitive: Primitive) -> list[Case]:
    return list(primitive.domain(np.random.default_rng(zlib.crc32(primitive.name.encode()))))


def with_dtype(case: Case, dtype: np.dtype) -> Case:
    """The case with its floats in another dtype; as small non-negative numbers if that is an integer's."""

    def convert(x):
        if not is_float(x.dtype):
            return x
        return (x if is_float(dtype) else np.floor(np.abs(x) * 3)).astype(dtype)

    return case._replace(inputs=tuple(convert(np.asarray(x)) for x in case.inputs))


def float_positions(case: Case) -> list[int]:
    return [i for i, x in enumerate(case.inputs) if is_float(np.asarray(x).dtype)]


def function_of_floats(primitive: Primitive, case: Case):
    """The primitive as a function of its float operands, and their values."""
    where = float_positions(case)

    def function(*values):
        operands = [cr.tensor(x) for x in case.inputs]
        for i, value in zip(where, values, strict=True):
            operands[i] = value
        return primitive(*operands, **case.params)

    return function, [np.asarray(case.inputs[i]) for i in where]


TAKES_FLOATS = [p for p in PRIMITIVES.values() if any(float_positions(case) for case in cases_of(p))]
takes_floats = pytest.mark.parametrize("primitive", TAKES_FLOATS, ids=lambda p: p.name)
differentiable = pytest.mark.parametrize(
    "primitive", [p for p in TAKES_FLOATS if callable(p.derivative)], ids=lambda p: p.name
)
every_record = pytest.mark.parametrize("primitive", PRIMITIVES.values(), ids=lambda p: p.name)


def test_table_holds_every_primitive_once() -> None:
    modules = [importlib.import_module(f"chainrule.ops.{m.name}") for m in pkgutil.iter_modules(ops.__path__)]
    found = {id(v): v for m in modules for v in vars(m).values() if isinstance(v, Primitive)}.values()
    assert sorted(p.name for p in found) == sorted(PRIMITIVES)
    assert all(PRIMITIVES[p.name] is p for p in found)


def test_these_make_floats_of_integers() -> None:
    assert {name for name, primitive in PRIMITIVES.items() if primitive.floating} >= MAKES_FLOATS


@every_record
def test_record_has_cases(primitive: Primitive) -> None:
    assert bool(cases_of(primitive)) == (primitive.name != "leaf")


@every_record
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, cr.bool_], ids=str)
def test_value_has_the_shape_and_dtype_of_the_rule(primitive: Primitive, dtype: np.dtype) -> None:
    for case in cases_of(primitive):
        given = with_dtype(case, dtype)
        if dtype == cr.bool_ and primitive.name in REFUSES_BOOLEANS:
            with pytest.raises(DtypeError):
                emit(primitive, given.inputs, given.params)
            continue
        node = emit(primitive, given.inputs, given.params)
        with np.errstate(all="ignore"):
            value = np.asarray(primitive.value(*evaluate(node.inputs), **given.params))
        assert (value.shape, value.dtype) == (node.shape, node.dtype)
        assert node.dtype == expected_dtype(primitive, case, dtype)


def expected_dtype(primitive: Primitive, case: Case, dtype: np.dtype) -> np.dtype:
    """The dtype of the result where the float operands of a case have this dtype."""
    name, integer = primitive.name, not is_float(dtype)
    if name in MAKES_BOOLEANS or name.startswith("logical"):
        return cr.bool_
    if name == "cast":
        return case.params["dtype"]
    if name == "argmax":
        return cr.int64
    if name == "random_bits":
        return cr.uint32
    if name == "constant":
        return cr.float64
    if primitive.floating and integer:
        return cr.float32
    if name in ("sum", "prod") and integer:
        return cr.uint64 if dtype.kind == "u" else cr.int64
    return dtype


@takes_floats
def test_derivative_agrees_with_finite_differences(primitive: Primitive) -> None:
    for case in cases_of(primitive):
        function, points = function_of_floats(primitive, case)
        total = lambda *x, f=function: f(*x).astype(cr.float64).sum()
        if not is_float(function(*map(cr.tensor, points)).dtype):
            with pytest.raises(GradientError, match="has no derivative"):
                cr.grad(total, tuple(range(len(points))))(*points)
        elif primitive.name == "stop_gradient":
            gradients = cr.grad(total, tuple(range(len(points))))(*points)
            assert not any(gradient.numpy().any() for gradient in gradients)
        else:
            cr.check_gradients(function, *points)


@differentiable
def test_second_derivative_agrees_with_finite_differences(primitive: Primitive) -> None:
    rng = np.random.default_rng(2)
    for case in cases_of(primitive):
        function, points = function_of_floats(primitive, case)
        if not is_float(function(*map(cr.tensor, points)).dtype):
            continue
        directions = [rng.normal(size=x.shape) for x in points]

        def slope(t, function=function, points=points, directions=directions):
            """The derivative along one direction, at points on a line along another."""
            out, pullback = cr.vjp(function, *(x + t * d for x, d in zip(points, directions, strict=True)))
            gradients = pullback(np.cos(np.arange(out.size)).reshape(out.shape))
            return sum((g * np.sin(1.0 + d)).sum() for g, d in zip(gradients, directions, strict=True))

        cr.check_gradients(slope, 0.0)


@takes_floats
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_gradient_has_the_shape_and_dtype_of_its_input(primitive: Primitive, dtype: np.dtype) -> None:
    for case in cases_of(primitive):
        function, points = function_of_floats(primitive, with_dtype(case, dtype))
        out, pullback = cr.vjp(function, *points)
        if not is_float(out.dtype):
            continue
        gradients = pullback(np.ones(out.shape, out.dtype))
        assert [(g.shape, g.dtype) for g in gradients] == [(x.shape, dtype) for x in points]


@every_record
def test_bad_input_names_the_line(primitive: Primitive) -> None:
    for case in primitive.bad:
        with pytest.raises(ChainruleError, match=r"test_records\.py:\d+: primitive\(\*operands"):
            operands = [cr.tensor(x) for x in case.inputs]
            primitive(*operands, **case.params)


# Promotion


def expected_promotion(a: np.dtype, b: np.dtype) -> np.dtype | None:
    """The array API standard's table; beyond it a float's dtype wins over an integer's, that over bool."""
    if is_float(a) == is_float(b):
        common = np.result_type(a, b)
        return None if is_float(common) and not is_float(a) else common
    return a if is_float(a) else b


@pytest.mark.parametrize("a", dtypes.DTYPES, ids=str)
@pytest.mark.parametrize("b", dtypes.DTYPES, ids=str)
def test_mixed_dtypes(a: np.dtype, b: np.dtype) -> None:
    x, y = cr.tensor(np.ones(2, a)), np.ones(2, b)
    common = expected_promotion(a, b)
    if common is None:
        with pytest.raises(DtypeError, match=r"test_records\.py"):
            x + y
        return
    assert (x + y).dtype == (y + x).dtype == cr.maximum(x, y).dtype == common
    assert cr.where(cr.tensor(True), x, y).dtype == cr.concat([x, cr.tensor(y)]).dtype == common
    assert (x / y).dtype == (common if is_float(common) else cr.float32)
    assert (x < y).dtype == cr.bool_


@pytest.mark.parametrize("primitive", MIXING, ids=lambda p: p.name)
def test_operands_are_cast_to_the_common_dtype(primitive: Primitive) -> None:
    first, last = primitive.promoted
    for case in cases_of(primitive):
        inputs = [x.astype(cr.float32) if i == first else x for i, x in enumerate(case.inputs)]
        node = emit(primitive, inputs, case.params)
        assert all(x.dtype == cr.float64 for x in node.inputs[first:last])


@pytest.mark.parametrize("dtype", dtypes.DTYPES, ids=str)
def test_python_numbers_do_not_widen_arrays(dtype: np.dtype) -> None:
    x = cr.tensor(np.ones(2, dtype))
    assert (x + True).dtype == (True + x).dtype == dtype
    assert (x + 1).dtype == (1 + x).dtype == (x * [1, 2]).dtype == (cr.int64 if dtype == cr.bool_ else dtype)
    assert (
        (x + 1.5).dtype
        == (1.5 + x).dtype
        == (x * [0.5, 1]).dtype
        == (dtype if is_float(dtype) else cr.float32)
    )


def test_numpy_scalars_keep_their_dtype() -> None:
    x = cr.tensor([1.0, 2.0])
    assert (x * np.float64(2)).dtype == (np.float64(2) * x).dtype == cr.float64
    assert (x * np.float32(2)).dtype == (x * np.int64(2)).dtype == cr.float32


def test_list_of_floats_beside_integers_is_not_truncated() -> None:
    np.testing.assert_array_equal((cr.tensor([1, 2]) * [0.5, 0.25]).numpy(), [0.5, 0.5])


@pytest.mark.parametrize(
    "other", [None, "3", 1j, {}, object(), np.array(["a"]), np.float16(1), 1j * np.ones(2)]
)
def test_other_things_are_refused(other) -> None:
    with pytest.raises(DtypeError, match=r"test_records\.py"):
        cr.tensor([1.0, 2.0]) + other


def test_numbers_that_do_not_fit_an_integer_dtype_are_refused() -> None:
    for number in (300, -1):
        with pytest.raises(DtypeError, match="does not fit"):
            cr.tensor(np.ones(2, np.uint8)) + number
    with pytest.raises(DtypeError, match="does not fit"):
        cr.tensor([1.0]) * 10**400


def test_a_float_that_is_too_large_is_infinite() -> None:
    assert (cr.tensor([1.0]) * 1e300).item() == np.inf
