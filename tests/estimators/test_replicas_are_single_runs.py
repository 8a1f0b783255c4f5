"""One training system: every replica of ``restarts=R`` is the single run of its seed, to the last bit."""

import numpy as np
import pytest
import scipy.sparse
from tests.thorough import first_ones

from chainrule.errors import SettingError
from chainrule.estimators import GraphNetworkClassifier, GraphNetworkRegressor, MLPClassifier, MLPRegressor

QUICK = {"learning_rate_init": 0.01, "max_iter": 12, "batch_size": 32}
EDGES = [*((i, h) for i in "abcd" for h in "uv"), ("u", "v"), *((h, o) for h in "uv" for o in "xyz")]
SETTINGS = {
    "adam": {},
    "sgd": {"solver": "sgd"},
    "sgd without Nesterov": {"solver": "sgd", "nesterovs_momentum": False},
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "tol": 0.05,
        "n_iter_no_change": 2,
        "max_iter": 40,
    },
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
    "cosine": {"learning_rate": "cosine"},
    "stops at a plateau": {"tol": 0.02, "n_iter_no_change": 2, "max_iter": 200},
    "early_stopping": {"early_stopping": True, "n_iter_no_change": 3, "max_iter": 60},
    "early_stopping by the loss": {
        "early_stopping": True,
        "scoring": "loss",
        "n_iter_no_change": 2,
        "max_iter": 60,
    },
    "early_stopping, adaptive": {
        "early_stopping": True,
        "solver": "sgd",
        "learning_rate": "adaptive",
        "n_iter_no_change": 2,
        "max_iter": 60,
    },
    "clip_norm": {"clip_norm": 0.1},
    "in order": {"shuffle": False},
    "one minibatch": {"batch_size": "auto"},
    "float64": {"dtype": "float64"},
    "a generator": {"random_state": "generator"},
}
NETWORKS = {
    "dropout": {"dropout": 0.2},
    "batch_norm": {"batch_norm": True},
    "both, early_stopping": {"dropout": 0.2, "batch_norm": True, "early_stopping": True, "max_iter": 30},
    "two layers": {"hidden_layer_sizes": (6, 5), "activation": ["tanh", "gelu"]},
}
SHOWN = [
    *("coefs_", "intercepts_", "parameters_", "loss_", "loss_curve_", "best_loss_", "n_iter_", "t_"),
    *("validation_scores_", "best_validation_score_"),
]


def arrays(value):
    """Whatever a fitted attribute holds, as a list of arrays."""
    if isinstance(value, dict):
        return [np.asarray(value[name]) for name in sorted(value)]
    return [np.asarray(part, float) for part in (value if isinstance(value, list) else [value])]


def check_equal(one, other, X):
    """To the last bit, all that a fit shows, and what is predicted."""
    for name in SHOWN:
        assert hasattr(one, name) == hasattr(other, name), name
        for a, b in zip(arrays(getattr(one, name, None)), arrays(getattr(other, name, None)), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
    what = "predict_proba" if hasattr(one, "predict_proba") else "predict"
    np.testing.assert_array_equal(getattr(one, what)(X), getattr(other, what)(X))


def random_state_of(settings, seed):
    return np.random.RandomState(seed) if settings.get("random_state") == "generator" else seed


def check_first_replica(kind, settings, X, y, **given):
    """Replica 0 against the single run; where it is the kept one, in everything, and in what follows."""
    for seed in range(8):
        several = kind(**settings | {"random_state": random_state_of(settings, seed)}, restarts=3).fit(
            X, y, **given
        )
        alone = kind(**settings | {"random_state": random_state_of(settings, seed)}).fit(X, y, **given)
        first = several.history_.replicas[0]
        assert first.loss == alone.loss_curve_ and len(first.loss) == alone.n_iter_
        for name, value in alone._values().items():
            np.testing.assert_array_equal(first.state[name], value, err_msg=name)
        curves = {tuple(replica.loss) for replica in several.history_.replicas}
        assert len(curves) == 3  # the others are others
        if several.history_.best != 0:
            continue
        check_equal(several, alone, X)
        if not settings.get("early_stopping"):
            for model in (several.set_params(restarts=1), alone):
                model.set_params(random_state=0)
                for _ in range(2):
                    model.partial_fit(X, y)
            check_equal(several, alone, X)
        return
    pytest.fail("replica 0 was the best of none of the seeds")


@pytest.mark.parametrize("settings", (SETTINGS | NETWORKS).values(), ids=(SETTINGS | NETWORKS).keys())
def test_replica_0_of_a_classifier(settings, iris):
    check_first_replica(MLPClassifier, QUICK | {"hidden_layer_sizes": 6} | settings, *iris)


@pytest.mark.parametrize(
    "settings", first_ones((SETTINGS | NETWORKS).values(), 4), ids=(SETTINGS | NETWORKS).keys()
)
def test_replica_0_of_a_regressor(settings, diabetes):
    check_first_replica(MLPRegressor, QUICK | {"hidden_layer_sizes": 6} | settings, *diabetes)


@pytest.mark.parametrize("settings", first_ones(SETTINGS.values(), 3), ids=SETTINGS.keys())
def test_replica_0_of_graph_networks(settings, iris, diabetes):
    graph = {"edges": EDGES, "inputs": list("abcd")}
    check_first_replica(GraphNetworkClassifier, QUICK | graph | {"outputs": list("xyz")} | settings, *iris)
    graph["edges"] = [edge for edge in EDGES if edge[1] not in ("y", "z")]
    X, y = diabetes[0][:, :4], diabetes[1]
    check_first_replica(GraphNetworkRegressor, QUICK | graph | {"outputs": ["x"]} | settings, X, y)


@pytest.mark.parametrize("name", ["adam", "early_stopping", "one minibatch"])
def test_replica_0_with_weights(name, iris, diabetes):
    settings = QUICK | {"hidden_layer_sizes": 6} | SETTINGS[name]
    weight = np.linspace(0.1, 2.0, 150)
    check_first_replica(MLPClassifier, settings, *iris, sample_weight=weight)
    check_first_replica(MLPClassifier, settings | {"class_weight": {0: 2.0, 1: 1.0, 2: 0.5}}, *iris)
    check_first_replica(MLPRegressor, settings, *diabetes, sample_weight=np.linspace(0, 1, 442))


@pytest.mark.parametrize("name", ["adam", "early_stopping", "early_stopping by the loss"])
def test_replica_0_with_a_validation_set(name, iris):
    X, y = iris
    settings = QUICK | {"hidden_layer_sizes": 6} | SETTINGS[name]
    given = {"X_val": X[1::2], "y_val": y[1::2]}
    check_first_replica(MLPClassifier, settings, X[::2], y[::2], **given)
    check_first_replica(MLPClassifier, settings | {"scoring": "neg_log_loss"}, X[::2], y[::2], **given)


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}], ids=str)
def test_replica_0_on_sparse_rows(settings):
    # large enough to stay sparse
    X = scipy.sparse.random(3000, 1500, 0.01, "csr", random_state=0)
    y = np.asarray(X.sum(1)).ravel() > 7.5
    settings |= QUICK | {"hidden_layer_sizes": 3, "max_iter": 3, "batch_size": 200}
    check_first_replica(MLPClassifier, settings, X, y)


