"""Where epochs are scored, with how many BLAS threads, and Ctrl-C between the epochs of several replicas."""

import threading
import warnings
from contextlib import ExitStack

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from chainrule.estimators import MLPClassifier, MLPRegressor
from chainrule.estimators import replicas as replicas_module
from chainrule.estimators.replicas import Replicas
from chainrule.estimators.session import Session
from chainrule.estimators.stochastic import EpochLoop
from chainrule.system.blas import one_blas_thread
from chainrule.training.halving import Halving

QUICK = {"hidden_layer_sizes": 6, "max_iter": 5, "batch_size": 32, "random_state": 0}


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.mark.parametrize("restarts", [1, 3])
@pytest.mark.parametrize("scoring", [None, "accuracy"])
def test_epochs_are_scored_with_one_blas_thread(scoring, restarts, iris, monkeypatch):
    seen = []
    predict = MLPClassifier._predictions

    def noted(estimator, x):
        seen.append(blas_threads())
        return predict(estimator, x)

    monkeypatch.setattr(MLPClassifier, "_predictions", noted)
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        settings = QUICK | {"early_stopping": True, "scoring": scoring, "restarts": restarts}
        MLPClassifier(**settings).fit(*iris)
        assert blas_threads() == before != [1] * len(before)
    assert len(seen) >= 5 * restarts
    assert all(number == 1 for numbers in seen for number in numbers)


def test_scores_do_not_depend_on_the_number_of_blas_threads(diabetes):
    X, y = diabetes
    X = np.tile(X, (20, 30))  # large enough for BLAS to divide its products
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            settings = QUICK | {"early_stopping": True, "max_iter": 2, "hidden_layer_sizes": 64}
            found.append(MLPRegressor(**settings).fit(X, np.tile(y, 20)).validation_scores_)
    assert found[0] == found[1]


def test_blocks_of_one_blas_thread_may_overlap():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        first, second = ExitStack(), ExitStack()
        first.enter_context(one_blas_thread())
        second.enter_context(one_blas_thread())
        first.close()
        assert set(blas_threads()) == {1}
        second.close()
        assert blas_threads() == before


def test_only_a_scorer_of_the_users_is_called_in_the_thread_of_fit(iris, monkeypatch):
    own, users = set(), set()
    score = MLPClassifier._own_score
    monkeypatch.setattr(
        MLPClassifier, "_own_score", lambda *given: (own.add(threading.current_thread()), score(*given))[1]
    )

    def scorer(estimator, X, y):
        users.add(threading.current_thread())
        return 0.5

    for scoring in (None, scorer):
        settings = QUICK | {"early_stopping": True, "scoring": scoring, "restarts": 4, "threads": 2}
        MLPClassifier(**settings).fit(*iris)
    assert threading.main_thread() not in own and own
    assert users == {threading.main_thread()}


# Ctrl-C while a replica begins, between its epochs, and at each step of its end

KINDS = {
    "plain": {},
    "early stopping": {"early_stopping": True},
    "halving": {"restarts": Halving(12, every=2)},
}
PLACES = [
    (Session, "__init__"),
    (Session, "run_epochs"),
    (EpochLoop, "__init__"),
    (EpochLoop, "finished"),
    (EpochLoop, "loss_of_kept"),
    (Session, "snapshot"),
    (replicas_module, "_comparable"),
    (replicas_module, "_rank"),
    (Replicas, "_survivors"),
]
CASES = [
    pytest.param(owner, name, call, kind, id=f"{kind}, {owner.__name__.split('.')[-1]}.{name}, call {call}")
    for owner, name in PLACES
    for kind in KINDS
    for call in ((1, 2) if name == "_survivors" else (3, 9))
    if (name, kind) != ("_rank", "halving") and (name != "_survivors" or kind == "halving")
]


@pytest.mark.parametrize(("owner", "name", "call", "kind"), CASES)
def test_ctrl_c_keeps_what_is_trained(owner, name, call, kind, iris, monkeypatch):
    settings = QUICK | {"restarts": 12, "threads": 1, "max_iter": 8} | KINDS[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = MLPClassifier(**settings).fit(*iris)
    function, calls = getattr(owner, name), []

    def interrupted(*given, **named):
        calls.append(name)
        if len(calls) == call:
            raise KeyboardInterrupt
        return function(*given, **named)

    monkeypatch.setattr(owner, name, interrupted)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = MLPClassifier(**settings).fit(*iris)
    assert len(calls) >= call and found.history_.interrupted
    assert sum("interrupted by user" in str(warning.message) for warning in caught) == 1
    replicas = found.history_.replicas
    for index, replica in enumerate(replicas):
        if len(replica.loss) == 8:
            for part, value in whole.history_.replicas[index].state.items():
                np.testing.assert_array_equal(replica.state[part], value)
    for part, value in found._values().items():
        np.testing.assert_array_equal(replicas[found.history_.best].state[part], value)
    assert np.isfinite(found.predict_proba(iris[0])).all()
