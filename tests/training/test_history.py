"""What fit returns: curves, the kept replica, and an ensemble."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError
from chainrule.training import History, Replica


@pytest.fixture
def train(make_model, regression):
    def run(model=None, **settings):
        model = model or make_model()
        defaults = {"loss": nn.squared_error, "optimizer": optim.Adam(0.02), "epochs": 4, "batch_size": 16}
        return model, cr.fit(model, regression, **(defaults | settings))

    return run


def test_shapes_without_validation(train):
    _, history = train(restarts=3)
    assert history.loss.shape == history.gradient_norm.shape == (3, 4)
    assert history.validation_loss.shape == (3, 0)
    assert history.steps == 3 * 4 * 4
    assert history.epochs == 4
    assert history.stopped == ["all epochs done"] * 3
    assert not history.interrupted
    assert history.seconds > 0
    assert history.best == np.argmin(history.loss[:, -1])


def test_shapes_with_validation(train, regression):
    _, history = train(restarts=2, validation=regression)
    assert history.validation_loss.shape == (2, 4)
    assert history.best == np.argmin(history.validation_loss[:, -1])


def test_curves_of_replicas_that_ended_at_different_epochs(train):
    def stop(epoch):
        return epoch.replica == 1 and epoch.number == 2

    _, history = train(restarts=2, callbacks=[stop])
    assert np.isnan(history.loss).tolist() == [[False] * 4, [False, False, True, True]]
    assert history.stopped == ["all epochs done", "stopped by a callback after epoch 2"]
    assert history.steps == 16 + 8


def test_the_model_holds_the_best_replica(train, same_state):
    model, history = train(restarts=3)
    same_state(model.state_dict(), history.replicas[history.best].state)


def test_repr(train, regression):
    _, history = train(validation=regression)
    assert repr(history) == (
        f"<History: 4 epochs, 16 steps, loss {history.loss[0, -1]:.4g}, "
        f"validation loss {history.validation_loss[0, -1]:.4g}; all epochs done>"
    )
    _, several = train(restarts=2)
    assert repr(several).startswith(f"<History: replica {several.best} of 2, 4 epochs, 32 steps, loss ")


def test_ensemble_averages_outputs(train, make_model, regression):
    x = regression[0]
    model, history = train(restarts=3)
    members = []
    for replica in history.replicas:
        member = make_model()
        member.load_state_dict(replica.state)
        members.append(member.predict(x))
    ensemble = history.ensemble()
    np.testing.assert_allclose(ensemble.predict(x), np.mean(members, axis=0), rtol=1e-13)
    assert not any(module.training for _, module in ensemble.named_modules())
    # it is independent of the model, whose parameters may change later
    before = ensemble.predict(x)
    for p in model.parameters():
        p.data[...] = 0
    np.testing.assert_array_equal(ensemble.predict(x), before)


def test_ensembles_of_models_with_state(train, make_model, regression):
    model, history = train(make_model(dropout=0.5, batch_norm=True), restarts=2)
    outputs = []
    for replica in history.replicas:
        model.load_state_dict(replica.state)
        outputs.append(model.predict(regression[0]))
    np.testing.assert_allclose(
        history.ensemble().predict(regression[0]), np.mean(outputs, axis=0), rtol=1e-13
    )


def test_an_ensemble_can_itself_be_trained(train, regression):
    _, history = train(restarts=2)
    ensemble = history.ensemble()
    loss = nn.squared_error(ensemble(regression[0]), regression[1])
    loss.backward()
    assert all(p.grad is not None for p in ensemble.parameters())


def test_an_ensemble_of_one(train, regression):
    model, history = train()
    np.testing.assert_array_equal(history.ensemble().predict(regression[0]), model.predict(regression[0]))


def test_a_history_without_a_model_has_no_ensemble():
    with pytest.raises(SettingError, match="no model"):
        History([Replica()]).ensemble()


def test_best_ignores_replicas_without_an_epoch():
    finished = Replica(loss=[3.0], gradient_norm=[1.0], kept_epoch=0)
    assert History([Replica(), finished]).best == 1
    assert History([Replica(), Replica()]).best == 0
    assert repr(History([Replica(stopped="interrupted")])) == "<History: 0 epochs, 0 steps; interrupted>"


@pytest.mark.parametrize("rate", [0.25, optim.StepDecay(0.25, 0.5, 3), lambda step: 0.25 / (1 + step // 4)])
def test_keeps_the_step_sizes_and_the_optimizer(rate: optim.schedules.Rate) -> None:
    x = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]
    history = cr.fit(
        nn.Linear(1, 1, seed=0),
        (x, x),
        loss=nn.squared_error,
        optimizer=optim.SGD(rate),
        epochs=4,
        batch_size=4,
        progress=False,
    )
    step_size = rate if callable(rate) else lambda step: rate
    np.testing.assert_allclose(history.lr, [[float(step_size(2 * epoch)) for epoch in range(4)]])
    assert (history.optimizer["name"], history.batch_size) == ("SGD", 4)


def test_a_data_frame_of_the_curves(train, regression):
    _, history = train(
        restarts=2, validation=regression, callbacks=[lambda e: e.replica == 1 and e.number == 3]
    )
    frame = history.to_frame()
    assert frame.columns == ["replica", "epoch", "loss", "validation_loss", "gradient_norm", "lr", "kept"]
    assert frame["replica"].to_list() == [0, 0, 0, 0, 1, 1, 1]
    assert frame["epoch"].to_list() == [1, 2, 3, 4, 1, 2, 3]
    assert frame["loss"].to_list() == [*history.loss[0], *history.loss[1, :3]]
    assert frame["validation_loss"].to_list() == [
        *history.validation_loss[0],
        *history.validation_loss[1, :3],
    ]
    assert frame.filter("kept")["epoch"].to_list() == [4, 3]
    other = history.to_frame("pandas")
    assert list(other.columns) == frame.columns and other["loss"].tolist() == frame["loss"].to_list()
    with pytest.raises(SettingError, match="no such library of data frames"):
        history.to_frame("excel")


def test_a_data_frame_without_validation(train):
    _, history = train()
    assert history.to_frame()["validation_loss"].is_nan().all()
    assert history.to_frame("pandas")["validation_loss"].isna().all()
