"""Estimators and table models at their destination: GridSearchCV's workers, files of joblib, other threads."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import polars as pl
import pytest
import travellers
from sameness import differences
from sklearn.model_selection import GridSearchCV, cross_val_predict
from ways import FEW as WAYS

import chainrule as cr
from chainrule import data, estimators, nn, tables

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
LABELS = np.array(["no", "perhaps", "yes"])[np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5])]
NUMBERS = X @ [1.0, -2.0, 0.5]
EDGES = [(a, b) for a in "xyz" for b in "hi"] + [(a, b) for a in "hi" for b in "opq"]
GRAPH = {"edges": EDGES, "inputs": list("xyz"), "outputs": list("opq"), "max_iter": 5, "random_state": 0}
QUICK = {"hidden_layer_sizes": (7, 5), "max_iter": 5, "random_state": 0}
TABLE = {"hidden": 4, "epochs": 2, "random_state": 0}

ESTIMATORS = {
    "classifier": lambda: estimators.MLPClassifier(**QUICK, dropout=0.25, batch_norm=True),
    "regressor": lambda: estimators.MLPRegressor(**QUICK, solver="sgd", learning_rate="adaptive"),
    "lbfgs": lambda: estimators.MLPClassifier(**QUICK, solver="lbfgs"),
    "early stopping": lambda: estimators.MLPRegressor(**QUICK, early_stopping=True, loss=nn.huber),
    "ensemble": lambda: estimators.MLPClassifier(**QUICK, restarts=3, ensemble=True),
    "graph classifier": lambda: estimators.GraphNetworkClassifier(**GRAPH),
    "graph regressor": lambda: estimators.GraphNetworkRegressor(**{**GRAPH, "outputs": ["o"]}, bias=False),
    "logistic": estimators.MultinomialLogisticRegression,
    "perceptron": lambda: estimators.Perceptron(max_iter=5),
    "ridge": lambda: estimators.Ridge(alpha=0.1),
    "table classifier": lambda: estimators.TableClassifier(**TABLE, folds=2),
    "table regressor": lambda: estimators.TableRegressor(**TABLE, ensemble=False),
}


def target(model):
    return LABELS if hasattr(model, "classes_") or "Classifier" in type(model).__name__ else NUMBERS


def fitted(name):
    model = ESTIMATORS[name]()
    labels = "classifier" in name or name in ("lbfgs", "ensemble", "logistic", "perceptron")
    return model.fit(X, LABELS if labels else NUMBERS)


def says(model):
    return [getattr(model, what)(X) for what in ("predict", "predict_proba") if hasattr(model, what)]


pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_every_estimator_is_there():
    assert {type(make()).__name__ for make in ESTIMATORS.values()} == set(estimators.__all__)


@pytest.mark.parametrize("way", {**WAYS, "copy": copy.copy})
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_predict_and_learn_on(name, way, worker):
    way = {**WAYS, "copy": copy.copy}[way]
    blank = ESTIMATORS[name]()
    assert repr(way(blank)) == repr(blank)
    model = fitted(name)
    expected = says(model)
    twin = way(model)
    assert not list(differences(model, twin))
    assert not list(differences(expected, says(twin)))
    if getattr(model, "solver", "") in ("sgd", "adam") and not model.early_stopping:
        for one in (model, twin):
            one.set_params(restarts=1, ensemble=False)
        for one in (twin, model) if way is copy.copy else (model, twin):
            one.partial_fit(X, target(model))
        assert not list(differences(says(model), says(twin)))
        assert not list(differences(model, twin))
        assert not np.array_equal(says(twin)[-1], expected[-1])
    assert not list(
        differences(says(twin), [worker.submit(travellers.asked, twin, w, X).result() for w in asks(twin)])
    )


def asks(model):
    return [what for what in ("predict", "predict_proba") if hasattr(model, what)]


@pytest.mark.parametrize("mode", [None, "r", "r+", "c"])
@pytest.mark.parametrize("name", ["classifier", "graph classifier", "regressor"])
def test_an_estimator_in_a_mapped_file(name, mode, tmp_path):
    model = fitted(name)
    path = tmp_path / "model.joblib"
    joblib.dump(model, path)
    content = path.read_bytes()
    twin = joblib.load(path, mmap_mode=mode)
    assert not list(differences(says(model), says(twin)))
    for one in (model, twin):
        one.partial_fit(X, target(model))
    assert not list(differences(says(model), says(twin)))
    assert path.read_bytes() == content


@pytest.mark.parametrize("attribute", ["weight_", "bias_", "parameters_"])
@pytest.mark.parametrize("way", [name for name in WAYS if name != "out of band"])  # NumPy refuses those
def test_what_a_graph_estimator_shows_is_what_it_computes_with(attribute, way):
    twin = WAYS[way](fitted("graph classifier"))
    before = says(twin)
    shown = getattr(twin, attribute)
    (shown["body.weight"] if isinstance(shown, dict) else shown)[...] += 1.0
    assert not np.array_equal(says(twin)[1], before[1])


def test_a_search_in_other_processes_finds_the_same():
    grid = {"alpha": [1e-4, 1e-1], "hidden_layer_sizes": [(4,), (6, 3)]}
    found = [
        GridSearchCV(estimators.MLPClassifier(max_iter=5, random_state=0), grid, n_jobs=n, cv=2).fit(
            X, LABELS
        )
        for n in (1, 2)
    ]
    here, there = (search.cv_results_ for search in found)
    for key in (k for k in here if k.endswith("_score")):
        np.testing.assert_array_equal(here[key], there[key])
    assert not list(differences(says(found[0].best_estimator_), says(found[1].best_estimator_)))
    folds = [cross_val_predict(found[0].best_estimator_, X, LABELS, cv=2, n_jobs=n) for n in (1, 2)]
    np.testing.assert_array_equal(*folds)


def test_a_loss_without_a_name_stays_here_unless_cloudpickle_takes_it():
    model = estimators.MLPRegressor(**QUICK, loss=lambda a, b: ((a - b) ** 2).mean()).fit(X, NUMBERS)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(model)
    assert not list(differences(says(model), says(WAYS["cloudpickle"](model))))
    model.set_params(loss="squared_error")  # a setting; nothing else holds it
    assert not list(differences(says(model), says(pickle.loads(pickle.dumps(model)))))


def test_a_pickle_of_an_estimator_from_another_version_is_refused():
    data = pickle.dumps(fitted("ridge"), 2)
    here = cr.__version__.encode()
    other = b"%c" % ((here[0] - 47) % 10 + 48) + here[1:]
    with pytest.raises(cr.errors.ModelFileError, match="another version"):
        pickle.loads(data.replace(here, other))
    with pytest.raises(cr.errors.ModelFileError, match="version unknown"):
        pickle.loads(data.replace(b"_chainrule_version", b"_something_version"))


@pytest.mark.parametrize("way", WAYS)
def test_table_models(way, worker):
    xnor = data.load_bundled("xnor")
    model = tables.train_table(xnor.frame, xnor.target, tables.TrainingSettings(hidden=(8,), epochs=20)).model
    frame = pl.DataFrame({"x1": [0, 1, 1], "x2": [0, 0, 1]})
    expected = model.predict(frame)
    twin = WAYS[way](model)
    assert not list(differences(model, twin))
    assert not list(differences(expected, twin.predict(frame)))
    assert not list(differences(expected, worker.submit(travellers.predicted, twin, frame).result()))
    last = twin.network.parameters()[-1]
    last.assign(last.numpy() + 1.0)
    assert not list(differences(expected, model.predict(frame)))
    assert not np.array_equal(expected.probabilities, twin.predict(frame).probabilities)


def test_copies_are_made_while_others_predict():
    model = fitted("classifier")
    network = model.network_
    expected = [model.predict_proba(X), network.predict(X.astype(np.float32))]

    def copied(_):
        own, net = copy.deepcopy((model, network))
        return [own.predict_proba(X), net.predict(X.astype(np.float32))]

    def used(_):
        return [model.predict_proba(X), network.predict(X.astype(np.float32))]

    with ThreadPoolExecutor(4) as pool:
        for found in [*pool.map(copied, range(8)), *pool.map(used, range(8))]:
            assert not list(differences(expected, found))
