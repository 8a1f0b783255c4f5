"""Several starts: what they depend on, and that the best one is kept (row A11, B20, E28)."""

import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ShapeError


@pytest.fixture
def train(make_model, regression):
    def run(model=None, **settings):
        model = model or make_model(dropout=0.2, batch_norm=True)
        defaults = {"optimizer": optim.Adam(0.02), "epochs": 3, "batch_size": 16, "seed": 4}
        return model, cr.fit(model, regression, loss=nn.squared_error, **(defaults | settings))

    return run


def test_replicas_differ(train):
    _, history = train(restarts=4)
    assert len(set(history.loss[:, 0])) == 4
    states = [replica.state["0.weight"].tobytes() for replica in history.replicas]
    assert len(set(states)) == 4


def test_a_replica_does_not_depend_on_how_many_there_are(train, same_state):
    _, four = train(restarts=4)
    _, two = train(restarts=2)
    for mine, other in zip(two.replicas, four.replicas, strict=False):
        same_state(mine.state, other.state)
        assert mine.loss == other.loss
        assert mine.gradient_norm == other.gradient_norm


def test_a_replica_does_not_depend_on_the_models_present_parameters(train, make_model, same_state):
    _, one = train(make_model(0, dropout=0.2, batch_norm=True), restarts=2)
    _, other = train(make_model(1, dropout=0.2, batch_norm=True), restarts=2)
    for mine, its in zip(one.replicas, other.replicas, strict=True):
        same_state(mine.state, its.state)


def test_a_replica_is_what_initialise_and_a_single_run_give(train, make_model, regression, same_state):
    """Every replica begins afresh: initialise(seed, replica), then restarts=1 (but for the rows' order)."""
    _, several = train(restarts=3, shuffle=False)
    for index, replica in enumerate(several.replicas):
        model = make_model(9, dropout=0.2, batch_norm=True).initialise(4, index)
        train(model, shuffle=False)
        same_state(model.state_dict(), replica.state)


def test_one_restart_trains_from_the_present_parameters(train, make_model):
    models = [make_model(seed, dropout=0.2, batch_norm=True) for seed in (0, 1)]
    losses = [train(model)[1].loss for model in models]
    assert (losses[0] != losses[1]).all()


def test_other_seeds_give_other_replicas(train):
    _, one = train(restarts=2, seed=4)
    _, other = train(restarts=2, seed=5)
    assert not set(one.loss.ravel()) & set(other.loss.ravel())


def test_the_best_is_kept(train, regression, same_state):
    x, y = regression
    model, history = train(restarts=5, validation=(x[:20], y[:20]))
    assert history.best == np.argmin(history.validation_loss[:, -1])
    same_state(model.state_dict(), history.replicas[history.best].state)
    assert nn.squared_error(model.predict(x[:20]), y[:20]).item() == pytest.approx(
        history.validation_loss.min(axis=0)[-1], rel=1e-12
    )


@pytest.mark.slow
def test_xnor_is_found_from_about_three_quarters_of_all_starts():
    """row A11 (there 33 of 40): a 2-2-1 logistic net, plain gradient descent on all four rows."""
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = np.array([1.0, 0.0, 0.0, 1.0])
    model = nn.MLP([2, 2, 1], activation="logistic", output_activation="logistic", dtype=np.float64)
    history = cr.fit(
        model,
        (x, y),
        loss=lambda p, t: nn.half_squared_error(p, t, "sum"),
        optimizer=optim.SGD(4.0),
        epochs=500,
        restarts=40,
        callbacks=[lambda epoch: epoch.loss < 0.04],
    )
    last = np.array([replica.loss[-1] for replica in history.replicas])
    solved = last < 0.05
    assert 26 <= solved.sum() <= 37
    assert (last[~solved] > 0.2).all()  # the others are stuck, and more steps would not help them
    assert np.array_equal(model.predict(x)[:, 0] > 0.5, y > 0.5)


def test_starting_does_not_take_longer_the_more_replicas_there_are(train):
    """Counted in calls and steps of Python, not in seconds: 75 s for 100,000 tiny networks once went into counting."""
    counts = []
    for restarts in (100, 400):
        events = 0

        def count(frame, event, argument):
            nonlocal events
            events += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            train(restarts=restarts, epochs=1, batch_size=50, threads=1, progress=False)
        finally:
            sys.setprofile(None)
        counts.append(events)
    assert counts[1] < 4.2 * counts[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_model_with_an_initialise_of_its_own(regression, same_state, threads):
    class Shifted(nn.MLP):
        def initialise(self, seed, replica=0):
            super().initialise(seed, replica)
            self.parameters()[0].assign(cr.tensor(self.parameters()[0].numpy() + 1.0))
            return self

    settings = {
        "loss": nn.squared_error,
        "optimizer": optim.SGD(0.0),
        "epochs": 1,
        "restarts": 3,
        "threads": threads,
    }
    history = cr.fit(Shifted([3, 4, 2], dtype=np.float64), regression, seed=4, **settings)
    for index, replica in enumerate(history.replicas):
        same_state(Shifted([3, 4, 2], dtype=np.float64).initialise(4, index).state_dict(), replica.state)


@pytest.mark.parametrize("threads", [1, 2])
def test_frozen_parameters_are_not_drawn_and_the_indices_of_the_others_stay(regression, same_state, threads):
    def model():
        made = nn.MLP([3, 4, 4, 2], batch_norm=True, seed=9, dtype=np.float64)
        for parameter in made.parameters()[2:5]:
            parameter.requires_grad = False
        return made

    settings = {
        "loss": nn.squared_error,
        "optimizer": optim.SGD(0.0),
        "epochs": 1,
        "restarts": 3,
        "threads": threads,
    }
    history = cr.fit(model(), regression, seed=4, **settings)
    for index, replica in enumerate(history.replicas):
        expected = model().initialise(4, index)
        parameters = {name for name, _ in expected.named_parameters()}
        same_state(
            {k: v for k, v in expected.state_dict().items() if k in parameters},
            {k: v for k, v in replica.state.items() if k in parameters},
        )


def test_an_initialiser_of_another_shape_is_refused(regression):
    model = nn.Linear(3, 2, dtype=np.float64)
    model.weight.initialiser = lambda rng, shape: np.ones(())
    with pytest.raises(ShapeError, match="initialiser"):
        cr.fit(model, regression, loss=nn.squared_error, optimizer=optim.SGD(0.1), restarts=2, epochs=1)
