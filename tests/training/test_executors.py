"""The compiled step is the interpreted one up to rounding, and as safe to stop and to resume."""

import shutil

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.training import executors


@pytest.fixture
def train(make_model, regression):
    x, y = regression

    def run(executor="compiled", **settings):
        model = make_model(dropout=0.2, batch_norm=True)
        defaults = {
            "optimizer": optim.Adam(0.01),
            "epochs": 3,
            "batch_size": 25,
            "validation": (x[:9], y[:9]),
        }
        history = cr.fit(model, (x, y), loss=nn.squared_error, executor=executor, **(defaults | settings))
        return model, history

    return run


def test_both_executors_agree_up_to_rounding(train):
    settings = {"penalty": nn.l2(1e-3), "clip_norm": 0.5, "batch_size": 16, "restarts": 2}
    (compiled, history), (interpreted, expected) = (train(name, **settings) for name in executors.RUNNERS)
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-10)
    np.testing.assert_allclose(history.validation_loss, expected.validation_loss, rtol=1e-10)
    np.testing.assert_allclose(history.gradient_norm, expected.gradient_norm, rtol=1e-10)
    for name, value in interpreted.state_dict().items():
        np.testing.assert_allclose(compiled.state_dict()[name], value, rtol=1e-9, atol=1e-12)


def test_a_compiled_run_is_resumed_with_the_same_bits(train, tmp_path, same_state):
    path, copy = tmp_path / "run.safetensors", tmp_path / "copy.safetensors"
    expected, straight = train(epochs=5)

    def keep(epoch):
        if epoch.number == 3:
            shutil.copy(path, copy)

    train(epochs=5, checkpoint=cr.Checkpoint(path, seconds=0), callbacks=[keep])
    resumed, history = train(epochs=5, checkpoint=copy, resume=True)
    same_state(resumed.state_dict(), expected.state_dict())
    np.testing.assert_array_equal(history.loss, straight.loss)
    with pytest.raises(cr.errors.SettingError, match="executor"):
        train("interpreted", epochs=5, checkpoint=copy, resume=True)


def test_ctrl_c_between_calls_of_native_code(train, monkeypatch, same_state, capsys):
    """The native loop comes back to Python for it, in the middle of the third epoch."""
    ticks = 0

    def tick(display):
        nonlocal ticks
        ticks += 1
        if ticks == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(executors, "CALL_SECONDS", 0.0)  # one step a call
    monkeypatch.setattr("chainrule.training.progress.Display.tick", tick)
    model, history = train(batch_size=16, epochs=9)
    monkeypatch.undo()
    assert history.interrupted and history.loss.shape == (1, 2)
    assert "after epoch 2" in capsys.readouterr().err
    expected, _ = train(batch_size=16, epochs=2)
    same_state(model.state_dict(), expected.state_dict())


def test_chunks_of_any_size_give_the_same_bits(train, monkeypatch, same_state):
    expected, _ = train(batch_size=5, shuffle=False)
    monkeypatch.setattr(executors, "CALL_SECONDS", 0.0)
    one_by_one, _ = train(batch_size=5, shuffle=False)
    same_state(one_by_one.state_dict(), expected.state_dict())


def test_the_parameters_keep_their_buffers(make_model, regression):
    model = make_model()
    buffers = [p.data for p in model.parameters()]
    settings = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 2, "batch_size": 50}
    cr.fit(model, regression, executor="compiled", **settings)
    assert all(p.data is buffer for p, buffer in zip(model.parameters(), buffers, strict=True))


@pytest.mark.parametrize("executor", executors.RUNNERS)
def test_a_run_that_diverges_ends_with_finite_parameters(make_model, regression, executor):
    model = make_model(widths=(3, 2), dtype=np.float32)
    settings = {"loss": nn.squared_error, "optimizer": optim.SGD(1e4), "epochs": 50, "batch_size": 25}
    with pytest.warns(cr.TrainingWarning, match="diverged"):
        cr.fit(model, regression, executor=executor, **settings)
    assert all(np.isfinite(p.data).all() for p in model.parameters())
