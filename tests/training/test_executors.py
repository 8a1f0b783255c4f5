"""The compiled step is the interpreted one up to rounding, and as safe to stop and to resume."""

import itertools
import shutil
import signal
import threading
import time

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.training import executors, replica_loop, replicas
from chainrule.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("many_cores")


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
    (compiled, history), (interpreted, expected) = (train(name, **settings) for name in executors.EXECUTORS)
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


def one_step_a_call(monkeypatch):
    for name in ("CALL_SECONDS", "TRIAL_SECONDS"):
        monkeypatch.setattr(executors, name, 0.0)
    monkeypatch.setattr(replica_loop, "VISIT_SECONDS", 0.0)  # and one epoch a visit


def test_ctrl_c_between_calls_of_native_code(train, monkeypatch, same_state, capsys):
    """The native loop comes back to Python for it, in the middle of the third epoch."""
    ticks = 0

    def tick(display):
        nonlocal ticks
        ticks += 1
        if ticks == 12:  # four for training and one for validation in each epoch
            raise KeyboardInterrupt

    one_step_a_call(monkeypatch)
    monkeypatch.setattr("chainrule.training.progress.Display.tick", tick)
    model, history = train(batch_size=16, epochs=9)
    monkeypatch.undo()
    assert history.interrupted and history.loss.shape == (1, 2)
    assert "after epoch 2" in capsys.readouterr().err
    expected, _ = train(batch_size=16, epochs=2)
    same_state(model.state_dict(), expected.state_dict())


def test_chunks_of_any_size_give_the_same_bits(train, monkeypatch, same_state):
    expected, _ = train(batch_size=5, shuffle=False)
    one_step_a_call(monkeypatch)
    one_by_one, _ = train(batch_size=5, shuffle=False)
    same_state(one_by_one.state_dict(), expected.state_dict())


def test_the_parameters_keep_their_buffers(make_model, regression):
    model = make_model()
    buffers = [p.data for p in model.parameters()]
    settings = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 2, "batch_size": 50}
    cr.fit(model, regression, executor="compiled", **settings)
    assert all(p.data is buffer for p, buffer in zip(model.parameters(), buffers, strict=True))


@pytest.mark.parametrize("executor", executors.EXECUTORS)
def test_a_run_that_diverges_ends_with_finite_parameters(make_model, regression, executor):
    model = make_model(widths=(3, 2), dtype=np.float32)
    settings = {"loss": nn.squared_error, "optimizer": optim.SGD(1e4), "epochs": 50, "batch_size": 25}
    with pytest.warns(cr.TrainingWarning, match="diverged"):
        cr.fit(model, regression, executor=executor, **settings)
    assert all(np.isfinite(p.data).all() for p in model.parameters())


@pytest.mark.parametrize("settings", [{}, {"stop": cr.EarlyStopping(2)}, {"batch_size": 7}], ids=str)
def test_threads_and_restarts_change_no_bit(train, same_state, settings):
    settings = {"epochs": 6, **settings}
    model, alone = train(restarts=5, threads=1, **settings)
    other, together = train(restarts=5, threads=3, **settings)
    _, fewer = train(restarts=2, threads=2, **settings)
    same_state(model.state_dict(), other.state_dict())
    for mine, its in zip(alone.replicas, together.replicas, strict=True):
        assert mine.loss == its.loss
        assert mine.validation_loss == its.validation_loss
        assert mine.stopped == its.stopped
        same_state(mine.state, its.state)
    for mine, its in zip(alone.replicas, fewer.replicas, strict=False):
        assert mine.loss == its.loss
        same_state(mine.state, its.state)


def test_callbacks_see_and_stop_the_replica_they_are_told_of(train):
    seen = []

    def look(epoch):
        assert not epoch.model.training
        seen.append((epoch.replica, epoch.number, epoch.model.state_dict()["0.weight"].copy()))
        return epoch.number == 1 + epoch.replica

    _, history = train(restarts=3, threads=2, epochs=6, callbacks=[look])
    assert sorted((r, n) for r, n, _ in seen) == [(r, n) for r in range(3) for n in range(1, r + 2)]
    for replica, number, weight in seen:
        if number == 1 + replica:
            np.testing.assert_array_equal(weight, history.replicas[replica].state["0.weight"])
            assert history.stopped[replica] == f"stopped by a callback after epoch {number}"


