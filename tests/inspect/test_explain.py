"""Derivations: the lectures' own, line for line, and what holds of every derivation."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule import nn
from chainrule.errors import GradientError, SettingError

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden.json").read_text())
RIDGE = GOLDEN["E_least_squares_and_ridge_graph"]
SENSITIVITY = GOLDEN["E_chain_rule_path_sum_and_sensitivity"]


def ridge_tensors() -> dict[str, cr.Tensor]:
    """Lecture E's example, every quantity under its name."""
    given = {k: cr.tensor(v, dtype=cr.float64) for k, v in RIDGE["inputs"].items() if k != "eta"}
    w, b, x, y, lam = (given[k] for k in ("w", "b", "x", "y", "lam"))
    w.requires_grad = b.requires_grad = True
    yhat = (w * x).sum() + b
    r = y - yhat
    loss = r**2
    R = lam * (w @ w)
    return {
        "w": w,
        "b": b,
        "x": x,
        "y": y,
        "lam": lam,
        "yhat": yhat,
        "r": r,
        "l": loss,
        "R": R,
        "J": loss + R,
    }


def section(text: str, title: str) -> list[str]:
    block = next(part for part in text.split("\n\n") if part.startswith(title))
    return [line.strip() for line in block.splitlines()[1:]]


def test_least_squares_is_derived_as_in_lecture_e() -> None:
    given = RIDGE["inputs"]
    w, b = (cr.tensor(given[k], dtype=cr.float64, requires_grad=True) for k in "wb")
    x, y = (cr.tensor(given[k], dtype=cr.float64) for k in "xy")
    yhat = (w * x).sum() + b
    r = y - yhat
    l = r**2  # noqa: E741
    text = str(cr.explain(l))
    forward = section(text, "Forward")
    assert [line for line in forward if line[0] in "ŷrℓ"] == [
        "ŷ = Σ_j w_j x_j + b = −2.25",
        "r = y − ŷ = 3.75",
        "ℓ = r² = 14.0625",
    ]
    assert section(text, "Partials") == [
        "∂ŷ/∂w_j = x_j = [1, 2, −0.5]",
        "∂ŷ/∂b = 1",
        "∂r/∂ŷ = −1",
        "∂ℓ/∂r = 2r = 7.5",
    ]
    assert section(text, "Backward") == [
        "∂ℓ/∂r = 2r = 7.5",
        "∂ℓ/∂ŷ = ∂ℓ/∂r · ∂r/∂ŷ = (2r)(−1) = −2r = −7.5",
        "∂ℓ/∂b = ∂ℓ/∂ŷ · ∂ŷ/∂b = (−2r)(1) = −2r = −7.5",
        "∂ℓ/∂w_j = ∂ℓ/∂ŷ · ∂ŷ/∂w_j = (−2r) x_j = −2r x_j = [−7.5, −15, 3.75]",
    ]


def test_ridge_is_derived_as_in_lecture_e() -> None:
    t = ridge_tensors()
    text = str(cr.explain(t["J"], names=t, paths="w"))
    assert section(text, "Forward")[-3:] == ["λ = 0.1", "R = λ wᵀw = 0.525", "J = ℓ + R = 14.5875"]
    assert section(text, "Backward")[-1] == (
        "∂J/∂w_j = ∂J/∂ŷ · ∂ŷ/∂w_j + ∂J/∂R · ∂R/∂w_j = (−2r) x_j + (1)(2λ w_j) = −2r x_j + 2λ w_j"
        " = [−7.4, −15.2, 4.15]"
    )
    assert section(text, "The 2 paths from w") == [
        "w → ŷ → r → ℓ → J = (1)(2r)(−1)(x_j) = −2r x_j = [−7.5, −15, 3.75]",
        "w → R → J = (1)(2λ w_j) = 2λ w_j = [0.1, −0.2, 0.4]",
        "sum = [−7.4, −15.2, 4.15]",
    ]


def test_values_of_the_ridge_graph_are_the_golden_ones() -> None:
    t = ridge_tensors()
    told = cr.explain(t["J"], names=t)
    expected = RIDGE["expected"]
    for ours, golden in (("yhat", "yhat"), ("r", "r"), ("l", "l"), ("R", "R"), ("J", "J")):
        np.testing.assert_allclose(told[ours].value, expected[golden], rtol=1e-11)
    for ours, golden in (
        ("l", "dJ_dl"),
        ("R", "dJ_dR"),
        ("r", "dl_dr"),
        ("yhat", "dl_dyhat"),
        ("b", "dJ_db"),
        ("w", "dJ_dw"),
    ):
        np.testing.assert_allclose(told[ours].gradient, expected[golden], rtol=1e-11)
    np.testing.assert_allclose(t["w"].grad is None, True)


