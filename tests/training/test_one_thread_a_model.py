"""Two threads that would train the same parameters: the second one is told so, and neither result is spoilt."""

import copy
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import InTrainingError, SettingError
from chainrule.estimators import MLPClassifier, MLPRegressor, MultinomialLogisticRegression

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = np.sin(X[:, :1])


def fit(model, **settings):
    defaults = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 3, "progress": False}
    return cr.fit(model, (X, Y), **(defaults | settings))


def in_another_thread(work):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def during_training(model, work, **settings):
    """What ``work`` gives in another thread, while this one trains the model; and the history of that."""
    given = []

    def meanwhile(epoch):
        if not given:
            try:
                given.append(in_another_thread(work))
            except InTrainingError as error:
                given.append(error)

    return given, fit(model, callbacks=[meanwhile], **settings)


def compiled_step(model):
    optimizer = optim.SGD(0.1).attach(model)

    @cr.compile
    def step(x, y):
        loss = nn.squared_error(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def eager_step(model):
    nn.squared_error(model(X), Y).backward()
    optim.SGD(0.1).attach(model).step()


def make():
    return nn.MLP([3, 4, 1], seed=0)


WRITERS = {
    "fit": fit,
    "fit with restarts": lambda model: fit(model, restarts=2),
    "fit by L-BFGS": lambda model: fit(model, optimizer=optim.LBFGS()),
    "a model around it": lambda model: fit(nn.Sequential(model, nn.Linear(1, 1, seed=1))),
    "a model with a layer of it": lambda model: fit(nn.Sequential(*list(model)[:1], nn.Linear(4, 1, seed=1))),
    "a compiled step": lambda model: compiled_step(model)(X, Y),
    "an optimizer's step": eager_step,
}


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
@pytest.mark.parametrize("writer", WRITERS)
def test_whoever_writes_meanwhile_is_refused(writer, executor):
    model = make()
    (error,), history = during_training(model, lambda: WRITERS[writer](model), executor=executor)
    assert isinstance(error, InTrainingError)
    text = str(error)
    assert "is being trained" in text and "another thread" in text and "copy.deepcopy" in text
    np.testing.assert_array_equal(history.loss, fit(make(), executor=executor).loss)  # the first one goes on
    WRITERS[writer](model)  # afterwards it is free


def test_a_part_without_parameters_that_two_models_share():
    """Tracing switches its mode: dropout would be left out of one of them."""
    dropout = nn.Dropout(0.5)
    first, second = (nn.Sequential(nn.Linear(3, 1, seed=0), dropout) for _ in range(2))
    (error,), _ = during_training(first, lambda: fit(second))
    assert isinstance(error, InTrainingError)


def test_a_compiled_step_from_before_is_refused_too():
    model = make()
    step = compiled_step(model)
    step(X, Y)
    before = model.state_dict()
    (error,), _ = during_training(model, lambda: step(X, Y), epochs=1)
    assert isinstance(error, InTrainingError)
    expected = make()
    expected.load_state_dict(before)
    fit(expected, epochs=1)
    for name, value in expected.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value)


def test_what_only_reads_goes_on():
    model, read = make(), cr.compile(lambda x: x * 2)
    works = [
        lambda: fit(make()),
        lambda: model.predict(X),
        lambda: read(X),
        lambda: fit(copy.deepcopy(model)),
        lambda: cr.find_lr(model, (X, Y), loss=nn.squared_error, optimizer=optim.Adam(), steps=5),
    ]
    for work in works:
        (result,), _ = during_training(model, work)
        assert not isinstance(result, InTrainingError)


def test_a_callback_may_train_the_model_itself():
    """As before: what it writes into the parameters is part of the run."""
    model = make()
    history = fit(model, callbacks=[lambda epoch: fit(epoch.model, epochs=1)] * 2)
    longer = fit(make(), epochs=9, shuffle=False, batch_size=40)
    history = fit(
        make(),
        shuffle=False,
        batch_size=40,
        callbacks=[lambda epoch: fit(epoch.model, epochs=2, shuffle=False, batch_size=40)],
    )
    np.testing.assert_allclose(history.loss[0], longer.loss[0, ::3], rtol=1e-5)


def raises(kind):
    def callback(epoch):
        raise kind

    return callback


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"callbacks": [raises(KeyboardInterrupt)]}, None),
        ({"callbacks": [raises(SystemExit)]}, SystemExit),
        ({"callbacks": [raises(ValueError)]}, ValueError),
        ({"epochs": -1}, SettingError),
        ({"checkpoint": "/nowhere/at/all"}, OSError),
    ],
)
def test_it_is_free_however_training_ended(settings, error):
    model = make()
    if error is None:
        assert fit(model, **settings).interrupted
    else:
        with pytest.raises(error):
            fit(model, **settings)
    assert in_another_thread(lambda: fit(model)).epochs == 3


def test_many_threads_on_one_model():
    """Each either trains it as if it were alone or is refused; at least one succeeds."""
    model, start = make(), threading.Barrier(8)

    def work():
        start.wait()
        try:
            return fit(model, restarts=2, epochs=20).loss
        except InTrainingError:
            return None

    expected = fit(make(), restarts=2, epochs=20).loss
    with ThreadPoolExecutor(8) as pool:
        found = [future.result() for future in [pool.submit(work) for _ in range(8)]]
    done = [loss for loss in found if loss is not None]
    assert done
    for loss in done:
        np.testing.assert_array_equal(loss, expected)


ESTIMATORS = {
    "a classifier": (MLPClassifier(max_iter=3), (Y[:, 0] > 0).astype(int)),
    "a regressor with restarts": (MLPRegressor(max_iter=3, restarts=2), Y[:, 0]),
    "by L-BFGS": (MultinomialLogisticRegression(), (Y[:, 0] > 0).astype(int)),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_two_threads_fit_one_estimator(name, monkeypatch):
    estimator, y = ESTIMATORS[name]
    errors = []
    original = type(estimator)._fit

    def meanwhile(self, *args, **named):
        if threading.current_thread() is threading.main_thread():
            for method in ("fit", "partial_fit"):
                if hasattr(estimator, method):
                    with pytest.raises(InTrainingError, match="the estimator is being trained") as caught:
                        in_another_thread(lambda method=method: getattr(estimator, method)(X, y))
                    errors.append(caught.value)
        return original(self, *args, **named)

    monkeypatch.setattr(type(estimator), "_fit", meanwhile)
    estimator.fit(X, y)
    assert errors
    monkeypatch.undo()
    in_another_thread(lambda: estimator.fit(X, y))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_has_none_of_the_other_threads():
    """Neither their claims nor a lock that one of them held."""
    model, going_on, done = make(), threading.Event(), threading.Event()

    def wait(epoch):
        going_on.set()
        done.wait(60)

    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(fit, model, callbacks=[wait], epochs=1, executor="interpreted")
        going_on.wait(60)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = int(fit(model, executor="interpreted").epochs != 3)
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        with pytest.raises(InTrainingError):
            fit(model)
        done.set()
        training.result()
