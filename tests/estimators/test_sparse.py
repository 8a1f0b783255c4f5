"""Sparse X and y: the same networks, without the zeros being written out."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

import chainrule as cr
from chainrule import estimators, nn, optim
from chainrule.errors import DataError
from chainrule.training import sparse_rows

RNG = np.random.default_rng(0)
X = sp.random(90, 12, 0.3, format="csr", random_state=0)
Y = (np.asarray(X.sum(1)).ravel() > 1.7).astype(int)
LABELS = np.column_stack([Y, X.toarray()[:, 0] > 0]).astype(int)
KINDS = [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.csc_array, sp.coo_matrix, sp.coo_array, sp.lil_matrix]


@pytest.fixture
def kept_sparse(monkeypatch):
    """Even a small matrix stays sparse, and is written out a few rows at a time."""
    monkeypatch.setattr(estimators.inputs, "LARGEST_WRITTEN_OUT", 0)
    monkeypatch.setattr(sparse_rows, "CELLS_AT_ONCE", 300)
    monkeypatch.setattr(estimators.network, "CELLS_AT_ONCE", 300)


SETTINGS = {
    "minibatches": {},
    "ragged": {"batch_size": 7},
    "sgd": {"solver": "sgd", "batch_size": 32},
    "early stopping": {"early_stopping": True, "batch_size": 16},
    "score": {"early_stopping": True, "batch_size": 16, "scoring": "neg_log_loss"},
    "loss": {"early_stopping": True, "batch_size": 16, "scoring": "loss"},
    "restarts": {"restarts": 3, "batch_size": 16},
    "restarts, early": {"restarts": 2, "batch_size": 16, "early_stopping": True},
    "ensemble": {"restarts": 2, "batch_size": 16, "ensemble": True},
    "dropout": {"dropout": 0.3, "batch_norm": True, "batch_size": 16},
    "lbfgs": {"solver": "lbfgs"},
    "float64": {"dtype": "float64", "batch_size": 16},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_classifier_is_the_same_bit_for_bit(kept_sparse, name):
    settings = {"hidden_layer_sizes": 6, "max_iter": 5, "random_state": 0, "batch_size": 30} | SETTINGS[name]
    dense = estimators.MLPClassifier(**settings)
    sparse = estimators.MLPClassifier(**settings)
    with np.errstate(all="ignore"), pytest.warns(Warning):  # so few epochs do not converge
        dense.fit(X.toarray(), Y)
        sparse.fit(X, Y)
    for a, b in zip(dense.coefs_ + dense.intercepts_, sparse.coefs_ + sparse.intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(dense.predict_proba(X.toarray()), sparse.predict_proba(X), rtol=1e-5)
    np.testing.assert_array_equal(dense.predict(X), sparse.predict(X))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("large", [False, True])
def test_every_kind_of_sparse_matrix(kind, large, request):
    if large:
        request.getfixturevalue("kept_sparse")
    expected = estimators.MLPRegressor(5, random_state=0, batch_size=30, learning_rate="cosine", max_iter=5)
    expected = expected.set_params(hidden_layer_sizes=5, loss="squared_error").fit(X.toarray(), LABELS * 1.0)
    found = estimators.MLPRegressor(
        hidden_layer_sizes=5, random_state=0, batch_size=30, learning_rate="cosine", max_iter=5
    ).fit(kind(X), LABELS * 1.0)
    np.testing.assert_array_equal(expected.coefs_[0], found.coefs_[0])
    np.testing.assert_allclose(found.predict(kind(X)), expected.predict(X.toarray()), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("early", [False, True])
def test_a_sparse_multilabel_y(kind, early):
    settings = {"hidden_layer_sizes": 5, "random_state": 0, "learning_rate": "cosine", "max_iter": 20}
    model = estimators.MLPClassifier(**settings, early_stopping=early).fit(kind(X), kind(LABELS))
    dense = estimators.MLPClassifier(**settings, early_stopping=early).fit(X.toarray(), LABELS)
    found = model.predict(kind(X))
    assert sp.issparse(found)  # as scikit-learn has it
    np.testing.assert_array_equal(found.toarray(), dense.predict(X.toarray()))
    np.testing.assert_array_equal(model.predict_proba(X), dense.predict_proba(X.toarray()))
    assert model.score(kind(X), kind(LABELS)) == dense.score(X.toarray(), LABELS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_sparse_row(kind):
    model = estimators.MLPClassifier(5, random_state=0, learning_rate="cosine", max_iter=3).fit(kind(X), Y)
    expected = model.predict_proba(X.toarray()[:1])
    for row in (kind(X).tocsr()[0], kind(X).tocsr()[[0]]):  # of an array the first has one axis
        assert row.shape in ((12,), (1, 12))
        np.testing.assert_allclose(model.predict_proba(row), expected, rtol=1e-6)
    model.partial_fit(kind(X).tocsr()[[0]], Y[:1])


@pytest.mark.parametrize(
    "kind", [estimators.Ridge, estimators.Perceptron, estimators.MultinomialLogisticRegression]
)
def test_linear_models(kept_sparse, kind):
    with np.errstate(all="ignore"):
        settings = {"max_iter": 3000} if kind is not estimators.Ridge else {}
        a, b = kind(**settings).fit(X.toarray() * 1.0, Y), kind(**settings).fit(X, Y)
    np.testing.assert_array_equal(a.coef_, b.coef_)
    np.testing.assert_allclose(a.predict(X.toarray()), b.predict(X), rtol=1e-10)


def test_where_a_sparse_matrix_is_not_finite(kept_sparse):
    bad = X.tolil()
    bad[31, 5] = np.nan
    with pytest.raises(DataError, match="nan in column 5, row 31"):
        estimators.MLPClassifier().fit(bad.tocsc(), Y)


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
@pytest.mark.parametrize("kind", KINDS)
def test_fit_takes_a_sparse_matrix(monkeypatch, kind, executor):
    monkeypatch.setattr(sparse_rows, "CELLS_AT_ONCE", 100)
    for settings in (
        {"batch_size": 16},
        {"batch_size": 16, "validation": True},
        {"batch_size": 200},
        {"restarts": 2, "stop": cr.EarlyStopping(2)},
    ):
        found = []
        for x in (X.toarray(), kind(X)):
            options = dict(settings)
            if "validation" in options:
                options["validation"] = x, Y[:, None]
            model = nn.MLP([12, 5, 1], "tanh", seed=0, dropout=0.2, batch_norm=True, dtype=np.float64)
            history = cr.fit(
                model, (x, Y[:, None]), loss=nn.squared_error, optimizer=optim.Adam(0.01), epochs=4,
                executor=executor, **options,
            )  # fmt: skip
            found.append((model.state_dict(), history))
        for key, value in found[0][0].items():
            np.testing.assert_array_equal(value, found[1][0][key])
        np.testing.assert_array_equal(found[0][1].loss, found[1][1].loss)
        np.testing.assert_array_equal(found[0][1].validation_loss, found[1][1].validation_loss)


def test_a_checkpoint_of_sparse_rows(tmp_path):
    def run(x, **settings):
        return cr.fit(
            nn.MLP([12, 5, 1], "tanh", seed=0), (x, Y[:, None]), loss=nn.squared_error, optimizer=optim.SGD(0.1),
            checkpoint=tmp_path / "run.safetensors", **settings,
        )  # fmt: skip

    run(X, epochs=2)
    assert run(X, epochs=3, resume=True).loss.shape == (1, 3)
    with pytest.raises(cr.errors.SettingError, match="another run"):
        run(2 * X, epochs=3, resume=True)


def test_integers_and_entries_that_come_twice():
    twice = sp.coo_matrix((np.array([1, 2, 2**24 + 1]), ([0, 0, 1], [0, 0, 1])), shape=(2, 2))
    with pytest.raises(DataError, match=f"X.data.* = {2**24 + 1}"):
        cr.fit(nn.Linear(2, 1), (twice, np.zeros((2, 1))), loss=nn.squared_error, optimizer=optim.SGD(0.1))


@pytest.mark.slow
def test_the_zeros_are_not_written_out():
    """4,000 x 20,000 are 320 MB in float32."""
    x = sp.random(4_000, 20_000, 1e-3, format="csr", random_state=0, dtype=np.float32)
    y = np.asarray(x.sum(1)).ravel() > 10
    model = estimators.MLPClassifier(
        2, max_iter=1, random_state=0, early_stopping=True, learning_rate="cosine"
    )
    tracemalloc.start()
    model.fit(x, y)
    model.predict_proba(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6, peak
