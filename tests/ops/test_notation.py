"""How records are written: every formula is evaluated as it is written and compared with the record's value."""

import math
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.graph import emit, new_leaf
from chainrule.inspect.recording import record_call, record_tensor
from chainrule.inspect.steps import adjoint_symbol, steps_of
from chainrule.interpret import evaluate
from chainrule.ops import PRIMITIVES
from chainrule.ops.notation import (
    Bracket,
    Call,
    Chain,
    Expression,
    Style,
    Symbol,
    Total,
    Transposed,
    atoms_in,
    of_atom,
    product,
    symbol,
    transposed,
    write,
)
from chainrule.ops.record import Elementwise, Primitive, Reduction, is_float

FUNCTIONS = {
    "exp({0})": np.exp,
    "expm1({0})": np.expm1,
    "log({0})": np.log,
    "log1p({0})": np.log1p,
    "|{0}|": np.abs,
    "sign({0})": np.sign,
    "⌊{0}⌋": np.floor,
    "sin({0})": np.sin,
    "cos({0})": np.cos,
    "σ({0})": lambda x: 1 / (1 + np.exp(-x)),
    "tanh({0})": np.tanh,
    "softplus({0})": lambda x: np.log1p(np.exp(x)),
    "erf({0})": np.vectorize(math.erf),
    "relu({0})": lambda x: np.maximum(x, 0),
    "max({0}, {1})": np.maximum,
    "min({0}, {1})": np.minimum,
    "max({0})": np.max,
    "min({0})": np.min,
    "prod({0})": np.prod,
    "logsumexp({0})": lambda x: np.log(np.exp(x).sum()),
    "clip({0}, {1}, {2})": np.clip,
    "({0})^({1})": np.power,
    "[{0} = {1}]": np.equal,
    "[{0} ≠ {1}]": np.not_equal,
    "[{0} < {1}]": np.less,
    "[{0} ≤ {1}]": np.less_equal,
    "[{0} > {1}]": np.greater,
    "[{0} ≥ {1}]": np.greater_equal,
    "[{0} or {1}]": np.logical_or,
    "int({0})": np.trunc,
}
ELEMENTWISE = [p for p in PRIMITIVES.values() if isinstance(p.lowering, Elementwise) and p.name != "cast"]
WHOLE = [p for p in PRIMITIVES.values() if isinstance(p.lowering, Reduction) or p.name == "logsumexp"]
every_record = pytest.mark.parametrize("primitive", PRIMITIVES.values(), ids=lambda p: p.name)


def worth(x: Expression, known: dict[str, np.ndarray]) -> np.ndarray:
    """The value of an expression, read as a person would."""
    whole = np.zeros(())
    for term in x.terms:
        part = np.asarray(term.coefficient)
        for atom, power in term.factors:
            part = part * worth_of_atom(atom, known) ** float(power)
        whole = whole + part
    return whole


def worth_of_atom(atom, known: dict[str, np.ndarray]) -> np.ndarray:
    match atom:
        case Symbol():
            return np.asarray(known[atom.text], float)
        case Bracket():
            return worth(atom.part, known)
        case Call():
            arguments = [worth(x, known) for x in atom.arguments]
            return np.asarray(FUNCTIONS[atom.text](*arguments), float)
        case Total():
            return worth(atom.part, known).sum()
        case Transposed():
            return np.swapaxes(np.atleast_2d(worth(atom.part, known)), -1, -2)
        case Chain():
            result = worth(atom.parts[0], known)
            for part in atom.parts[1:]:
                result = result @ worth(part, known)
            return result


def cases_of(primitive: Primitive):
    return list(primitive.domain(np.random.default_rng(zlib.crc32(primitive.name.encode()))))


def formula_of(primitive: Primitive, case) -> tuple[Expression, dict[str, np.ndarray], object]:
    """How one application is written, with its operands called a, b, c ...; their values; the node."""
    node = emit(primitive, case.inputs, case.params)
    names = "abcdefgh"[: len(node.inputs)]
    operands = [symbol(name, shape=x.shape) for name, x in zip(names, node.inputs, strict=True)]
    known = dict(zip(names, evaluate(node.inputs), strict=True))
    return primitive.write(node, operands), known, node


