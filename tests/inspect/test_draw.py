"""Drawings: what stands in them, that nothing covers anything, and that they change nothing."""

import json
import sys
import xml.etree.ElementTree as ElementTree
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import interpret, nn, optim
from chainrule.errors import SettingError, TracingError
from chainrule.inspect.networks import net_of_module
from chainrule.inspect.palette import DARK, LIGHT
from chainrule.inspect.scene import Box, Curve, Disc, Scene, Text, bounds_of

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden.json").read_text())
SPACE = "{http://www.w3.org/2000/svg}"


def ridge() -> tuple[cr.Tensor, dict[str, cr.Tensor]]:
    given = GOLDEN["E_least_squares_and_ridge_graph"]["inputs"]
    w, b, x, y, lam = (cr.tensor(given[k], dtype=cr.float64) for k in ("w", "b", "x", "y", "lam"))
    w.requires_grad = b.requires_grad = True
    yhat = w @ x + b
    r = y - yhat
    loss = r**2
    R = lam * (w @ w)
    J = loss + R
    return J, {"w": w, "b": b, "x": x, "y": y, "lam": lam, "yhat": yhat, "r": r, "l": loss, "R": R, "J": J}


def parsed(drawing: cr.Drawing) -> ElementTree.Element:
    return ElementTree.fromstring(drawing.svg)


def texts(drawing: cr.Drawing) -> list[str]:
    return [element.text or "" for element in parsed(drawing).iter(f"{SPACE}text")]


def titles(drawing: cr.Drawing) -> list[str]:
    return [element.text or "" for element in parsed(drawing).iter(f"{SPACE}title")]


def cards(scene: Scene) -> list[Box]:
    return [
        item
        for item in scene.items
        if isinstance(item, Box) and item.role not in ("label", "positive", "negative")
    ]


def check_nothing_covers_anything(scene: Scene) -> None:
    """Cards, discs and texts are apart, and every text inside a card ends inside it."""
    shapes = [bounds_of(item) for item in scene.items if isinstance(item, Disc)]
    shapes += [bounds_of(box) for box in cards(scene)]
    for a, b in combinations(shapes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    plain = [bounds_of(t) for t in scene.items if isinstance(t, Text) and t.role != "halo" and t.content]
    for a, b in combinations(plain, 2):
        shared = (min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1]))
        assert shared[0] <= 0 or shared[1] <= 4  # ascenders may touch the line above
    for box in cards(scene):
        left, top, right, bottom = bounds_of(box)
        for t in plain:
            if left < (t[0] + t[2]) / 2 < right and top < (t[1] + t[3]) / 2 < bottom:
                assert left <= t[0] and t[2] <= right
    for left, top, right, bottom in map(bounds_of, scene.items):
        assert left >= 0 and top >= 0 and right <= scene.width + 1 and bottom <= scene.height + 1


# Node by node


def test_ridge_graph_has_every_formula_value_partial_and_gradient() -> None:
    J, named = ridge()
    drawing = cr.draw(J, names=named)
    shown = texts(drawing)
    for formula in ("ŷ = wᵀx + b", "r = y − ŷ", "ℓ = r²", "R = λ wᵀw", "J = ℓ + R", "w", "b", "x", "y", "λ"):
        assert formula in shown
    for value in ("−2.25", "3.75", "14.06", "0.525", "14.59", "[0.5, −1, 2]"):
        assert value in shown
    for gradient in (
        "∂J/∂w = [−7.4, −15.2, 4.15]",
        "∂J/∂b = −7.5",
        "∂J/∂ŷ = −7.5",
        "∂J/∂r = 7.5",
        "∂J/∂ℓ = 1",
    ):
        assert gradient in shown
    for partial in ("∂ŷ/∂w = x", "∂r/∂ŷ = −1", "∂ℓ/∂r = 2r", "∂R/∂w = 2λ w", "∂J/∂R = 1", "∂ŷ/∂b = 1"):
        assert partial in shown
    check_nothing_covers_anything(drawing.scene)


