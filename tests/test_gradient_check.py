"""The checker accepts what is right and rejects what is wrong by 0.05%."""

from dataclasses import replace

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import GradientError
from chainrule.ops import PRIMITIVES, elementwise
from chainrule.ops.record import Primitive, is_float

DIFFERENTIABLE = [p for p in PRIMITIVES.values() if callable(p.derivative)]


def off_by(factor: float, primitive: Primitive) -> Primitive:
    """The same record with a derivative that is wrong by a factor."""

    def derivative(g, y, *inputs, **params):
        parts = primitive.derivative(g, y, *inputs, **params)
        return tuple(None if part is None else part * factor for part in parts)

    return replace(primitive, derivative=derivative)


@pytest.mark.parametrize("primitive", DIFFERENTIABLE, ids=lambda p: p.name)
def test_rejects_a_derivative_that_is_wrong_by_half_a_per_mille(primitive: Primitive) -> None:
    checked = 0
    for case in primitive.domain(np.random.default_rng(0)):
        where = [i for i, x in enumerate(case.inputs) if is_float(np.asarray(x).dtype)]
        points = [case.inputs[i] for i in where]

        def run(record, *values, case=case, where=where):
            operands = [cr.tensor(x) for x in case.inputs]
            for i, value in zip(where, values, strict=True):
                operands[i] = value
            return record(*operands, **case.params)

        out = run(primitive, *map(cr.tensor, points))
        if (
            out.size == 0
            or not any(x.size for x in points)
            or not is_float(out.dtype)
            or not np.any(out.numpy())
        ):
            continue
        cr.check_gradients(lambda *x, run=run: run(primitive, *x), *points)
        for factor in (1.0005, 0.9995):
            with pytest.raises(GradientError, match="disagrees"):
                cr.check_gradients(lambda *x, run=run, f=factor: run(off_by(f, primitive), *x), *points)
        checked += 1
    assert checked


def test_rejects_one_wrong_record_inside_a_network() -> None:
    rng = np.random.default_rng(1)
    x, p = rng.normal(size=(5, 3)), {"w": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}
    network = lambda p, record: (record(x @ p["w"] + p["b"]) ** 2).mean()
    for record in (elementwise.tanh, elementwise.logistic, elementwise.softplus):
        cr.check_gradients(lambda p, r=record: network(p, r), p)
        with pytest.raises(GradientError):
            cr.check_gradients(lambda p, r=record: network(p, off_by(1.0005, r)), p)


def test_rejects_a_forgotten_term() -> None:
    def with_a_constant(x):
        return x * x.detach() + cr.sin(x)

    with pytest.raises(GradientError, match="disagrees"):
        cr.check_gradients(with_a_constant, np.ones(3))


def test_report_names_the_worst_entry() -> None:
    wrong = replace(elementwise.exp, derivative=lambda g, y, x: (g * y * np.array([1.0, 1.001, 1.1]),))
    with pytest.raises(GradientError) as caught:
        cr.check_gradients(lambda p, k: (wrong(p["w"]) * k).sum(), {"w": np.zeros(3), "b": 1.0}, 2.0)
    text = str(caught.value)
    assert "argument [0]['w'][2]" in text and "test_gradient_check.py" in text
    assert abs(float(caught.value.expected.split(",")[0])) == pytest.approx(2 * 1.0, rel=0.51)
    assert "relative error 0.0909" in text


def test_accepts_trees_labels_and_float32() -> None:
    def loss(p, labels, scale):
        scores = cr.log_softmax(p["w"] @ p["x"])
        assert isinstance(labels, np.ndarray) and scale == 3 and p["w"].dtype == cr.float64
        return {"loss": -scores[labels].sum() * scale, "norms": [cr.norm(p["w"]), cr.norm(p["x"])], "n": 3}

    rng = np.random.default_rng(2)
    p = {"w": rng.normal(size=(4, 3)).astype(np.float32), "x": cr.tensor([0.3, -0.2, 0.9])}
    cr.check_gradients(loss, p, np.array([1, 3]), 3)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_accepts_arguments_of_many_sizes(scale: float) -> None:
    x = np.array([0.3, 1.7, 2.9]) * scale
    cr.check_gradients(lambda x: cr.log(x) + x**3 / scale**3 + cr.sqrt(x), x)
    cr.check_gradients(lambda x: (x - 1.0) ** 2, np.array([1.0, 0.0]))


def test_accepts_a_gradient_that_is_small_beside_its_neighbours() -> None:
    cr.check_gradients(lambda x: 1e8 * x[0] + 1e-8 * x[1] ** 2, np.array([1.0, 3.0]))


def test_computing_in_float32_is_checked_as_far_as_that_goes() -> None:
    f = lambda x: cr.sin(x.astype(cr.float32))
    cr.check_gradients(f, np.array([0.5, 1.0]))
    wrong = off_by(1.005, elementwise.sin)
    with pytest.raises(GradientError):
        cr.check_gradients(lambda x: wrong(x.astype(cr.float32)), np.array([0.5, 1.0]))


def test_kinks_and_values_that_are_not_finite_are_rejected() -> None:
    for f, x in ((cr.relu, 0.0), (cr.log, 0.0), (cr.sqrt, -1.0)):
        with pytest.raises(GradientError, match="kink"):
            cr.check_gradients(f, x)


@pytest.mark.parametrize("f", [lambda x: x.argmax(), lambda x: 1, lambda x: x > 0])
def test_nothing_to_check_is_an_error(f) -> None:
    with pytest.raises(GradientError, match=r"no gradient to check(.|\n)*test_gradient_check\.py"):
        cr.check_gradients(f, np.ones(2))
    with pytest.raises(GradientError, match="no gradient to check"):
        cr.check_gradients(lambda n: cr.tensor(1.0) * n, 3)


def test_arguments_stay_as_they_are() -> None:
    x = np.array([0.5, 1.0])
    cr.check_gradients(cr.sin, x)
    assert x.tolist() == [0.5, 1.0]
