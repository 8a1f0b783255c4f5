"""The class that is said for an aim: by brute force over all thresholds, and scored on rows that did not choose it."""

import numpy as np
import pytest
from sklearn import metrics as peers

from chainrule.tables.decision import AIMS, decided, find_decision
from chainrule.tables.metrics import class_metrics

PEERS = {
    "accuracy": peers.accuracy_score,
    "balanced-accuracy": peers.balanced_accuracy_score,
    "f1": lambda y, said, sample_weight: peers.f1_score(
        y, said, average="macro", sample_weight=sample_weight, zero_division=0
    ),
}


def draw(seed, classes, rows=80):
    """Probabilities with ties, of classes that are not equally frequent."""
    rng = np.random.default_rng(seed)
    p = np.round(rng.dirichlet([0.6, *[2.0] * (classes - 1)][::-1], rows), 2) + 1e-3
    p /= p.sum(1, keepdims=True)
    y = np.array([rng.choice(classes, p=one) for one in p])
    return p, y, rng.integers(0, 3, rows).astype(float) if seed % 2 else None


@pytest.mark.parametrize("aim", PEERS)
@pytest.mark.parametrize("seed", range(6))
def test_of_two_classes_it_is_the_best_of_all_thresholds(aim, seed):
    p, y, weight = draw(seed, 2)
    different = np.unique(p[:, 1])
    thresholds = [-1.0, *(different[1:] + different[:-1]) / 2, 2.0]
    best = max(PEERS[aim](y, (p[:, 1] > t).astype(int), sample_weight=weight) for t in thresholds)
    decision = find_decision(p, y, aim, weight)
    assert PEERS[aim](y, decided(p, decision), sample_weight=weight) == pytest.approx(best)
    if not decision:
        assert PEERS[aim](y, p.argmax(1), sample_weight=weight) == pytest.approx(best)


@pytest.mark.parametrize("aim", PEERS)
@pytest.mark.parametrize("seed", range(3))
def test_of_more_classes_no_single_weight_gains(aim, seed):
    p, y, weight = draw(seed, 3)
    decision = find_decision(p, y, aim, weight)
    reached = PEERS[aim](y, decided(p, decision), sample_weight=weight)
    assert reached >= PEERS[aim](y, p.argmax(1), sample_weight=weight) - 1e-12
    if decision:
        for one in range(3):
            for factor in np.geomspace(0.05, 20, 40):
                tried = np.array(decision)
                tried[one] *= factor
                value = PEERS[aim](y, decided(p, tuple(tried)), sample_weight=weight)
                assert value <= reached + 1e-9


def test_measures_of_probabilities_need_no_decision():
    p, y, _ = draw(0, 2)
    assert find_decision(p, y, "log-loss") == find_decision(p, y, "auc") == ()


def test_measures_are_of_the_class_that_is_said():
    p, y, weight = draw(1, 3)
    said = decided(p, (0.5, 0.3, 0.2))
    found = class_metrics(p, y, weight, said)
    for aim, peer in PEERS.items():
        assert found[AIMS[aim]] == pytest.approx(peer(y, said, sample_weight=weight))
    plain = class_metrics(p, y, weight)
    assert {name for name in found if found[name] != plain[name]} >= {"accuracy", "macro F1"}
    assert found["log loss"] == plain["log loss"]
