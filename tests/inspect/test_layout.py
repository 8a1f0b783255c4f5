"""Layered layout: nothing overlaps, edges lead onwards, and what can be drawn without crossings is."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from chainrule.inspect.layout import layered, rising


@st.composite
def graphs(draw):
    """Sizes of boxes, and edges from earlier to later ones."""
    count = draw(st.integers(1, 14))
    sizes = [(draw(st.integers(10, 120)), draw(st.integers(10, 60))) for _ in range(count)]
    pairs = list(combinations(range(count), 2))
    edges = [pair for pair in pairs if draw(st.integers(0, 3)) == 0]
    return sizes, edges


def rectangle(centre, size):
    return centre[0] - size[0] / 2, centre[1] - size[1] / 2, centre[0] + size[0] / 2, centre[1] + size[1] / 2


def apart(a, b) -> bool:
    return a[2] <= b[0] + 1e-6 or b[2] <= a[0] + 1e-6 or a[3] <= b[1] + 1e-6 or b[3] <= a[1] + 1e-6


@given(graphs(), st.booleans(), st.booleans())
@settings(max_examples=80, deadline=None)
def test_boxes_and_labels_are_apart_and_edges_lead_onwards(graph, down: bool, labelled: bool) -> None:
    sizes, edges = graph
    labels = dict.fromkeys(range(0, len(edges), 2), (40.0, 18.0)) if labelled else {}
    placed = layered(sizes, edges, down=down, labels=labels)
    boxes = [rectangle(c, s) for c, s in zip(placed.centres, sizes, strict=True)]
    boxes += [rectangle(placed.labels[i], labels[i]) for i in labels]
    assert all(apart(a, b) for a, b in combinations(boxes, 2))
    flow = 1 if down else 0
    for (u, v), route in zip(edges, placed.routes, strict=True):
        assert boxes[u][flow + 2] <= boxes[v][flow] + 1e-6
        assert all(a[flow] <= b[flow] + 1e-6 for a, b in pairwise(route))
        for end, box in ((route[0], boxes[u]), (route[-1], boxes[v])):
            assert box[1 - flow] <= end[1 - flow] <= box[3 - flow]


@given(graphs())
@settings(max_examples=30, deadline=None)
def test_edges_pass_no_box_but_their_ends(graph) -> None:
    sizes, edges = graph
    placed = layered(sizes, edges)
    boxes = [rectangle(c, s) for c, s in zip(placed.centres, sizes, strict=True)]
    for (u, v), route in zip(edges, placed.routes, strict=True):
        for (x0, y0), (x1, y1) in pairwise(route):
            if abs(y0 - y1) > 1e-9:  # a bend: lies between two layers
                continue
            for i, (left, top, right, bottom) in enumerate(boxes):
                inside = top + 1e-6 < y0 < bottom - 1e-6 and x0 < right - 1e-6 and left + 1e-6 < x1
                assert not inside or i in (u, v)


def test_a_tree_has_straight_middles_and_no_crossing() -> None:
    edges = [(0, 4), (1, 4), (2, 5), (3, 5), (4, 6), (5, 6)]
    placed = layered([(50, 20)] * 7, edges)
    y = [c[1] for c in placed.centres]
    assert y[4] == np.mean([y[0], y[1]])
    assert y[5] == np.mean([y[2], y[3]])
    assert y[6] == np.mean([y[4], y[5]])
    assert [c[0] for c in placed.centres] == sorted(c[0] for c in placed.centres)


def test_a_graph_that_can_be_drawn_without_crossings_is() -> None:
    # lecture E's ridge graph: x, w, b -> y_hat; w, lambda -> R; ...
    names = ["x", "w", "b", "y_hat", "y", "r", "l", "lam", "R", "J"]
    edges = [("x", "y_hat"), ("w", "y_hat"), ("b", "y_hat"), ("y", "r"), ("y_hat", "r"), ("r", "l"), ("w", "R"),
             ("lam", "R"), ("l", "J"), ("R", "J")]  # fmt: skip
    pairs = [(names.index(a), names.index(b)) for a, b in edges]
    placed = layered([(60, 30)] * len(names), pairs, labels=dict.fromkeys(range(len(pairs)), (50.0, 20.0)))
    crossings = 0
    for i, j in combinations(range(len(pairs)), 2):
        for (a0, a1), (b0, b1) in (
            (a, b) for a in pairwise(placed.routes[i]) for b in pairwise(placed.routes[j])
        ):
            same_gap = a0[0] < b1[0] and b0[0] < a1[0]
            crossings += same_gap and (a0[1] - b0[1]) * (a1[1] - b1[1]) < -1e-6
    assert crossings == 0


def test_the_same_graph_is_laid_out_the_same_way() -> None:
    rng = np.random.default_rng(1)
    edges = [(int(a), int(b)) for a, b in rng.integers(0, 30, (60, 2)) if a < b]
    assert layered([(20, 10)] * 30, edges).centres == layered([(20, 10)] * 30, edges).centres


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0.01, 10)), min_size=1, max_size=20))
def test_positions_that_nowhere_fall_are_those_of_scipy(pairs):
    wanted, weights = zip(*pairs, strict=True)
    peer = isotonic_regression(wanted, weights=weights).x
    assert rising(wanted, weights) == pytest.approx(peer, abs=1e-9)
