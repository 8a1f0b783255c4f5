"""Aims and weighed classes: scored honestly, saved, said alike by predictions and ONNX."""

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as peers
from sklearn.linear_model import LogisticRegression

from chainrule.errors import ModelFileError, SettingError
from chainrule.files import load_tensors, save_tensors
from chainrule.tables import Recipe, TrainingSettings, load_model, prepare, train_table
from chainrule.tables.aim_intervals import aim_interval
from chainrule.tables.aims import cross_fitted
from chainrule.tables.decision import AIMS, decided, find_decision
from chainrule.tables.metrics import class_metrics
from chainrule.tables.out_of_fold import OutOfFold
from chainrule.tables.scored import Scored

QUICK = {"epochs": 10, "hidden": (16,), "folds": 3}
BALANCED = peers.balanced_accuracy_score


def table(rows=400, rare=0.12, seed=0):
    """A rare class that overlaps with the other, so that the likeliest class is nearly always the other."""
    rng = np.random.default_rng(seed)
    y = rng.random(rows) < rare
    x = rng.normal(size=(rows, 2)) + 1.2 * y[:, None]
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.where(y, "ill", "well")})


@pytest.fixture(scope="module")
def plain():
    return train_table(table(), "y", Recipe(QUICK))


@pytest.fixture(scope="module")
def aimed():
    return train_table(table(), "y", Recipe({**QUICK, "aim": "balanced-accuracy"}))


def test_the_score_is_the_aims_and_of_rows_that_did_not_choose(plain, aimed):
    scored = aimed.scored
    assert aimed.score.metric == aimed.model.facts.metric == "balanced accuracy"
    assert aimed.score.value == pytest.approx(BALANCED(scored.actual, scored.labels))
    assert (aimed.score.baseline, aimed.score.scored_on) == (0.5, "out-of-fold")
    assert aimed.score.low < aimed.score.value < aimed.score.high
    assert np.array_equal(scored.predicted, plain.scored.predicted)  # the aim changes no network
    assert aimed.score.value > BALANCED(scored.actual, plain.scored.labels) + 0.05
    said = np.full(len(scored.actual), -1)
    for fold in aimed.out_of_fold.unseen:
        others = np.setdiff1d(np.arange(len(said)), fold)
        chosen = find_decision(scored.predicted[others], scored.actual[others], "balanced-accuracy")
        said[fold] = decided(scored.predicted[fold], chosen)
    assert np.array_equal(scored.labels, said)


def test_a_decision_on_noise_gains_nothing_where_it_is_scored():
    """On the rows that chose it, it seems better than chance."""
    inside, outside = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p, y = rng.dirichlet([1, 1], 60), rng.integers(0, 2, 60)
        folds = np.array_split(rng.permutation(60), 5)
        judged = OutOfFold([None] * 5, folds, [1.0] * 5, True)
        scored = Scored(np.log(p).astype(np.float32), y, p, y)
        decision = find_decision(p, y, "balanced-accuracy")
        inside.append(BALANCED(y, decided(p, decision)))
        outside.append(BALANCED(y, cross_fitted(judged, scored, "balanced-accuracy")))
    assert np.mean(inside) > 0.57
    assert np.mean(outside) < 0.52