def test_replica_0_of_several_labels_and_targets(iris, diabetes):
    settings = QUICK | {"hidden_layer_sizes": 6}
    labels = np.column_stack([iris[1] == 2, iris[1] > 0]).astype(int)
    check_first_replica(MLPClassifier, settings, iris[0], labels)
    check_first_replica(MLPRegressor, settings, diabetes[0], np.column_stack([diabetes[1], -diabetes[1]]))


@pytest.mark.parametrize("name", ["adam", "cosine", "early_stopping", "stops at a plateau"])
def test_every_replica_is_the_single_run_of_its_seed(name, iris):
    X, y = iris
    settings = QUICK | {"hidden_layer_sizes": 6, "scoring": None} | SETTINGS[name]
    given = {"X_val": X[1::2], "y_val": y[1::2]} if settings.get("early_stopping") else {}
    several = MLPClassifier(**settings, restarts=4, random_state=5).fit(X[::2], y[::2], **given)
    assert several.replica_seeds_ == [(5 + r * 2654435769) % 2**32 for r in range(4)]
    for r, seed in enumerate(several.replica_seeds_):
        alone = MLPClassifier(**settings, random_state=seed).fit(X[::2], y[::2], **given)
        replica = several.history_.replicas[r]
        assert replica.loss == alone.loss_curve_
        for part, value in alone._values().items():
            np.testing.assert_array_equal(replica.state[part], value)
        if r == several.history_.best:
            check_equal(several, alone, X)


def test_all_replicas_are_judged_by_the_same_rows(iris):
    # the split is that of replica 0, so that scores can be compared
    X, y = iris
    settings = QUICK | {"hidden_layer_sizes": 6, "early_stopping": True, "max_iter": 30}
    several = MLPClassifier(**settings, restarts=3, random_state=1).fit(X, y)
    seen = []

    def note(estimator, X_val, y_val):
        seen.append(X_val.tobytes())
        return 0.5

    MLPClassifier(**settings | {"scoring": note}, restarts=3, random_state=1).fit(X, y)
    assert len(set(seen)) == 1 and len(seen) >= 9
    assert [len(replica.validation_loss) for replica in several.history_.replicas] == [
        len(replica.loss) for replica in several.history_.replicas
    ]


def test_generators_and_no_random_state(iris):
    generator = np.random.RandomState(3)
    several = MLPClassifier(**QUICK, restarts=3, random_state=generator).fit(*iris)
    after = generator.randint(2**31)
    alone = np.random.RandomState(3)
    single = MLPClassifier(**QUICK, random_state=alone).fit(*iris)
    assert after == alone.randint(2**31)  # a fit takes as many numbers from it as a single run
    assert several.replica_seeds_[0] is None and len(set(several.replica_seeds_)) == 3
    assert several.history_.replicas[0].loss == single.loss_curve_
    free = MLPClassifier(**QUICK, restarts=2).fit(*iris)
    assert free.history_.replicas[0].loss != free.history_.replicas[1].loss


def test_threads_change_no_bit(iris):
    for more in ({}, {"early_stopping": True, "scoring": "accuracy"}, {"dropout": 0.2, "batch_norm": True}):
        found = [
            MLPClassifier(**QUICK | more, restarts=5, random_state=0, threads=threads).fit(*iris).history_
            for threads in (1, 2, 8)
        ]
        for other in found[1:]:
            np.testing.assert_array_equal(found[0].loss, other.loss)
            assert found[0].best == other.best


def test_warm_start_is_still_refused(iris):
    with pytest.raises(SettingError, match="warm_start"):
        MLPClassifier(**QUICK, restarts=2, warm_start=True).fit(*iris)
