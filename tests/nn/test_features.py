import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import PolynomialFeatures

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError, ShapeError

X = np.random.default_rng(0).normal(size=(7, 3))


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("interactions_only", [True, False])
def test_features_are_those_of_scikit_learn(degree, constant, interactions_only):
    ours = nn.PolynomialFeatures(3, degree, constant=constant, interactions_only=interactions_only)
    theirs = PolynomialFeatures(degree, include_bias=constant, interaction_only=interactions_only)
    expected = theirs.fit_transform(X)
    np.testing.assert_allclose(ours(X).numpy(), expected, rtol=1e-14)
    assert ours.out_features == len(ours.monomials) == expected.shape[1]
    powers = np.array([[m.count(i) for i in range(3)] for m in ours.monomials])
    np.testing.assert_array_equal(powers, theirs.powers_)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
)
def test_kernel_is_the_inner_product_of_the_features(features, degree, seed):
    rng = np.random.default_rng(seed)
    x, other = rng.normal(size=(4, features)), rng.normal(size=(3, features))
    phi = nn.PolynomialFeatures(features, degree, kernel=True)
    gram = nn.polynomial_kernel(x, other, degree).numpy()
    scale = ((1 + np.abs(x) @ np.abs(other).T) ** degree).max()
    np.testing.assert_allclose((phi(x) @ phi(other).T).numpy(), gram, rtol=1e-12, atol=1e-13 * scale)
    np.testing.assert_allclose(gram, (1 + x @ other.T) ** degree, rtol=1e-14)


def test_features_pass_the_gradient_on():
    cr.check_gradients(nn.PolynomialFeatures(3, 3), X)
    cr.check_gradients(nn.PolynomialFeatures(3, 2, kernel=True), X)


def test_features_train_compiled_as_interpreted():
    losses = []
    for executor in ("interpreted", "compiled"):
        model = nn.Sequential(nn.PolynomialFeatures(3, 3), nn.Linear(20, 1, seed=0, dtype=cr.float64))
        history = cr.fit(
            model,
            (X, X[:, 0] * X[:, 1]),
            loss=nn.squared_error,
            optimizer=optim.Adam(1e-2),
            epochs=5,
            executor=executor,
            progress=False,
        )
        losses.append(history.loss)
    np.testing.assert_allclose(*losses, rtol=1e-9)


def test_rows_of_any_batch_shape():
    phi = nn.PolynomialFeatures(3, 2)
    np.testing.assert_array_equal(phi(X[0]).numpy(), phi(X).numpy()[0])
    np.testing.assert_array_equal(phi(X[:6].reshape(2, 3, 3)).numpy(), phi(X[:6]).numpy().reshape(2, 3, 10))


def test_more_factors_than_inputs():
    phi = nn.PolynomialFeatures(2, 5, interactions_only=True)
    assert phi.monomials == [(), (0,), (1,), (0, 1)] and phi.out_features == 4
    np.testing.assert_array_equal(phi(np.array([[2.0, 3.0]])).numpy(), [[1, 2, 3, 6]])


def test_features_that_cannot_be_are_refused():
    with pytest.raises(SettingError, match="every monomial"):
        nn.PolynomialFeatures(2, constant=False, kernel=True)
    with pytest.raises(SettingError, match="degree"):
        nn.PolynomialFeatures(2, 0)
    with pytest.raises(SettingError, match="too many"):
        nn.PolynomialFeatures(64, 6)
    with pytest.raises(ShapeError, match="number of features"):
        nn.PolynomialFeatures(2)(np.zeros((4, 3)))
    for other in (np.zeros((1, 2)), np.zeros(3)):
        with pytest.raises(ShapeError, match="equal width"):
            nn.polynomial_kernel(np.zeros((1, 3)), other)
    shown = repr(nn.PolynomialFeatures(2, interactions_only=True))
    assert shown == "PolynomialFeatures(2, degree=2, interactions_only=True)"
