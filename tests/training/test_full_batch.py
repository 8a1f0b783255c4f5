"""fit with L-BFGS."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError


@pytest.fixture
def train(make_model, regression):
    def run(model=None, **settings):
        model = model or make_model()
        defaults = {"loss": nn.squared_error, "optimizer": optim.LBFGS(40)}
        return model, cr.fit(model, regression, **(defaults | settings))

    return run


def test_a_linear_model_reaches_the_least_squares_solution(train, make_model, regression):
    x, y = regression
    model, history = train(make_model(widths=(3, 2)))
    design = np.column_stack([x, np.ones(50)])
    solution, *_ = np.linalg.lstsq(design, y, rcond=None)
    np.testing.assert_allclose(model.predict(x), design @ solution, atol=1e-5)
    assert history.stopped[0].startswith("critical point reached")
    assert history.epochs < 40


def test_curves(train, regression):
    model, history = train(validation=(regression[0][:9], regression[1][:9]))
    x, y = regression
    assert history.loss.shape == history.validation_loss.shape == history.gradient_norm.shape == (1, 40)
    assert history.steps == 40
    assert (np.diff(history.loss[0]) <= 0).all()  # the line search sees to that
    assert history.loss[0, -1] == pytest.approx(nn.squared_error(model.predict(x), y).item(), rel=1e-12)
    assert history.validation_loss[0, -1] == pytest.approx(
        nn.squared_error(model.predict(x[:9]), y[:9]).item(), rel=1e-12
    )
    nn.squared_error(model(x), y).backward()
    norm = optim.gradient_norm(model.parameters()).item()
    assert history.gradient_norm[0, -1] == pytest.approx(norm, rel=1e-9)
    assert history.stopped == ["stopped after 40 iterations, before a critical point"]
    assert not model.training


def test_the_penalty_is_minimised_and_not_reported(train, make_model, regression):
    x, y = regression
    model, history = train(make_model(widths=(3, 2)), penalty=nn.l2(0.1))
    assert history.loss[0, -1] == pytest.approx(nn.squared_error(model.predict(x), y).item(), rel=1e-9)
    centred = x - x.mean(0)
    ridge = np.linalg.solve(centred.T @ centred / 100 + 0.1 * np.eye(3), centred.T @ y / 100)
    np.testing.assert_allclose(model.parameters()[0].numpy(), ridge.T, atol=1e-5)


def test_restarts(train, same_state):
    model, three = train(restarts=3, optimizer=optim.LBFGS(10))
    _, two = train(restarts=2, optimizer=optim.LBFGS(10))
    assert three.loss.shape == (3, 10)
    assert len(set(three.loss[:, 0])) == 3
    for mine, its in zip(two.replicas, three.replicas, strict=False):
        same_state(mine.state, its.state)
    assert three.best == np.argmin(three.loss[:, -1])
    same_state(model.state_dict(), three.replicas[three.best].state)


def test_early_stopping_keeps_the_best_iteration(train, make_model, regression):
    x, y = regression
    model = make_model(widths=(3, 40, 2))
    held_out = x[:9] + 0.5, y[:9]
    _, history = train(
        model, validation=held_out, stop=cr.EarlyStopping(10), optimizer=optim.LBFGS(400, tolerance=1e-12)
    )
    best = int(np.argmin(history.validation_loss[0]))
    assert best == history.epochs - 11
    assert nn.squared_error(model.predict(held_out[0]), held_out[1]).item() == pytest.approx(
        history.validation_loss[0, best], rel=1e-12
    )
    assert history.stopped == [f"no improvement in 10 epochs after epoch {best + 1}"]


def test_gradient_norm_and_callbacks_stop_it(train):
    _, history = train(stop=cr.GradientNorm(0.1))
    assert history.stopped[0].startswith("critical point reached: gradient norm")
    records = []
    _, history = train(callbacks=[records.append, lambda epoch: epoch.number == 3])
    assert history.stopped == ["stopped by a callback after epoch 3"]
    assert [(e.number, e.epochs, e.steps, e.replica) for e in records] == [(n, 40, 1, 0) for n in (1, 2, 3)]


def test_ctrl_c(train, capsys, same_state):
    def interrupt(epoch):
        if epoch.number == 5:
            raise KeyboardInterrupt

    model, history = train(callbacks=[interrupt])
    assert history.interrupted and history.epochs == 5
    expected, _ = train(optimizer=optim.LBFGS(5))
    same_state(model.state_dict(), expected.state_dict())
    assert "after epoch 5" in capsys.readouterr().err


def test_starting_at_a_critical_point(train, make_model, regression, same_state):
    model = make_model(widths=(3, 2))
    for p in model.parameters():
        p.data[...] = 0
    before = model.state_dict()
    settings = {"loss": nn.squared_error, "optimizer": optim.LBFGS()}
    history = cr.fit(model, (regression[0], np.zeros((50, 2))), **settings)
    assert history.stopped[0].startswith("critical point reached")
    assert history.loss.shape[1] <= 1
    same_state(model.state_dict(), before)


def test_float32_models(train, make_model):
    model, history = train(make_model(dtype=np.float32))
    assert history.loss[0, -1] < 0.2 * history.loss[0, 0]
    assert all(p.data.dtype == np.float32 for p in model.parameters())


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"clip_norm": 1.0}, "clip_norm"), ({"checkpoint": "x.safetensors"}, "checkpoint")],
)
def test_settings_that_it_cannot_have(train, wrong, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=rf"LBFGS needs(.|\n)*got: *{named}"):
        train(**wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layer", [{"dropout": 0.1}, {"batch_norm": True}])
def test_models_whose_loss_changes_by_itself(train, make_model, layer):
    with pytest.raises(SettingError, match=r"LBFGS needs(.|\n)*a model with buffers"):
        train(make_model(**layer))
