"""Numbers given as sequences: every replica trains as it would alone with its own, on shared machine code."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError

RATES, STRENGTHS, CHANCES = (0.1, 0.02, 0.003), (0.0, 1e-3, 0.1), (0.0, 0.3, 0.5)


@pytest.fixture(params=["compiled", "interpreted"])
def executor(request):
    return request.param


@pytest.fixture
def train(make_model, regression, executor):
    """fit whose replica ``alone`` is trained by itself, where one is named."""

    def run(alone=None, *, dropout=0.2, lr=0.05, penalty=None, restarts=3, **settings):
        model = make_model(dropout=dropout, batch_norm=True)
        if alone is not None:
            model.initialise(5, alone)
        settings = {
            "epochs": 2,
            "batch_size": 16,
            "seed": 5,
            "shuffle": False,
            "executor": executor,
        } | settings
        history = cr.fit(
            model,
            regression,
            loss=nn.squared_error,
            optimizer=optim.Adam(lr),
            penalty=penalty,
            restarts=restarts if alone is None else 1,
            **settings,
        )
        return model, history

    return run


def check(several, alone, same_state):
    for index, replica in enumerate(several[1].replicas):
        _, history = alone(index)
        assert history.replicas[0].loss == replica.loss
        same_state(history.replicas[0].state, replica.state)


def test_step_sizes(train, same_state):
    several = train(lr=RATES)
    check(several, lambda i: train(i, lr=RATES[i]), same_state)
    np.testing.assert_array_equal(several[1].lr, np.tile(np.array(RATES)[:, None], 2))


@pytest.mark.parametrize("form", ["one penalty", "list"])
def test_strengths_of_a_penalty(train, same_state, form):
    penalty = nn.l2(STRENGTHS) if form == "one penalty" else [nn.l2(x) for x in STRENGTHS]
    check(train(penalty=penalty), lambda i: train(i, penalty=nn.l2(STRENGTHS[i])), same_state)


def test_penalties_of_different_kinds(train, same_state):
    def largest(model):
        return 0.01 * cr.max(cr.abs(model.parameters()[0]))

    penalties = [None, nn.l1(0.01), largest, nn.l1(0.02), nn.l2(0.1, include_biases=True)]
    several = train(penalty=penalties, restarts=5)
    check(several, lambda i: train(i, penalty=penalties[i]), same_state)


def test_dropout(train, same_state):
    check(train(dropout=CHANCES), lambda i: train(i, dropout=CHANCES[i] or 1e-12), same_state)


def test_dropout_of_weights(regression, executor, same_state):
    def train(p, restarts, replica=0):
        model = nn.WeightDropout(nn.Linear(3, 2, dtype=np.float64), p).initialise(0, replica)
        settings = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 2, "shuffle": False}
        return cr.fit(model, regression, restarts=restarts, executor=executor, **settings)

    several = train([0.1, 0.6], 2)
    for index, p in enumerate((0.1, 0.6)):
        same_state(train(p, 1, index).replicas[0].state, several.replicas[index].state)


def test_all_at_once_in_threads(make_model, regression, same_state):
    def train(threads):
        return cr.fit(
            make_model(dropout=np.array(CHANCES)),
            regression,
            loss=nn.squared_error,
            optimizer=optim.NAdam(np.array(RATES)),
            penalty=nn.l1(STRENGTHS),
            restarts=3,
            epochs=3,
            batch_size=16,
            threads=threads,
        )

    one, two = train(1), train(2)
    for mine, its in zip(one.replicas, two.replicas, strict=True):
        same_state(mine.state, its.state)
        assert mine.loss == its.loss


def test_one_program_serves_all(train, monkeypatch, executor):
    from chainrule.training import executors

    made, kind = [], executors.EXECUTORS[executor]
    original = kind.compile_step
    monkeypatch.setattr(kind, "compile_step", lambda self, step: (made.append(step), original(self, step))[1])
    train(lr=RATES, dropout=CHANCES, penalty=[nn.l2(x) for x in STRENGTHS])
    assert len(made) == 3  # for minibatches of 16 rows and the last one of 2, and the loss at the end


def test_resumed(train, tmp_path, same_state, executor):
    path = tmp_path / "run.safetensors"

    def cut(epoch):
        if (epoch.replica, epoch.number) == (1, 1):
            raise KeyboardInterrupt

    settings = {"lr": RATES, "dropout": CHANCES, "penalty": [nn.l1(0.1), None, nn.l2(0.2)]}
    settings |= {"checkpoint": path, "threads": 1}
    _, straight = train(**settings)
    train(**settings, callbacks=[cut])
    _, resumed = train(**settings, resume=True)
    for mine, its in zip(resumed.replicas, straight.replicas, strict=True):
        assert mine.loss == its.loss
        same_state(mine.state, its.state)
    with pytest.raises(SettingError, match="belongs to another run"):
        train(**(settings | {"lr": RATES[::-1]}), resume=True)


def test_lbfgs(make_model, regression):
    def train(strengths, restarts):
        model = make_model().initialise(0, 0) if restarts == 1 else make_model()
        settings = {"loss": nn.squared_error, "optimizer": optim.LBFGS(5), "penalty": nn.l2(strengths)}
        return cr.fit(model, regression, restarts=restarts, **settings)

    several = train((0.3, 0.0), 2)
    assert several.replicas[0].loss == train(0.3, 1).replicas[0].loss


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"lr": (0.1, 0.2)}, "lr"),
        ({"dropout": (0.1, 0.2)}, "dropout"),
        ({"penalty": nn.l2((0.1, 0.2))}, "nn.l2"),
        ({"penalty": [nn.l2(0.1), nn.l2(0.2)]}, "penalty"),
    ],
)
def test_another_number_of_values_than_replicas(train, settings, named):
    with pytest.raises(
        SettingError, match=rf"^{named} must have one value, or one for each of the 3 replicas"
    ) as error:
        train(**settings)
    assert "restarts=2" in str(error.value)


def test_outside_of_fit_no_replica_is_meant(make_model):
    model = make_model(dropout=(0.1, 0.2))
    with pytest.raises(SettingError, match="dropout has a value for each of 2 replicas"):
        model(np.ones((1, 3)))
    assert model.eval()(np.ones((1, 3))).shape == (1, 2)
    with pytest.raises(SettingError, match=r"nn\.l2 has a value"):
        nn.l2([0.1, 0.2])(model)
    with pytest.raises(SettingError, match="lr has one learning rate for each of 2"):
        optim.SGD([0.1, 0.2]).attach(model).step()


@pytest.mark.parametrize("make", [optim.SGD, nn.l2, nn.l1, nn.Dropout])
@pytest.mark.parametrize("values", [[], [0.1, -1.0], [0.1, np.nan], [[0.1, 0.2]], ["a"]])
def test_sequences_are_checked(make, values):
    with pytest.raises(SettingError):
        make(values)


def test_schedules_are_shared():
    with pytest.raises(SettingError, match="each must be a number"):
        optim.SGD([optim.StepDecay(0.1, 0.5, 9), 0.2])
