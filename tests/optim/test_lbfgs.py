from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

import chainrule as cr
from chainrule import optim
from chainrule.errors import GradientError, SettingError


def quadratic(theta):
    scale = np.arange(1.0, theta.size + 1)
    return float((scale * (theta - 1) ** 2).sum() / 2), scale * (theta - 1)


def test_quadratic():
    result = optim.LBFGS(tolerance=1e-9).minimise(quadratic, np.zeros(20))
    assert result.converged
    assert result.message.startswith("critical point reached")
    np.testing.assert_allclose(result.theta, 1.0, atol=1e-9)
    assert result.gradient_norm == np.abs(quadratic(result.theta)[1]).max() <= 1e-9
    assert result.loss == quadratic(result.theta)[0]
    assert result.theta.dtype == np.float64


@pytest.mark.parametrize("start", [[-1.2, 1.0], [-1.2, 1.0, -1.2, 1.0, 0.5]])
def test_rosenbrock(start):
    result = optim.LBFGS(tolerance=1e-6).minimise(lambda t: (rosen(t), rosen_der(t)), start)
    assert result.converged
    np.testing.assert_allclose(result.theta, 1.0, atol=1e-5)
    assert result.iterations < 100


def test_logistic_regression_reaches_the_optimum_of_scikit_learn():
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression

    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)

    def loss(theta):
        z = cr.tensor(x) @ theta[:-1] + theta[-1]
        return cr.sum(cr.softplus(z) - cr.tensor(y.astype(float)) * z) + 0.5 * cr.sum(theta[:-1] ** 2)

    def value_and_gradient(theta):
        value, gradient = cr.value_and_grad(loss)(cr.tensor(theta))
        return value.item(), gradient.numpy()

    result = optim.LBFGS(tolerance=1e-6).minimise(value_and_gradient, np.zeros(31))
    peer = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(x, y)
    best = np.append(peer.coef_[0], peer.intercept_)
    assert result.converged
    np.testing.assert_allclose(result.theta, best, atol=1e-5)
    assert result.loss <= value_and_gradient(best)[0] * (1 + 1e-12)


def test_float32_start_is_searched_in_float64():
    seen = []

    def function(theta):
        seen.append(theta.dtype)
        return quadratic(theta)

    start = np.zeros(3, np.float32)
    assert optim.LBFGS().minimise(function, start).converged
    assert set(seen) == {np.dtype(np.float64)}
    np.testing.assert_array_equal(start, 0)


def test_counts_and_callback():
    calls, evaluated = [], []

    def function(theta):
        evaluated.append(theta)
        return rosen(theta), rosen_der(theta)

    result = optim.LBFGS().minimise(
        function, [-1.2, 1.0], lambda i, theta, loss: calls.append((i, rosen(theta), loss))
    )
    assert [i for i, _, _ in calls] == list(range(1, result.iterations + 1))
    assert all(loss == value for _, value, loss in calls)
    assert [loss for _, _, loss in calls] == sorted((loss for _, _, loss in calls), reverse=True)
    assert result.evaluations == len(evaluated)


def test_callback_stops():
    result = optim.LBFGS().minimise(
        lambda t: (rosen(t), rosen_der(t)), [-1.2, 1.0], lambda iteration, theta, loss: iteration == 3
    )
    assert (result.iterations, result.converged) == (3, False)
    assert result.message == "stopped by the callback after 3 iterations"


def test_too_few_iterations_are_not_called_converged():
    result = optim.LBFGS(max_iterations=2).minimise(lambda t: (rosen(t), rosen_der(t)), [-1.2, 1.0])
    assert not result.converged
    assert result.iterations == 2
    assert result.message == "stopped after 2 iterations, before a critical point"
    assert result.loss < rosen(np.array([-1.2, 1.0]))


def test_start_at_a_critical_point():
    result = optim.LBFGS().minimise(quadratic, np.ones(3))
    assert result.converged
    assert result.iterations == 0
    np.testing.assert_array_equal(result.theta, 1.0)


def test_wrong_gradient_is_not_called_converged():
    result = optim.LBFGS().minimise(lambda t: (float((t**2).sum()), -2 * t), np.ones(3))
    assert not result.converged
    assert "gradient may be wrong" in result.message
    np.testing.assert_array_equal(result.theta, 1.0)


def test_losses_that_overflow_on_the_way_do_no_harm():
    def barrier(theta):
        with np.errstate(all="ignore"):
            return float((theta - np.log(theta)).sum()), 1 - 1 / theta

    result = optim.LBFGS().minimise(barrier, np.array([0.01, 50.0]))
    assert np.isfinite(result.theta).all()
    assert result.loss < barrier(np.array([0.01, 50.0]))[0]
    np.testing.assert_allclose(result.theta, 1.0, atol=1e-4)


def test_unsound_starts():
    with pytest.raises(GradientError, match="not finite"):
        optim.LBFGS().minimise(lambda t: (float("nan"), t), np.ones(2))
    with pytest.raises(GradientError, match="not finite"):
        optim.LBFGS().minimise(lambda t: (1.0, t * np.inf), np.ones(2))
    with pytest.raises(GradientError, match="shape"):
        optim.LBFGS().minimise(lambda t: (1.0, np.ones(3)), np.ones(2))


def test_single_steps_are_refused():
    with pytest.raises(SettingError, match="fit"):
        optim.LBFGS().attach([]).step()


def test_settings():
    for wrong in ({"max_iterations": 0}, {"history": 1.5}, {"tolerance": -1.0}):
        with pytest.raises(SettingError):
            optim.LBFGS(**wrong)
    assert optim.LBFGS(history=5).describe() == {
        "name": "LBFGS",
        "max_iterations": 200,
        "history": 5,
        "tolerance": 1e-6,
    }


def test_scipy_works_on_one_thread_and_numpy_as_before():
    """BLAS threads that wait keep their processor: a fit of ten parameters would slow every other process."""
    from threadpoolctl import ThreadpoolController

    def threads():
        return {lib.filepath: lib.num_threads for lib in ThreadpoolController().lib_controllers}

    with ThreadpoolController().limit(limits=2):
        before, during = threads(), {}

        def bowl(theta):
            during.update(threads())
            return float(theta @ theta), 2 * theta

        optim.LBFGS().minimise(bowl, np.ones(3))
        assert threads() == before
    scipys = {file for file in before if any("scipy" in part for part in Path(file).parts[-3:-1])}
    assert before and during == {file: 1 if file in scipys else n for file, n in before.items()}