@pytest.mark.parametrize("direction", ["right", "down"])
def test_both_directions_are_legible(direction: str) -> None:
    J, named = ridge()
    scene = cr.draw(J, names=named, direction=direction).scene
    check_nothing_covers_anything(scene)
    assert (scene.width > scene.height) == (direction == "right")


def test_the_paths_of_one_quantity_are_highlighted() -> None:
    J, named = ridge()

    def roles(path) -> dict[str, int]:
        scene = cr.draw(J, names=named, path=path).scene
        found = [item.role for item in scene.items if isinstance(item, Curve)]
        return {role: found.count(role) for role in set(found)}

    assert roles("w") == {"highlight": 6, "faint": 4}
    assert roles("b") == {"highlight": 4, "faint": 6}
    assert roles(["w", "R", "J"]) == {"highlight": 2, "faint": 8}
    with pytest.raises(SettingError, match="nothing in this drawing is called v"):
        roles("v")


def test_text_of_users_is_escaped() -> None:
    x = cr.tensor(2.0, requires_grad=True)
    drawing = cr.draw(x * x, names={"<b>&": x})
    assert "<b>&" in texts(drawing)


# Component by component


def test_components_have_the_golden_partial_derivatives() -> None:
    case = GOLDEN["E_chain_rule_path_sum_and_sensitivity"]
    M, c, a, N = (cr.tensor(case["inputs"][k], dtype=cr.float64) for k in ("M", "c", "a", "N"))
    a.requires_grad = True
    b = M @ a + c
    h = cr.tanh(b)
    out = N @ h
    drawing = cr.draw(out, view="components")
    found = dict(title.split(" = ") for title in titles(drawing) if title.startswith("∂"))
    for i in range(3):
        for j in range(2):
            weight = case["inputs"]["M"][i][j]
            name = f"∂b[{i}]/∂a[{j}]"
            assert (name in found) == (weight != 0)
            if weight:
                assert float(found[name].replace("−", "-")) == weight
        assert float(found[f"∂h[{i}]/∂b[{i}]"]) == pytest.approx(
            1 - np.tanh(case["expected"]["b"][i]) ** 2, abs=1e-6
        )
    assert "∂h[0]/∂b[1]" not in found
    check_nothing_covers_anything(drawing.scene)


def test_components_of_a_function_reach_what_it_reads_from_outside() -> None:
    M, labels = cr.tensor([[1.0, -2.0], [0.5, 3.0]]), cr.tensor([1, 0])

    def f(a):
        return cr.take(M @ a, labels)

    found = [
        t
        for t in titles(cr.draw(f, np.array([0.5, 2.0], np.float32), view="components"))
        if t.startswith("∂")
    ]
    assert any("/∂M[0, 1] = 2" in title for title in found)
    curves = [
        item
        for item in cr.draw(f, np.ones(2, np.float32), view="components").scene.items
        if isinstance(item, Curve)
    ]
    assert [c.role for c in curves].count("faint") == 1  # from the labels


def test_long_vectors_are_elided_with_a_count() -> None:
    w = cr.tensor(np.linspace(1, 2, 50), requires_grad=True)
    square = w * w
    total = square.sum()
    drawing = cr.draw(total, view="components")
    assert texts(drawing).count("43 more") == 2
    check_nothing_covers_anything(drawing.scene)


# Networks


