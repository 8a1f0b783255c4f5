"""What is kept is what was measured: the loss of the kept parameters, recomputed from them, over all modes of fit."""

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

RNG = np.random.default_rng(5)
X = RNG.normal(size=(70, 3))
Y = np.tanh(X @ RNG.normal(size=(3, 2))) + 0.3 * RNG.normal(size=(70, 2))
XV, YV = X[:30], Y[:30]
DATA = X[30:], Y[30:]

OPTIMIZERS = {
    "minibatches": {"optimizer": optim.SGD(0.7), "batch_size": 8},
    "ragged": {"optimizer": optim.SGD(0.7), "batch_size": 17},
    "full batch": {"optimizer": optim.SGD(2.5), "batch_size": 40},
    "drop_last": {"optimizer": optim.SGD(0.7), "batch_size": 17, "drop_last": True},
    "two-step": {"optimizer": optim.SGD(0.7), "batch_size": 8, "update": "two-step"},
    "lbfgs": {"optimizer": optim.LBFGS(max_iterations=6)},
}
MODES = [
    (name, validated, restarts, stop, executor)
    for name, validated, restarts, stop, executor in itertools.product(
        OPTIMIZERS, (False, True), (1, 3), (None, 2, 1000), ("compiled", "interpreted")
    )
    if executor == "compiled" or name in ("minibatches", "two-step", "lbfgs")
]


def make(name):
    plain = name == "lbfgs"
    return nn.MLP(
        [3, 6, 2], "tanh", seed=0, dtype=np.float64, dropout=0.0 if plain else 0.2, batch_norm=not plain
    )


def loss_of(model, state, data):
    model.load_state_dict(state)
    return nn.squared_error(model.eval()(data[0]), data[1]).item()


@pytest.mark.parametrize(("name", "validated", "restarts", "patience", "executor"), MODES)
def test_the_kept_parameters_are_those_that_were_measured(name, validated, restarts, patience, executor):
    model = make(name)
    history = cr.fit(
        model, DATA, loss=nn.squared_error, epochs=12, validation=(XV, YV) if validated else None, restarts=restarts,
        stop=None if patience is None else cr.EarlyStopping(patience), executor=executor, **OPTIMIZERS[name],
    )  # fmt: skip
    held = model.state_dict()
    watched = (XV, YV) if validated else DATA
    found = [loss_of(model, replica.state, watched) for replica in history.replicas]
    assert history.best == int(np.argmin(found))
    for key, value in held.items():
        np.testing.assert_array_equal(value, history.replicas[history.best].state[key])
    for replica, recomputed in zip(history.replicas, found, strict=True):
        if replica.kept_loss is None:
            assert not validated and restarts == 1 and patience is None
            continue
        assert replica.kept_loss == replica.score == pytest.approx(recomputed, rel=1e-9)
        curve = replica.validation_loss or replica.end_loss
        if curve:
            assert curve[replica.kept_epoch] == replica.kept_loss
        if patience is not None:
            assert replica.kept_loss == min(curve)
        else:
            assert replica.kept_epoch == len(replica.loss) - 1


def test_a_run_that_was_killed_keeps_the_same(tmp_path):
    """Early stopping without validation, resumed after every epoch."""

    def run(model, epochs, **settings):
        return cr.fit(
            model, DATA, loss=nn.squared_error, optimizer=optim.SGD(0.7), batch_size=8, epochs=epochs,
            stop=cr.EarlyStopping(1000), **settings,
        )  # fmt: skip

    straight, path = make("minibatches"), tmp_path / "run.safetensors"
    expected = run(straight, 6)
    for epochs in range(1, 7):
        model = make("minibatches")
        found = run(model, epochs, checkpoint=path, resume=True)
    assert found.end_loss.tolist() == expected.end_loss.tolist()
    assert found.replicas[0].kept_loss == expected.replicas[0].kept_loss == found.end_loss.min()
    for key, value in straight.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[key], value)


def test_several_replicas_from_a_checkpoint_keep_the_same(tmp_path):
    def run(model, **settings):
        return cr.fit(
            model,
            DATA,
            loss=nn.squared_error,
            optimizer=optim.SGD(0.7),
            batch_size=8,
            epochs=4,
            restarts=3,
            **settings,
        )

    path, model = tmp_path / "run.safetensors", make("minibatches")
    first = run(model, checkpoint=path)
    again = run(make("minibatches"), checkpoint=path, resume=True)
    assert [r.kept_loss for r in first.replicas] == [
        r.kept_loss for r in again.replicas
    ] and again.best == first.best
    assert again.replicas[0].kept_loss == pytest.approx(loss_of(model, again.replicas[0].state, DATA))


def test_the_report_of_issue_11():
    """The loss that was smallest before an update that spoiled the parameters."""
    x = np.array([[1.0]])
    model = nn.Linear(1, 1, bias=False, weight_initialiser=nn.initialisers.constant(0.5), dtype=np.float64)
    history = cr.fit(
        model, (x, np.array([[1.0]])), loss=nn.squared_error, optimizer=optim.SGD(1.2), epochs=4,
        stop=cr.EarlyStopping(10),
    )  # fmt: skip
    kept = nn.squared_error(model(x), np.array([[1.0]])).item()
    assert kept == pytest.approx(history.end_loss.min()) and kept == pytest.approx(history.replicas[0].score)
