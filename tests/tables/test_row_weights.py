"""Rows that do not count alike: as repeated rows do, and as scikit-learn's measures and models have it."""

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as peers
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from chainrule.errors import DataError, SettingError
from chainrule.tables import Recipe, TrainingSettings, ensemble, prepare, train_table
from chainrule.tables.linear import linear_predictions
from chainrule.tables.metrics import class_metrics, number_metrics

LINEAR = {
    "hidden": (),
    "held_out": 0.0,
    "validation": 0.0,
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "batch_size": 1000,
    "epochs": 1500,
    "lr": 0.05,
}
QUICK = {"epochs": 6, "hidden": (8,), "folds": 3}


def table(task, rows=160, seed=0):
    """A target that no line fits, and weights of which the fit therefore depends."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    signal = x[:, 0] + x[:, 1] ** 2 + rng.normal(size=rows)
    weight = rng.integers(0, 5, rows)
    y = np.where(signal > 1, "yes", "no") if task == "classification" else signal
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "weight": weight, "y": y}), x, weight


@pytest.fixture(scope="module", params=["classification", "regression"])
def linear(request):
    frame, x, weight = table(request.param)
    return (
        request.param,
        frame,
        x,
        weight,
        train_table(frame, "y", TrainingSettings(**LINEAR, sample_weight="weight")),
    )


def said(model, frame):
    """What a model says as numbers: the prediction, or the second class's probability."""
    predictions = model.predict(frame)
    if predictions.probabilities is None:
        return predictions.values.to_numpy()
    return predictions.probabilities[:, 1]


def test_weights_are_as_repeated_rows_and_as_in_a_peer(linear):
    """The minimum of the loss is one and the same, whatever the way there; new rows need no weight."""
    task, frame, x, weight, trained = linear
    places = np.repeat(np.arange(len(frame)), weight)
    repeated = train_table(frame[places].drop("weight"), "y", TrainingSettings(**LINEAR))
    here, new = said(trained.model, frame.drop("weight", "y")), said(repeated.model, frame)
    assert np.abs(here - new).max() < 0.01
    peer = LinearRegression() if task == "regression" else LogisticRegression(C=np.inf)
    peer.fit(x, frame["y"].to_numpy(), sample_weight=weight)
    expected = peer.predict(x) if task == "regression" else peer.predict_proba(x)[:, 1]
    assert np.abs(here - expected).max() < 0.01


def test_the_score_and_its_constant_are_weighted(linear):
    task, frame, _, weight, trained = linear
    y = frame["y"].to_numpy()
    if task == "classification":
        value = peers.accuracy_score(y, trained.model.predict(frame).values.to_list(), sample_weight=weight)
        often = max(weight[y == "yes"].sum(), weight[y == "no"].sum()) / weight.sum()
        assert trained.score.baseline == pytest.approx(often)
    else:
        value = peers.root_mean_squared_error(y, said(trained.model, frame), sample_weight=weight)
        spread = np.sqrt(np.average((y - np.average(y, weights=weight)) ** 2, weights=weight))
        assert trained.score.baseline == pytest.approx(spread, rel=1e-5)
    assert trained.score.value == trained.model.facts.score == trained.metrics[0].value
    assert trained.score.value == pytest.approx(value, rel=1e-5)
    assert trained.metrics[0].baseline == pytest.approx(trained.score.baseline)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_measures_of_weighted_rows_are_those_of_a_peer(task):
    rng = np.random.default_rng(4)
    weight = rng.integers(0, 4, 300).astype(float)
    if task == "regression":
        actual, predicted = rng.normal(size=(2, 300))
        found = number_metrics(predicted, actual, weight)
        repeated = number_metrics(*(np.repeat(v, weight.astype(int)) for v in (predicted, actual)))
        assert found == pytest.approx(repeated, abs=0.02)
        assert found["R2"] == pytest.approx(peers.r2_score(actual, predicted, sample_weight=weight))
        assert found["MAE"] == pytest.approx(
            peers.mean_absolute_error(actual, predicted, sample_weight=weight)
        )
        return
    for classes in (2, 4):
        probabilities = np.round(rng.dirichlet(np.ones(classes), 300), 2) + 1e-9  # with ties
        probabilities /= probabilities.sum(1, keepdims=True)
        actual = rng.integers(0, classes, 300)
        found = class_metrics(probabilities, actual, weight)
        repeated = class_metrics(*(np.repeat(v, weight.astype(int), 0) for v in (probabilities, actual)))
        assert found == pytest.approx(repeated)
        labels = probabilities.argmax(1)
        average = peers.f1_score(actual, labels, average="macro", sample_weight=weight)
        assert found["macro F1"] == pytest.approx(average)
        if classes == 2:
            area = peers.roc_auc_score(actual, probabilities[:, 1], sample_weight=weight)
            assert found["AUC"] == pytest.approx(area)


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_the_linear_model_beside_it_is_weighted(classes):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(90, 3)).astype(np.float32)
    weight = rng.integers(0, 4, 90).astype(float)
    weight /= weight.mean()
    if classes:
        y = (x[:, 0] + rng.normal(size=90) > 0).astype(int) + (classes == 3) * (x[:, 1] > 0.5)
        peer = LogisticRegression(tol=1e-8, max_iter=1000).fit(x, y, sample_weight=weight).predict_proba(x)
        found = linear_predictions(x, y, x, classes, weight)
    else:
        y = x[:, 0] + rng.normal(size=90).astype(np.float32)
        peer = Ridge(1.0).fit(x, y, sample_weight=weight).predict(x)
        found = linear_predictions(x, y[:, None], x, 0, weight)
    assert np.abs(found - peer).max() < 1e-3


