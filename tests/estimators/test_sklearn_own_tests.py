"""scikit-learn's own tests of its MLP, as installed, with our classes in the place of its own."""

import importlib.util
import inspect

import pytest
import sklearn.neural_network
import sklearn.neural_network.tests as installed

import chainrule.estimators

NAMES = ("MLPClassifier", "MLPRegressor")
#: what does not apply, and why
LEFT_OUT = {
    "test_gradient": "calls the private _loss_grad_lbfgs; our gradients are tested where they are made",
    "test_mlp_param_dtypes": "wants float64 parameters for float64 X; ours are float32 unless dtype says otherwise",
}


def _load():
    """The test module, imported anew while scikit-learn's names stand for our classes."""
    own = {name: getattr(sklearn.neural_network, name) for name in NAMES}
    path = installed.__path__[0] + "/test_mlp.py"
    spec = importlib.util.spec_from_file_location("sklearn_own_test_mlp", path)
    module = importlib.util.module_from_spec(spec)
    try:
        for name in NAMES:
            setattr(sklearn.neural_network, name, getattr(chainrule.estimators, name))
        spec.loader.exec_module(module)
    finally:
        for name, original in own.items():
            setattr(sklearn.neural_network, name, original)
    return module


MODULE = _load()
OWN = {n: v for n, v in vars(MODULE).items() if n.startswith("test_") and inspect.isfunction(v)}
globals().update({name: test for name, test in OWN.items() if name not in LEFT_OUT})


@pytest.fixture
def global_random_seed():
    """scikit-learn's own fixture, at its default."""
    return 42


def test_it_is_our_classes_that_are_tested():
    assert MODULE.MLPClassifier is chainrule.estimators.MLPClassifier
    assert set(LEFT_OUT) < set(OWN)
    assert len(OWN) > 40


def test_what_is_left_out_works_where_it_applies():
    # test_mlp_param_dtypes: with float32, and with float64 where that is asked for
    X, y = MODULE.X_digits, MODULE.y_digits
    for dtype in ("float32", "float64"):
        for name in NAMES:
            model = getattr(chainrule.estimators, name)(
                hidden_layer_sizes=(5, 3), alpha=1e-5, random_state=1, max_iter=50, tol=1e-1, dtype=dtype
            )
            model.fit(X[:300], y[:300])
            assert all(a.dtype == dtype for a in (*model.coefs_, *model.intercepts_))
            if name == "MLPRegressor":
                assert model.predict(X[300:]).dtype == dtype