def test_neurons_of_lecture_a_have_the_golden_u_v_and_s() -> None:
    case = GOLDEN["A_sigmoid_net_2_3_2_1_message_passing"]
    edges, bias = {}, {}
    for level, key in enumerate(("omega1", "omega2", "omega3")):
        for i, row in enumerate(case["inputs"][key]):
            bias[f"v{level + 1}{i}"] = row[0]
            for j, weight in enumerate(row[1:]):
                edges[f"v{level}{j}", f"v{level + 1}{i}"] = weight
    net = nn.GraphNetwork(edges, inputs=["v00", "v01"], outputs=["v30"], dtype=cr.float64)
    computed = [n for n in net.neurons if n in bias]
    net.bias.assign(np.array([bias[n] for n in computed]))
    row = np.array([case["inputs"]["x"]])
    drawn = {n.name: n for n in net_of_module(net, (row,), None, 0, None).neurons}
    expected = case["expected"]
    for level, count in ((1, 3), (2, 2)):
        for i in range(count):
            neuron = drawn[f"v{level}{i}"]
            assert neuron.u == pytest.approx(expected[f"u{level}"][i], rel=1e-11)
            assert neuron.v == pytest.approx(expected[f"v{level}"][i], rel=1e-11)
            assert neuron.gradient == pytest.approx(expected["u_variant"][f"S{level}"][i], rel=1e-11)
    for j in range(2):
        assert drawn[f"v0{j}"].gradient == pytest.approx(expected["u_variant"]["S_input"][j], rel=1e-11)
    assert drawn["v30"].gradient == pytest.approx(expected["u_variant"]["S3"][0], rel=1e-11)
    drawing = cr.draw(net, row)
    assert "0.62" in texts(drawing)
    assert "u 0.475" in texts(drawing)
    check_nothing_covers_anything(drawing.scene)


def test_wide_layers_are_elided_with_a_count() -> None:
    model = nn.MLP([64, 128, 10], seed=0)
    x = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    drawing = cr.draw(model, x, row=2)
    shown = texts(drawing)
    assert "56 more" in shown
    assert "120 more" in shown
    discs = [item for item in drawing.scene.items if isinstance(item, Disc)]
    assert len(discs) == 8 + 8 + 10
    outputs = model(x).numpy()[2]
    assert [t.split("v = ")[1].split("\n")[0] for t in titles(drawing) if "v = " in t][-10:] == [
        f"{v:.6g}".replace("-", "−").replace("e−0", "e−") for v in outputs
    ]
    assert any("row 2 of 5" in text for text in shown)
    check_nothing_covers_anything(drawing.scene)


def test_layers_between_count_to_the_neurons_before_them() -> None:
    layers = (nn.Linear(3, 4, seed=0), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2, seed=1))
    model = nn.Sequential(*layers)
    before = model.state_dict()
    x = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    drawing = cr.draw(model, x)  # in training mode: running moments would change
    assert all((before[name] == value).all() for name, value in model.state_dict().items())
    shown = texts(drawing)
    assert {"BatchNorm1d,", "ReLU, Dropout", "Linear,"} <= set(shown)
    assert sum(text.startswith("∂") for text in shown) == 3 + 4 + 2
    assert any("sum of all outputs" in text for text in shown)
    check_nothing_covers_anything(drawing.scene)


def test_weights_are_colour_and_width() -> None:
    net = nn.GraphNetwork({("a", "c"): 4.0, ("b", "c"): -2.0, ("c", "d"): 1.0}, ["a", "b"], ["d"])
    curves = {
        item.title.split(":")[0]: item
        for item in cr.draw(net).scene.items
        if isinstance(item, Curve) and item.title
    }
    assert curves["a → c"].role == curves["c → d"].role == "positive"
    assert curves["b → c"].role == "negative"
    assert curves["a → c"].width > curves["b → c"].width > curves["c → d"].width
    assert [t for t in texts(cr.draw(net)) if t in ("4", "−2", "1")] == ["1", "−2", "4"]


def test_edges_that_skip_a_level_go_around_neurons() -> None:
    net = nn.GraphNetwork([("x", "h"), ("h", "k"), ("k", "o"), ("x", "o")], ["x"], ["o"], seed=0)
    scene = cr.draw(net, [[1.0]]).scene
    check_nothing_covers_anything(scene)
    skip = next(item for item in scene.items if isinstance(item, Curve) and item.title.startswith("x → o"))
    ys = {round(point[1]) for piece in skip.pieces for point in piece}
    discs = [item for item in scene.items if isinstance(item, Disc)]
    middle = sorted(discs, key=lambda disc: disc.x)[1:3]
    passing = [piece[2][1] for piece in skip.pieces[:-1]]
    assert all(abs(y - disc.y) > disc.radius for y in passing for disc in middle), ys