def test_an_ensemble_of_several_kinds_learns_what_counts():
    """Two rules, one in the rows that count and one in those that hardly do."""
    rng = np.random.default_rng(6)
    x, counts = rng.normal(size=300), rng.random(300) < 0.4
    frame = pl.DataFrame({"x": x, "w": np.where(counts, 1.0, 1e-3), "y": np.where(counts, x, -x)})
    settings = {"epochs": 25, "hidden": (16,), "folds": 3}
    plain = train_table(frame.drop("w"), "y", Recipe(settings))
    trained = train_table(frame, "y", Recipe({**settings, "sample_weight": "w"}))
    new = pl.DataFrame({"x": np.linspace(-1, 1, 21)})
    assert np.corrcoef(trained.predict(new).values, new["x"])[0, 1] > 0.95
    assert trained.score.value < 0.4
    assert plain.score.value > 0.7
    assert trained.score.scored_on == "out-of-fold"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1.0, -1.0], "a negative number in row 2"),
        ([1.0, None], "no number in row 2"),
        ([1.0, float("inf")], "no number in row 2"),
        ([0.0, 0.0], "0 in every row"),
        (["a", "b"], "a column of text cells"),
        ([True, False], "a column of boolean cells"),
    ],
)
def test_weights_that_cannot_be(values, text):
    frame, _, _ = table("regression", rows=40)
    column = pl.Series("weight", values + [values[0]] * 38, strict=False)
    with pytest.raises(DataError) as raised:
        prepare(frame.with_columns(column), "y", Recipe({"sample_weight": "weight"}))
    assert text in str(raised.value)
    assert "--sample-weight" in str(raised.value)


@pytest.mark.parametrize("time", [False, True])
def test_a_fold_without_weight_is_an_error(time):
    frame, _, _ = table("regression", rows=60)
    frame = frame.with_columns(weight=pl.Series([0] * 50 + [1] * 10), day=pl.Series(range(60)))
    more = {"time_order": "day"} if time else {"group": "weight2"}
    frame = frame.with_columns(weight2=pl.Series([*range(3)] * 20).sort())
    if not time:
        frame = frame.with_columns(weight=(pl.col("weight2") > 0).cast(float))
    with pytest.raises(DataError, match="all have the weight 0"):
        train_table(frame, "y", Recipe({**QUICK, "sample_weight": "weight", **more}))


def test_a_weight_has_no_other_role():
    frame, _, _ = table("regression")
    for more, error in (({"group": "weight"}, "no other role"), ({"sample_weight": "y"}, "names the target")):
        with pytest.raises(SettingError, match=error):
            prepare(frame, "y", Recipe({"sample_weight": "weight", **more}))


def by_category(rows=600, seed=1):
    """Numbers that follow a category of four rows, half of which count."""
    rng = np.random.default_rng(seed)
    code = rng.permutation(np.arange(rows) % 150)
    y = rng.normal(size=150)[code] + 0.3 * rng.normal(size=rows)
    weight = np.where(rng.random(rows) < 0.5, 0.0, 1.0)
    return pl.DataFrame(
        {"code": [f"k{one}" for one in code], "a": rng.normal(size=rows), "w": weight, "y": y}
    )


@pytest.mark.parametrize("unit", [1.0, 1e5])
def test_targets_of_rows_without_weight_tell_nothing(unit):
    """Not by the means of categories either; and in whatever unit the weights are."""
    frame = by_category()
    asked = Recipe({"epochs": 4, "folds": 3, "hidden": (8,), "embedding": "none", "sample_weight": "w"})
    whole = train_table(frame, "y", asked)
    changed = frame.with_columns(
        w=pl.col("w") * unit, y=pl.when(pl.col("w") == 0).then(-pl.col("y") + 1).otherwise(pl.col("y"))
    )
    assert whole.prepared.preprocessor.has_target_means
    other = train_table(changed, "y", asked)
    mine = np.flatnonzero(frame["w"].to_numpy() > 0)
    effects = [
        next(c for c in one.prepared.preprocessor.used if c.has_effects).effects for one in (whole, other)
    ]
    scale = [one.prepared.preprocessor.target.standard_deviation for one in (whole, other)]
    assert np.array(effects[0]) * scale[0] == pytest.approx(np.array(effects[1]) * scale[1], abs=1e-6)
    said = [one.model.predict(frame[mine]).values.to_numpy() for one in (whole, other)]
    assert np.corrcoef(*said)[0, 1] > 0.99


def test_weights_reach_what_is_found_out_of_fold(monkeypatch):
    """The shares of the kinds and the temperature: rows that do not count have no say."""
    frame = by_category(240).with_columns(y=pl.Series(np.random.default_rng(0).choice(["p", "q"], 240)))
    seen = {}

    def spy(name, real):
        def called(*given):
            seen[name] = given[-1]
            return real(*given)

        return called

    for name in ("find_shares", "find_temperature"):
        monkeypatch.setattr(ensemble, name, spy(name, getattr(ensemble, name)))
    asked = Recipe({"epochs": 2, "folds": 2, "hidden": (4,), "embedding": "none", "sample_weight": "w"})
    trained = train_table(frame, "y", asked)
    weights = trained.prepared.roles.weights[trained.prepared.split.training]
    for name in ("find_shares", "find_temperature"):
        assert seen[name] == pytest.approx(weights / weights.mean()), name