def test_latex_of_the_last_line() -> None:
    t = ridge_tensors()
    last = cr.explain(t["J"], names=t).markdown().splitlines()[-3]
    assert last.startswith(r"\frac{\partial J}{\partial w_j} &= \frac{\partial J}{\partial \hat{y}} \,")
    assert r"= -2 r \, x_j + 2 \, \lambda \, w_j = [-7.4, -15.2, 4.15]" in last


def sensitivity_graph() -> dict[str, cr.Tensor]:
    inputs = SENSITIVITY["inputs"]
    M, c, a, N = (cr.tensor(inputs[k], dtype=cr.float64) for k in ("M", "c", "a", "N"))
    a.requires_grad = True
    b = M @ a + c
    return {"M": M, "c": c, "a": a, "N": N, "b": b, "out": N @ cr.tanh(b)}


def test_products_along_every_path_are_the_golden_ones() -> None:
    t = sensitivity_graph()
    for i, rows in enumerate(SENSITIVITY["expected"]["path_products_i_j_k"]):
        for j, products in enumerate(rows):
            told = cr.explain(t["out"][i], names=t, paths=f"a[{j}]").paths[0]
            # a path whose product is 0 is none: M[2, 0] is 0
            kept = [p for p in products if p != 0]
            assert told.count == len(kept)
            np.testing.assert_allclose(told.contributions, kept, rtol=1e-11)
            np.testing.assert_allclose(sum(kept), SENSITIVITY["expected"]["jacobian"][i][j], rtol=1e-10)


def test_paths_are_counted_without_following_them() -> None:
    x = cr.tensor(0.5, requires_grad=True)
    y, names = x, {"x": x}
    for i in range(40):
        names |= {f"a{i}": (left := y * 0.25), f"b{i}": (right := y * y)}
        y = left + right
    told = cr.explain(y, names=names, paths="x", limit=3).paths[0]
    assert told.count == 2**40
    assert len(told.contributions) == 3
    assert "1099511627773 more" in told.lines[-1].parts[0](False)


@given(st.integers(0, 10**6), st.integers(3, 9))
@settings(max_examples=40, deadline=None)
def test_contributions_of_all_paths_add_up_to_the_gradient(seed: int, depth: int) -> None:
    rng = np.random.default_rng(seed)
    x = cr.tensor(rng.uniform(0.5, 1.0, size=3), requires_grad=True)
    named = {"x": x}
    known = [x]
    for i in range(depth):
        a, b = (known[k] for k in rng.integers(0, len(known), size=2))
        new = [a * b, a + b, cr.tanh(a), a - 0.5 * b, cr.exp(-a)][rng.integers(0, 5)]
        known.append(new)
        named[f"q_{i}"] = new
    out = (known[-1] * known[-2]).sum()
    told = cr.explain(out, names=named, paths="x", limit=5000)
    (paths,) = told.paths
    assert len(paths.contributions) == paths.count
    np.testing.assert_allclose(sum(paths.contributions), told["x"].gradient, rtol=1e-9, atol=1e-12)
    out.backward()
    np.testing.assert_allclose(told["x"].gradient, x.grad.numpy(), rtol=1e-12, atol=1e-12)
    for edges in told.steps.edges.values():
        np.testing.assert_allclose(
            sum(edge.message_value for edge in edges),
            told.steps.steps[edges[0].lower].gradient,
            rtol=1e-9,
            atol=1e-12,
        )


def test_gradients_of_matrices_are_written_as_matrix_products() -> None:
    x = np.random.default_rng(0).normal(size=(5, 2))
    W = cr.tensor(np.ones((3, 2)), requires_grad=True)
    z = x @ W.T
    h = cr.tanh(z)
    loss = h.mean()
    backward = section(str(cr.explain(loss)), "Backward")
    assert backward[1].startswith("∂loss/∂z = ∂loss/∂h · ∂h/∂z = (0.0666667)(1 − h²) = 0.0666667 (1 − h²) =")
    assert backward[2].startswith("∂loss/∂W = (∂loss/∂z)ᵀ x = 0.0666667 (1 − h²)ᵀ x = ")