# Graphs of modules, functions, compiled programs


class Residual(nn.Module):
    def __init__(self) -> None:
        self.inner = nn.Sequential(nn.Linear(3, 3, seed=0), nn.Tanh())
        self.outer = nn.Linear(3, 1, seed=1)

    def forward(self, x):
        return self.outer(x + self.inner(x))


def test_a_module_is_grouped_by_its_parts() -> None:
    drawing = cr.draw(Residual(), np.ones((2, 3)), view="groups")
    names = [t for t in texts(drawing) if ": " in t and "nodes" not in t]
    assert names == ["inner.0: Linear", "inner.1: Tanh", "outer: Linear"]
    assert "Residual" in texts(drawing)
    check_nothing_covers_anything(drawing.scene)


def test_a_training_step_is_drawn_and_not_taken() -> None:
    model = nn.MLP([4, 8, 3], seed=0)
    optimizer = optim.Adam(1e-2)
    optimizer.attach(model)
    before = nn.flatten_parameters(model).copy()

    def step(X, t):
        loss = nn.cross_entropy(model(X), t)
        loss.backward()
        optimizer.step()
        return loss

    X, t = np.ones((5, 4), np.float32), np.array([0, 1, 2, 0, 1])
    drawing = cr.draw(step, X, t)
    shown = texts(drawing)
    assert "model.0: Linear" in shown
    assert any(text.startswith("gradients of ") and "cross_entropy" in text for text in shown)
    assert any(text.startswith("assigns W₁, b₁, W₂, b₂") for text in shown)
    np.testing.assert_array_equal(nn.flatten_parameters(model), before)
    assert all(p.grad is None for p in model.parameters())
    assert all("forward" not in vars(part) for _, part in model.named_modules())
    check_nothing_covers_anything(drawing.scene)


def test_kernels_of_a_compiled_program() -> None:
    W = cr.tensor(np.ones((3, 4)), requires_grad=True)

    @cr.compile
    def f(x):
        return cr.tanh(x @ W.T).sum(axis=1)

    drawing = cr.draw(f, cr.tensor(np.ones((5, 4))).detach())
    shown = texts(drawing)
    assert "matmul" in shown
    assert "x" in shown
    assert "W" in shown
    assert any(text.startswith("inside: tanh") or "then: tanh" in text or text == "tanh" for text in shown)
    assert any("operations in" in text and "kernels" in text for text in shown)
    check_nothing_covers_anything(drawing.scene)
    assert texts(cr.draw(f.__wrapped__, np.ones((5, 4)), view="kernels")) == shown


def test_a_function_is_drawn_with_its_arguments_names() -> None:
    def energy(mass, speeds):
        return 0.5 * mass * (speeds[0] ** 2 + speeds[1] ** 2)

    shown = texts(cr.draw(energy, np.float64(2.0), [np.float64(3.0), np.float64(4.0)]))
    assert {"mass", "speeds[0]", "speeds[1]"} <= set(shown)
    assert "25" in shown
    with pytest.raises(TracingError):
        cr.draw(lambda x: x if x > 0 else -x, np.float64(1.0))


# Long graphs


def loop(steps: int) -> cr.Tensor:
    q = cr.tensor([0.3, -0.2], requires_grad=True)
    s = q
    for _ in range(steps):
        z = s * 0.9
        s = cr.tanh(z) + 0.1 * q
    return (s * s).sum()


def test_a_thousand_nodes_are_a_few_cards() -> None:
    drawing = cr.draw(loop(250))
    boxes = cards(drawing.scene)
    assert len(boxes) <= 20
    assert sum("more" in text for text in texts(drawing)) == 1
    assert drawing.scene.height < 3000
    check_nothing_covers_anything(drawing.scene)