@every_record
def test_every_record_says_how_it_is_written(primitive: Primitive) -> None:
    assert primitive.written is not None
    for case in cases_of(primitive):
        formula, known, node = formula_of(primitive, case)
        floats = {name for name, x in zip(known, node.inputs, strict=True) if is_float(x.dtype)}
        text, latex = write(formula), write(formula, Style(latex=True))
        shown = {atom.text for atom in atoms_in(formula) if isinstance(atom, Symbol)}
        assert floats <= shown, text
        assert latex.count("{") == latex.count("}")
        assert latex.count(r"\left") == latex.count(r"\right")
        assert text
        assert latex


@pytest.mark.parametrize("primitive", ELEMENTWISE, ids=lambda p: p.name)
def test_formula_of_an_elementwise_record_is_worth_its_value(primitive: Primitive) -> None:
    for case in cases_of(primitive):
        formula, known, node = formula_of(primitive, case)
        np.testing.assert_allclose(worth(formula, known), evaluate([node])[0], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("primitive", WHOLE, ids=lambda p: p.name)
def test_formula_of_a_reduction_of_everything_is_worth_its_value(primitive: Primitive) -> None:
    for case in cases_of(primitive):
        if len(case.params["axis"]) == np.ndim(case.inputs[0]):
            formula, known, node = formula_of(primitive, case)
            np.testing.assert_allclose(worth(formula, known), evaluate([node])[0].reshape(()), rtol=1e-12)


def test_formula_of_a_matrix_product_is_worth_its_value() -> None:
    for case in cases_of(PRIMITIVES["matmul"]):
        formula, known, node = formula_of(PRIMITIVES["matmul"], case)
        np.testing.assert_allclose(worth(formula, known), evaluate([node])[0], rtol=1e-12)


@pytest.mark.parametrize(
    "primitive",
    [p for p in ELEMENTWISE if callable(p.derivative) and p.name not in ("where", "clip", "identity")],
    ids=lambda p: p.name,
)
def test_partials_as_written_are_the_derivative(primitive: Primitive) -> None:
    rng = np.random.default_rng(3)
    for case in cases_of(primitive):
        shapes = {np.shape(x) for x in case.inputs}
        if len(shapes) > 1:  # broadcasting puts a sum around the partial
            continue
        names = "abc"[: len(case.inputs)]

        def function(*operands, params=case.params):
            return primitive(*operands, **params)

        recording = record_call(function, case.inputs)
        told = steps_of(recording)
        y = recording.outputs[0]
        known = {told.steps[n].symbol.text: recording.values[n] for n in told.steps}
        assert len(told.edges) == len(names)
        for edges in told.edges.values():
            (edge,) = edges
            assert edge.partial is not None, write(edge.message)
            np.testing.assert_allclose(
                np.broadcast_to(worth(edge.partial, known), y.shape),
                edge.partial_value,
                rtol=1e-6,
                atol=1e-12,
            )
            gradient = rng.normal(size=y.shape)
            np.testing.assert_allclose(edge.send(gradient), gradient * edge.partial_value, rtol=1e-12)


@every_record
def test_partials_are_given_only_where_there_is_a_derivative(primitive: Primitive) -> None:
    if primitive.partials is not None:
        assert callable(primitive.derivative)
        assert isinstance(primitive.lowering, Elementwise | Reduction)
        assert all(is_float(np.asarray(x).dtype) for case in cases_of(primitive) for x in case.inputs)


@given(st.integers(0, 10**9), st.integers(2, 12))
@settings(max_examples=60, deadline=None)
def test_formulas_and_partials_of_random_graphs_are_worth_their_values(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    leaves = [cr.tensor(rng.uniform(0.5, 1.5, size=s), requires_grad=True) for s in ((), (3,), (3,))]
    known = list(leaves)
    unary = (cr.tanh, cr.logistic, cr.exp, lambda x: -x, lambda x: x**2, lambda x: 2.0 - x, cr.sqrt, cr.relu)
    binary = (cr.Tensor.__add__, cr.Tensor.__sub__, cr.Tensor.__mul__, cr.Tensor.__truediv__, cr.maximum)
    for _ in range(size):
        a, b = (known[i] for i in rng.integers(0, len(known), 2))
        with np.errstate(all="ignore"):
            new = (
                unary[rng.integers(len(unary))](a)
                if rng.random() < 0.5
                else binary[rng.integers(len(binary))](a, b)
            )
        if (
            np.isfinite(new.numpy()).all()
            and np.abs(new.numpy()).min() > 1e-3
            and np.abs(new.numpy()).max() < 1e3
        ):
            known.append(new)
    total = (known[-1] * known[-1]).sum() + known[-1].sum()
    recording = record_tensor(total, {"p": leaves[0], "q": leaves[1], "r": leaves[2]}, {})
    told = steps_of(recording)
    values = {step.symbol.text: step.value for step in told.steps.values()}
    for step in told.steps.values():
        if step.formula is not None:
            np.testing.assert_allclose(
                np.broadcast_to(worth(step.formula, values), step.value.shape),
                step.value,
                rtol=1e-9,
                atol=1e-12,
            )
    target = told.steps[total.node].symbol
    for edge in (edge for edges in told.edges.values() for edge in edges):
        if edge.lower.shape == edge.upper.shape and edge.partial is not None:
            expected = np.broadcast_to(edge.partial_value, edge.lower.shape)
            got = np.broadcast_to(worth(edge.partial, values), edge.lower.shape)
            np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)
        if edge.upper.shape == ():
            adjoint = adjoint_symbol(target, told.steps[edge.upper].symbol).text
            with_adjoint = {**values, adjoint: recording.gradients[edge.upper]}
            got = np.broadcast_to(worth(edge.message, with_adjoint), edge.lower.shape)
            np.testing.assert_allclose(got, edge.message_value, rtol=1e-6, atol=1e-9)


def test_sums_are_put_together() -> None:
    r, w, x = symbol("r"), symbol("w", shape=(3,)), symbol("x", shape=(3,))
    assert write(r * x + x * r) == "2r x"
    assert write(r - r) == "0"
    assert write(r * r / r) == "r"
    assert write((r + 1) * (r + 1)) == "(r + 1)²"
    assert write(3 * (r - 2)) == "3 (r − 2)"
    assert write(-(r - 2)) == "−r + 2"
    assert write(w * x) == "w ⊙ x"
    assert write(w * x, Style(index="j", of=3)) == "w_j x_j"
    assert write(2 / (r * (1 + r))) == "2 / (r (1 + r))"
    assert write(-r / 3) == "−0.333333 r"
    assert write(r**0.5) == "√(r)"
    assert write((r**2) ** 0.5) == "√(r²)"
    assert write((r + 1) ** 0.5, Style(latex=True)) == r"\sqrt{r + 1}"
    assert write((r**0.5) ** 2 / r) == "1"
    assert write(r**0.3) == "r^0.3"


def test_products_of_matrices_keep_their_order() -> None:
    a, b = symbol("A", shape=(2, 3)), symbol("B", shape=(3, 2))
    assert write(transposed(product(a, b, (2, 2)))) == "BᵀAᵀ"
    assert write(transposed(transposed(a))) == "A"
    assert write(product(2 * a, -b, (2, 2))) == "−2 AB"
    assert write(product(a + a * a, b, (2, 2)), Style(latex=True)) == r"\left(A + A^{2}\right) B"


def test_a_number_of_float32_has_the_digits_that_it_was_given() -> None:
    node = emit(PRIMITIVES["multiply"], [new_leaf((), cr.float32), np.float32(0.1)], {})
    formula = PRIMITIVES["multiply"].write(
        node, [of_atom(Symbol("x", "x")), node.inputs[1].op.write(node.inputs[1], [])]
    )
    assert write(formula) == "0.1 x"