def test_a_callback_may_change_the_parameters_of_its_replica(train):
    def reset(epoch):
        if epoch.number == 2:
            for p in epoch.model.parameters():
                p.data[...] = 0.125

    _, history = train(restarts=3, threads=3, epochs=2, callbacks=[reset])
    for replica in history.replicas:
        assert (replica.state["0.weight"] == 0.125).all()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_in_a_callback_ends_all_threads(train, error, capsys):
    def fail(epoch):
        if epoch.number == 3:
            raise error("from the callback")

    if error is KeyboardInterrupt:
        model, history = train(restarts=4, threads=2, epochs=1000, callbacks=[fail])
        assert history.interrupted
        assert any(len(replica.loss) >= 1 for replica in history.replicas)
        assert "interrupted" in capsys.readouterr().err
        assert any(
            all(np.array_equal(model.state_dict()[k], v) for k, v in r.state.items())
            for r in history.replicas
        )
    else:
        with pytest.raises(RuntimeError, match="from the callback"):
            train(restarts=4, threads=2, epochs=1000, callbacks=[fail])


def test_restarts_in_threads_are_resumed_with_the_same_bits(train, tmp_path, same_state):
    expected, straight = train(restarts=5, threads=2, epochs=6)
    path, copy = tmp_path / "run.safetensors", tmp_path / "copy.safetensors"
    seen = 0

    def keep(epoch):
        nonlocal seen
        seen += 1
        if seen == 11:
            shutil.copy(path, copy)

    train(restarts=5, threads=2, epochs=6, checkpoint=cr.Checkpoint(path, seconds=0), callbacks=[keep])
    resumed, history = train(restarts=5, threads=3, epochs=6, checkpoint=copy, resume=True)
    same_state(resumed.state_dict(), expected.state_dict())
    np.testing.assert_array_equal(history.loss, straight.loss)


def test_a_callback_that_takes_its_time_sees_one_replica_only(train, same_state):
    """Meanwhile other threads begin replicas and trace steps, which go through the same model."""
    torn = []

    def look(epoch):
        before = epoch.model.state_dict()
        time.sleep(0.002)
        torn.extend(name for name, value in epoch.model.state_dict().items() if (value != before[name]).any())

    _, alone = train(restarts=12, threads=1, epochs=2)
    _, together = train(restarts=12, threads=4, epochs=2, callbacks=[look])
    assert not torn
    for mine, its in zip(alone.replicas, together.replicas, strict=True):
        assert mine.loss == its.loss
        same_state(mine.state, its.state)


@pytest.mark.parametrize("callbacks", [[], [lambda epoch: time.sleep(0.001)]], ids=["none", "a slow one"])
def test_ctrl_c_ends_all_threads_at_once(train, monkeypatch, capsys, callbacks):
    """The signal reaches the thread that called fit, wherever the others are."""
    seen, original, caller = itertools.count(), Trainer.run_epochs, threading.get_ident()

    def run_epochs(self, *given):
        if next(seen) == 20:
            signal.pthread_kill(caller, signal.SIGINT)
        return original(self, *given)

    monkeypatch.setattr(Trainer, "run_epochs", run_epochs)
    before = set(threading.enumerate())
    model, history = train(restarts=8, threads=4, epochs=100_000, callbacks=callbacks)
    assert history.interrupted
    assert next(seen) < 40  # chunks of epochs that were begun: after the signal, no thread begins many
    for thread in set(threading.enumerate()) - before:
        thread.join(600)  # what a thread was asked for is there a moment before it ends
        assert not thread.is_alive()
    kept = history.replicas[history.best].state
    assert all((model.state_dict()[name] == value).all() for name, value in kept.items())


def test_ctrl_c_again_while_the_threads_are_waited_for(train, monkeypatch, capsys):
    def interrupt(epoch):
        raise KeyboardInterrupt

    waits, original = 0, replicas.wait

    def wait(threads):
        nonlocal waits
        waits += 1
        if waits == 1:
            raise KeyboardInterrupt
        return original(threads)

    monkeypatch.setattr(replicas, "wait", wait)
    model, history = train(restarts=8, threads=4, epochs=100_000, callbacks=[interrupt])
    state = model.state_dict()
    time.sleep(0.3)
    kept = history.replicas[history.best].state
    for name, value in model.state_dict().items():  # no thread is left that could change them
        assert (value == state[name]).all() and (value == kept[name]).all()
