"""Lecture A's Algorithm 1, written out: its numbers are the golden ones, and every line adds up."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

CASE = json.loads((Path(__file__).parents[1] / "data" / "golden.json").read_text())[
    "A_sigmoid_net_2_3_2_1_message_passing"
]


def lecture_network() -> nn.GraphNetwork:
    edges, bias = {}, {}
    for level, key in enumerate(("omega1", "omega2", "omega3")):
        for i, row in enumerate(CASE["inputs"][key]):
            bias[f"{'hko'[level]}{i + 1}"] = row[0]
            for j, weight in enumerate(row[1:]):
                edges[f"{'xhk'[level]}{j + 1}", f"{'hko'[level]}{i + 1}"] = weight
    net = nn.GraphNetwork(edges, inputs=["x1", "x2"], outputs=["o1"], dtype=cr.float64)
    net.bias.assign(np.array([bias[n] for n in net.neurons if n in bias]))
    return net


def plain(number: str) -> float:
    return float(number.replace("−", "-"))


def values(text: str) -> dict[str, float]:
    """What every line says its left side is."""
    lines = [line.strip() for line in text.splitlines() if " = " in line]
    return {line.split(" = ")[0]: plain(line.split(" = ")[-1]) for line in lines}


def test_messages_are_the_golden_ones() -> None:
    found = values(str(cr.explain(lecture_network(), CASE["inputs"]["x"])))
    expected = CASE["expected"]
    variant = expected["u_variant"]
    sub = {1: "₁", 2: "₂", 3: "₃"}
    near = {"rel": 1e-5}
    for letter, key in (("h", "1"), ("k", "2")):
        for i, (u, v, S) in enumerate(
            zip(expected[f"u{key}"], expected[f"v{key}"], variant[f"S{key}"], strict=True)
        ):
            name = f"{letter}{sub[i + 1]}"
            assert found[f"u[{name}]"] == pytest.approx(u, **near)
            assert found[name] == pytest.approx(v, **near)
            assert found[f"S[{name}]"] == pytest.approx(S, **near)
    assert found["S[o₁]"] == pytest.approx(variant["S3"][0], **near)
    for upper, lower, rows in (
        ("o", "k", variant["message3_to_2"]),
        ("k", "h", variant["message2_to_1"]),
        ("h", "x", variant["message1_to_input"]),
    ):
        for i, row in enumerate(rows):
            for j, message in enumerate(row):
                assert found[f"m[{upper}{sub[i + 1]} → {lower}{sub[j + 1]}]"] == pytest.approx(
                    message, **near
                )
    for upper, lower, key in (("h", "x", "omega1"), ("k", "h", "omega2"), ("o", "k", "omega3")):
        for i, row in enumerate(expected["grad_f"][key]):
            name = f"{upper}{sub[i + 1]}"
            assert found[f"∂o₁/∂b[{name}]"] == pytest.approx(row[0], **near)
            for j, slope in enumerate(row[1:]):
                assert found[f"∂o₁/∂w[{name}, {lower}{sub[j + 1]}]"] == pytest.approx(slope, **near)


def test_every_line_adds_up() -> None:
    text = str(cr.explain(lecture_network(), CASE["inputs"]["x"]))
    checked = 0
    for line in text.splitlines():
        parts = line.strip().split(" = ")
        put_in = [p for p in parts[1:-1] if re.fullmatch(r"[\d.e()·+− ]+", p)]
        for part in put_in:
            python = part.replace("−", "-").replace("·", "*").replace("e-", "e-")
            assert eval(python) == pytest.approx(plain(parts[-1]), rel=1e-4, abs=1e-8)
            checked += 1
    assert checked == 6 + 14 + 5 + 14  # u, messages, sums of several, weights


def test_numbers_come_with_it() -> None:
    told = cr.explain(lecture_network(), CASE["inputs"]["x"])
    np.testing.assert_allclose(told.messages.f, CASE["expected"]["f"], rtol=1e-11)
    np.testing.assert_allclose(told.messages.S["h1"], CASE["expected"]["u_variant"]["S1"][0], rtol=1e-11)
    assert r"S_{h_{1}} &= m_{k_{1} \to h_{1}} + m_{k_{2} \to h_{1}} =" in told.markdown()


def test_other_networks() -> None:
    net = nn.GraphNetwork(
        [("x", "a b"), ("a b", 7), (7, "o"), ("x", "o")],
        inputs=["x"],
        outputs=["o", "a b"],
        activation={"a b": "tanh", 7: "relu", "o": "identity"},
        bias="constant",
        seed=0,
    )
    told = str(cr.explain(net, [0.5], output="o"))
    assert "a b = tanh(u[a b])" in told
    assert "m[v[7] → a b] = S[v[7]] w[v[7], a b] tanh′(u[a b])" in told
    assert "S[o] = identity′(u[o]) = 1" in told
    assert "m[o → v₀]" not in told  # the constant neuron receives no message
    assert "∂o/∂w[o, v₀] = S[o] v₀" in told


def test_what_the_output_does_not_depend_on_sends_nothing() -> None:
    net = nn.GraphNetwork([("x", "h"), ("h", "o"), ("h", "p")], ["x"], ["o", "p"], seed=0)
    told = str(cr.explain(net, [1.0], output="o"))
    assert "S[p]" not in told.split("Weights", maxsplit=1)[0]
    assert values(told)["∂o/∂w[p, h]"] == 0


def test_large_networks_are_cut_with_a_count() -> None:
    edges = [(f"x{i}", f"h{j}") for i in range(20) for j in range(20)] + [(f"h{j}", "o") for j in range(20)]
    net = nn.GraphNetwork(edges, [f"x{i}" for i in range(20)], ["o"], seed=0)
    lines = str(cr.explain(net, np.ones(20, np.float32))).splitlines()
    assert lines[-1] == "  and 241 more"