def test_it_is_saved_predicted_and_exported(aimed, tmp_path):
    import onnxruntime

    path, new = tmp_path / "m.safetensors", table(200, seed=1)
    aimed.save(path)
    model = load_model(path)
    assert model.facts.decision == aimed.model.facts.decision != ()
    found = model.predict(new)
    expected = np.array(model.classes)[(found.probabilities * model.facts.decision).argmax(1)]
    assert found.values.to_list() == expected.tolist()
    assert (expected != np.array(model.classes)[found.probabilities.argmax(1)]).mean() > 0.05
    assert any("ill" in notice or "well" in notice for notice in found.notices)
    sets = model.predict(new, label_sets=0.5).sets
    assert sets[np.arange(len(new)), found.said].all()
    score = model.score(new)
    assert score.metric == "balanced accuracy"
    assert score.value == pytest.approx(BALANCED(new["y"], found.values))
    aimed.to_onnx(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    said = session.run(["prediction"], {name: new[name].to_numpy() for name in ("a", "b")})[0]
    assert said.tolist() == expected.tolist()


def test_files_from_before_there_were_decisions_and_forged_ones(plain, aimed, tmp_path):
    path = tmp_path / "m.safetensors"
    plain.save(path)
    tensors, metadata = load_tensors(path, kind="model")
    del metadata["facts"]["decision"]
    save_tensors(path, tensors, metadata, kind="model")
    assert load_model(path).predict(table(20)).values.len() == 20
    for forged in ([0.5], [0.5, -0.5], [0.5, 0.0], "x"):
        metadata["facts"]["decision"] = forged
        save_tensors(path, tensors, metadata, kind="model")
        with pytest.raises(ModelFileError):
            load_model(path)


@pytest.mark.parametrize("aim", AIMS)
def test_each_aim_is_the_measure_beside_the_others(aim):
    settings = TrainingSettings(epochs=4, hidden=(8,), aim=aim)
    trained = train_table(table(150, rare=0.3), "y", settings)
    by_name = {metric.name: metric for metric in trained.metrics}
    assert trained.score.metric == AIMS[aim]
    assert trained.score.value == by_name[AIMS[aim]].value
    assert trained.score.baseline == pytest.approx(by_name[AIMS[aim]].baseline)
    assert trained.score.scored_on == "held-out"
    validation = trained.prepared.validation
    p = trained.model.probabilities(trained.model.network.predict(validation.features))
    assert trained.model.facts.decision == find_decision(p, validation.target, aim)


def test_held_out_rows_are_judged_by_what_the_others_chose():
    trained = train_table(table(), "y", Recipe({**QUICK, "held_out": 0.25, "aim": "f1"}))
    training = trained.prepared.training
    outputs = trained.out_of_fold.outputs(training.features, np.arange(len(training.target)))
    chosen = find_decision(trained.model.probabilities(outputs), training.target, "f1")
    assert trained.model.facts.decision == chosen
    assert np.array_equal(trained.scored.labels, decided(trained.scored.predicted, chosen))


def test_weighed_classes_give_probabilities_of_classes_as_frequent_as_they_are():
    """A linear model's minimum is that of scikit-learn's with balanced classes, with the frequencies put back."""
    frame = table()
    settings = TrainingSettings(
        hidden=(), held_out=0.0, validation=0.0, weight_decay=0.0, batch_size=1000, epochs=1500, lr=0.05,
        class_weight="balanced",
    )  # fmt: skip
    trained = train_table(frame, "y", settings)
    x, y = frame.select("a", "b").to_numpy(), frame["y"].to_numpy()
    peer = LogisticRegression(C=np.inf, class_weight="balanced").fit(x, y)
    balanced = peer.predict_proba(x)
    shares = np.array([np.mean(y == name) for name in trained.model.classes])
    expected = balanced * shares / (balanced * shares).sum(1, keepdims=True)
    found = trained.predict(frame)
    assert np.abs(found.probabilities - expected).max() < 0.01
    assert found.probabilities.mean(0) == pytest.approx(shares, abs=0.03)
    assert np.mean(found.values.to_numpy() == peer.predict(x)) > 0.98
    assert any("not smoothed" in notice for notice in trained.prepared.notices)
    assert trained.score.metric == "balanced accuracy"
    assert trained.score.value == pytest.approx(BALANCED(y, found.values.to_list()))


def test_an_ensemble_of_weighed_classes(monkeypatch):
    # the linear model is not weighed: it would answer alone and hide what the networks say
    monkeypatch.setattr("chainrule.tables.ensemble.find_shares", lambda *_: (1.0, 0.0, 0.0, 0.0))
    frame = table()
    trained = train_table(frame, "y", Recipe({**QUICK, "class_weight": "balanced"}))
    shares = np.array([np.mean(frame["y"].to_numpy() == name) for name in trained.model.classes])
    assert trained.scored.predicted.mean(0) == pytest.approx(shares, abs=0.03)
    evenly = trained.scored.predicted / shares
    assert np.array_equal(trained.scored.labels, evenly.argmax(1))
    assert trained.score.value > 0.65


@pytest.mark.parametrize(
    ("said", "target", "text"),
    [
        ({"aim": "f1"}, "a", "aim f1 is of classes"),
        ({"class_weight": "balanced"}, "a", "class weight balanced is of classes"),
        ({"aim": "f2"}, "y", "there is no such aim"),
        ({"class_weight": "even"}, "y", "there is no such class weight"),
    ],
)
def test_what_the_task_does_not_have(said, target, text):
    with pytest.raises(SettingError, match=text):
        prepare(table(60), target, Recipe(said))


@pytest.mark.parametrize("metric", ["balanced accuracy", "macro F1", "log loss", "AUC"])
def test_intervals_hold_what_very_many_rows_would_give(metric):
    """Of 300 samples of 150 rows, about 95% have an interval with the measure of all rows."""
    rng = np.random.default_rng(2)

    def draw(rows):
        y = (rng.random(rows) < 0.3).astype(np.int64)
        odds = np.exp(rng.normal(size=rows) + 1.5 * y - 1)
        p = odds / (1 + odds)
        return np.stack([1 - p, p], 1), y

    def value(p, y):
        return class_metrics(p, y)[metric]

    truth, held = value(*draw(200_000)), 0
    for _ in range(300):
        p, y = draw(150)
        low, high = aim_interval(metric, p, y, p.argmax(1), np.ones(150))
        assert low <= value(p, y) <= high
        held += low <= truth <= high
    assert 0.92 < held / 300 < 0.98