def test_what_has_no_name_gets_one_where_its_formula_would_be_long() -> None:
    model = nn.MLP([2, 3, 1], activation="tanh", seed=0)
    x = np.ones((4, 2), np.float32)
    loss = nn.squared_error(model(x), np.zeros((4, 1), np.float32))
    forward = section(str(cr.explain(loss)), "Forward")
    texts = [re.sub(r" = [^=]*$", "", line.split("   #")[0]) for line in forward]
    assert texts == ["x", "W₁", "b₁", "v₁ = xW₁ᵀ + b₁", "v₂ = tanh(v₁)", "W₂", "b₂", "v₃ = v₂W₂ᵀ + b₂",
                     "loss = 0.25 sum((v₃ − const[4, 1])²)"]  # fmt: skip
    assert all("test_explain.py:" in line for line in forward if line.startswith("v"))


def test_given_names_win_and_functions_see_their_own_locals() -> None:
    def inner() -> str:
        speed = cr.tensor(2.0, requires_grad=True)
        return str(cr.explain(speed * speed, names={"v": speed}))

    assert "v = 2" in inner()
    assert "speed" not in inner()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda w: w * 2.0, GradientError),
        (lambda w: cr.tensor(1.0), GradientError),
        (lambda w: 3.0, GradientError),
    ],
)
def test_what_has_no_derivation_is_refused(make, error) -> None:
    with pytest.raises(error):
        cr.explain(make(cr.tensor([1.0, 2.0], requires_grad=True)))


def test_unknown_names_are_refused() -> None:
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    loss = (w * w).sum()
    with pytest.raises(SettingError, match="one of w"):
        cr.explain(loss, paths="v")
    with pytest.raises(SettingError, match="not an element"):
        cr.explain(loss, paths="w[2]")
    with pytest.raises(SettingError, match="w, loss"):
        cr.explain(loss)["v"]
    with pytest.raises(SettingError, match="tensors or arrays"):
        cr.explain(loss, names={"w": 3})


class Balanced(HTMLParser):
    """Fails on a tag that is closed without being open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells = 0

    def handle_starttag(self, tag, attrs) -> None:
        self.open.append(tag)
        self.cells += tag == "td"

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def test_html_is_balanced_and_holds_every_line() -> None:
    t = ridge_tensors()
    told = cr.explain(t["J"], names={"<b>": t["b"], **t})
    parser = Balanced()
    parser.feed(told.html())
    assert parser.open == []
    assert parser.cells > 40
    assert "<sub>j</sub>" in told.html()
    assert "&lt;b&gt;" in told.html()


def test_the_derivation_leaves_gradients_and_graph_alone() -> None:
    t = ridge_tensors()
    t["J"].backward()
    before = t["w"].grad.numpy().copy()
    cr.explain(t["J"], names=t, paths="w")
    np.testing.assert_array_equal(t["w"].grad.numpy(), before)
    assert math.isclose(t["J"].item(), RIDGE["expected"]["J"])


def test_names_that_are_written_alike_are_told_apart() -> None:
    w1, w_1 = cr.tensor(2.0, requires_grad=True), cr.tensor(3.0, requires_grad=True)
    loss = w1 * w_1
    found = cr.explain(loss)
    assert "loss = w₁ w_1 = 6" in str(found)  # not w₁²
    assert (float(found["w1"].gradient), float(found["w_1"].gradient)) == (3.0, 2.0)


def test_long_names_with_the_same_ends_are_told_apart() -> None:
    a, b = cr.tensor(2.0, requires_grad=True), cr.tensor(3.0, requires_grad=True)
    names = {"x" * 500 + "a" + "x" * 500: a, "x" * 500 + "b" + "x" * 500: b}
    loss = a * b
    found = cr.explain(loss, names={**names, "loss": loss})
    assert "²" not in str(found)
    assert [float(found[name].gradient) for name in names] == [3.0, 2.0]


def test_names_with_dots_brackets_and_ends_of_lines_have_elements() -> None:
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    loss = (w * w).sum()
    for name in ("a\nb", "a[0]", "a[x]"):
        found = cr.explain(loss, names={name: w}, paths=[name, f"{name}[1]"])
        assert [path.count for path in found.paths] == [1, 1]