def test_a_loop_of_one_line_shows_its_first_and_last_quantities() -> None:
    x = cr.tensor(0.5, requires_grad=True)
    s = x
    for _ in range(1000):
        s = cr.sin(s)
    y = s * 2.0
    drawing = cr.draw(y, names={"x": x})
    shown = texts(drawing)
    assert "v₁ = sin(sin(x))" in shown
    assert "v₂ = sin(sin(v₁))" in shown
    assert "y = 2s" in shown
    assert sum(text.startswith("⋯") for text in shown) == 1
    assert len(cards(drawing.scene)) <= 20
    check_nothing_covers_anything(drawing.scene)


def test_work_grows_no_faster_than_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    original = interpret.value_of
    monkeypatch.setattr(interpret, "value_of", lambda *args: computed.append(1) or original(*args))

    def work(steps: int) -> int:
        tensor = loop(steps)
        computed.clear()
        cr.draw(tensor)
        return len(computed)

    small, large = work(200), work(400)
    assert large < 2.1 * small
    assert small < 12 * 200  # nodes of the backward pass, once each


# Files and notebooks


def test_files(tmp_path: Path) -> None:
    J, named = ridge()
    drawing = cr.draw(J, names=named)
    for kind in ("svg", "png", "pdf"):
        drawing.save(tmp_path / f"x.{kind}")
    assert (tmp_path / "x.svg").read_text() == drawing.svg
    png = (tmp_path / "x.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    width = int.from_bytes(png[16:20], "big")
    assert width == pytest.approx(drawing.scene.width * 200 / 96, abs=1.5)
    assert (tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(SettingError, match="SVG, PNG or PDF"):
        drawing.save(tmp_path / "x.jpg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.pdf", "x.png", "x.svg"]


def test_without_matplotlib_a_png_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    x = cr.tensor(1.0, requires_grad=True)
    with pytest.raises(SettingError, match="matplotlib"):
        cr.draw(x * x).save(tmp_path / "x.png")


def test_notebooks_get_svg() -> None:
    x = cr.tensor(1.0, requires_grad=True)
    drawing = cr.draw(x * x)
    assert drawing._repr_svg_() == drawing.svg
    assert ElementTree.fromstring(drawing._repr_html_()).find(f"{SPACE}svg") is not None
    root = parsed(drawing)
    assert root.find(f"{SPACE}title").text
    assert root.find(f"{SPACE}desc").text
    style = root.find(f"{SPACE}style").text
    assert "prefers-color-scheme: dark" in style


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_can_be_read_on_every_card(palette) -> None:
    grounds = [palette.page] + [
        fill for role, (fill, _) in palette.shape.items() if role not in ("positive", "negative")
    ]
    for colour in palette.text.values():
        assert min(contrast(colour, ground) for ground in grounds) >= 4.5
    for role in ("positive", "negative", "edge", "highlight"):
        assert contrast(palette.line[role], palette.page) >= 2.9
    assert LIGHT.text.keys() == DARK.text.keys()
    assert LIGHT.shape.keys() == DARK.shape.keys()
    assert LIGHT.line.keys() == DARK.line.keys()


# What cannot be drawn


def test_what_cannot_be_drawn_is_refused() -> None:
    x = cr.tensor(1.0, requires_grad=True)
    for call in (
        lambda: cr.draw(3),
        lambda: cr.draw(x * x, view="picture"),
        lambda: cr.draw(x * x, direction="up"),
        lambda: cr.draw(x * x, view="kernels"),
        lambda: cr.draw(Residual()),
        lambda: cr.draw(Residual(), np.ones((1, 3)), view="network"),
        lambda: cr.draw(lambda: 3),
    ):
        with pytest.raises(SettingError):
            call()


def test_the_drawn_network_is_left_alone_while_it_is_drawn():
    """Its values are noted on a copy: another thread may call the model meanwhile."""
    seen = []

    class Watching(nn.GraphNetwork):
        def forward(self, x):
            seen.append("values" in vars(model))
            return super().forward(x)

    model = Watching([("a", "b")], inputs=["a"], outputs=["b"])
    before = set(vars(model))
    cr.draw(model, [[1.0]])
    assert seen and not any(seen) and vars(model).keys() == before
