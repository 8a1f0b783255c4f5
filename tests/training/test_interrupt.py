"""Ctrl-C, at any moment: the model is at the last finished epoch, and nothing is left half done."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.thorough import slow

import chainrule as cr
from chainrule import nn, optim
from chainrule.tensor import GRAD_ENABLED, TRACE
from chainrule.training import executors
from chainrule.training.trainer import Trainer

PACKAGE = str(Path(cr.__file__).parent)
pytestmark = pytest.mark.usefixtures("by_interpreter")


@pytest.fixture
def train(make_model, regression):
    x, y = regression

    def run(model=None, **settings):
        model = model or make_model(dropout=0.2, batch_norm=True)
        defaults = {"epochs": 4, "batch_size": 16, "optimizer": optim.Adam(0.01), "progress": False}
        history = cr.fit(model, (x, y), loss=nn.squared_error, **(defaults | settings))
        return model, history

    return run


def interrupt_at(replica, number):
    def callback(epoch):
        if (epoch.replica, epoch.number) == (replica, number):
            raise KeyboardInterrupt

    return callback


def test_interrupted_between_epochs(train, same_state, capsys):
    model, history = train(callbacks=[interrupt_at(0, 2)])
    assert history.interrupted
    assert history.stopped == ["interrupted after epoch 2"]
    assert history.loss.shape == (1, 2)
    assert history.steps == 8
    expected, _ = train(epochs=2)
    same_state(model.state_dict(), expected.state_dict())
    error = capsys.readouterr().err
    assert error == "chainrule: interrupted; the model holds its parameters after epoch 2\n"
    assert not model.training and all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("after_steps", [0, 1, 3, 4, 5, 11])
def test_interrupted_within_an_epoch(train, make_model, monkeypatch, same_state, capsys, after_steps):
    """In the middle of an update: some parameters are new, some are old. None of that remains."""
    writes = 0

    class Interrupted(executors.InterpretedStep):
        def __call__(self, *arrays):
            def copyto(target, source):
                nonlocal writes
                writes += 1
                if writes > after_steps * len(self._buffers) + 7:
                    raise KeyboardInterrupt
                target[...] = source

            with monkeypatch.context() as patch:
                patch.setattr(executors.np, "copyto", copyto)
                return super().__call__(*arrays)

    with monkeypatch.context() as patch:
        patch.setattr(executors.Interpreting, "compile_step", lambda self, step: partial(Interrupted, step))
        model, history = train()
    done = after_steps // 4
    expected = make_model(dropout=0.2, batch_norm=True)
    if done:
        train(expected, epochs=done)
        assert "after epoch" in capsys.readouterr().err
    else:
        assert "before the first epoch" in capsys.readouterr().err
    assert history.loss.shape == (1, done)
    same_state(model.state_dict(), expected.state_dict())


def test_the_best_of_the_replicas_so_far_is_kept(train, same_state, capsys):
    model, history = train(restarts=3, callbacks=[interrupt_at(1, 1)], epochs=20)
    assert history.stopped == ["all epochs done", "interrupted after epoch 1"]
    assert history.best == 0
    same_state(model.state_dict(), history.replicas[0].state)
    assert "after epoch 20 of replica 0" in capsys.readouterr().err


def test_early_stopping_keeps_the_best_epoch_of_an_interrupted_run(train, regression, same_state):
    x, y = regression
    settings = {"optimizer": optim.SGD(0.9), "epochs": 30, "validation": (x[:9], y[:9])}
    model, history = train(**settings, stop=cr.EarlyStopping(100), callbacks=[interrupt_at(0, 20)])
    best = int(np.argmin(history.validation_loss[0]))
    assert history.replicas[0].kept_epoch == best < 19
    expected, _ = train(**(settings | {"epochs": best + 1}))
    same_state(model.state_dict(), expected.state_dict())


def test_an_interrupted_run_is_resumed(train, tmp_path, same_state, capsys):
    path = cr.Checkpoint(tmp_path / "run.safetensors", seconds=1000)
    train(checkpoint=path, callbacks=[interrupt_at(0, 2)])
    resumed, history = train(checkpoint=path, resume=True)
    expected, straight = train()
    same_state(resumed.state_dict(), expected.state_dict())
    np.testing.assert_array_equal(history.loss, straight.loss)
    assert not history.interrupted


def test_a_rule_that_had_not_been_asked_yet_is_asked_on_resuming(train, tmp_path, monkeypatch):
    """The interruption comes after the epoch counts and before the rules are asked about it."""
    path, rule = tmp_path / "run.safetensors", cr.GradientNorm(1e9)
    train(checkpoint=path, stop=rule, callbacks=[interrupt_at(0, 1)])
    _, history = train(checkpoint=path, stop=rule, resume=True)
    assert history.epochs == 1
    assert history.stopped[0].startswith("critical point reached")


@pytest.mark.parametrize("copied", [0, 5, 1000])
def test_while_an_epoch_is_being_entered(train, monkeypatch, same_state, copied):
    """Its state is all there before it is copied over that of the epoch before: it counts."""
    copies, original = 0, Trainer.copy_into

    def cut(self, snapshot):
        nonlocal copies
        copies += 1
        if copies < 3:
            return original(self, snapshot)
        for name in list(snapshot)[:copied]:
            np.copyto(snapshot[name], self.arrays[name])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "copy_into", cut)
        model, history = train()
    expected, straight = train(epochs=3)
    np.testing.assert_array_equal(history.loss, straight.loss)
    same_state(model.state_dict(), expected.state_dict())
    model.parameters()[0].data[...] = 0.0  # what the history holds is no longer the model's own memory
    same_state(history.replicas[0].state, straight.replicas[0].state)


def test_while_a_saved_epoch_is_being_entered(train, monkeypatch, same_state, tmp_path):
    """Its loss is in the curves already, its parameters are not saved yet: it does not count."""
    snapshots, original = 0, Trainer.snapshot

    def snapshot(self):
        nonlocal snapshots
        snapshots += 1
        if snapshots == 4:  # at the start of fit, after epochs 1, 2 and 3
            raise KeyboardInterrupt
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "snapshot", snapshot)
        model, history = train(checkpoint=tmp_path / "run.safetensors")
    expected, straight = train(epochs=2)
    np.testing.assert_array_equal(history.loss, straight.loss)
    same_state(model.state_dict(), expected.state_dict())


def test_a_no_grad_block_that_was_cut_off_does_not_outlive_the_run(train, capsys):
    def cut_off(epoch):
        GRAD_ENABLED.set(False)
        raise KeyboardInterrupt

    train(callbacks=[cut_off])
    assert GRAD_ENABLED.get()


def test_ctrl_c_twice(train, monkeypatch, same_state, capsys):
    """The second one comes while the model is being settled."""
    loads, original = 0, nn.Module.load_state_dict

    def load_state_dict(self, state):
        nonlocal loads
        loads += 1
        if loads == 1:
            self.parameters()[0].data[...] = np.nan
            raise KeyboardInterrupt
        original(self, state)

    monkeypatch.setattr(nn.Module, "load_state_dict", load_state_dict)
    model, history = train(callbacks=[interrupt_at(0, 2)])
    assert loads == 2 and history.interrupted
    expected, _ = train(epochs=2)
    same_state(model.state_dict(), expected.state_dict())


class Interruption:
    """Raises KeyboardInterrupt before the n-th bytecode that the package runs, as a signal could."""

    def __init__(self, moment):
        self.left = moment

    def __call__(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self.count

    def count(self, frame, event, argument):
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self.count


@pytest.mark.parametrize("saved", [True, slow(False)])
def test_ctrl_c_at_any_bytecode(make_model, regression, tmp_path, capsys, saved):
    x, y = regression[0][:12], regression[1][:12]
    path = tmp_path / "run.safetensors"

    def train(model, callbacks=()):
        return cr.fit(
            model,
            (x, y),
            loss=nn.squared_error,
            optimizer=optim.SGD(0.1, momentum=0.9),
            epochs=2,
            batch_size=8,
            restarts=2,
            validation=(x[:3], y[:3]),
            stop=cr.EarlyStopping(5),
            checkpoint=cr.Checkpoint(path, seconds=1000) if saved else None,
            callbacks=callbacks,
        )

    def make():
        return make_model(widths=(3, 2, 2), dropout=0.2, batch_norm=True)

    good = [make().state_dict()]  # states that the model may be left in: the first one, any after an epoch
    good += [make().initialise(0, r).state_dict() for r in (0, 1)]
    straight = train(make(), [lambda epoch: good.append(epoch.model.state_dict())])
    everything = 10**9
    total = everything - run_interrupted(lambda: train(make()), everything)[1]
    moments = np.random.default_rng(0).integers(1, total, 24)
    outcomes = {"returned": 0, "raised": 0}
    for moment in moments:
        path.unlink(missing_ok=True)
        model = make()
        history, _ = run_interrupted(lambda model=model: train(model), int(moment))
        outcomes["raised" if history is None else "returned"] += 1
        check_sound(model, good, history, straight, x)
    assert outcomes["returned"] > 12  # the others came before training began, which raises


def run_interrupted(function, moment):
    """What the function returns (None if KeyboardInterrupt gets through), and the moments left over."""
    interruption = Interruption(moment)
    before = sys.gettrace()
    sys.settrace(interruption)
    try:
        result = function()
    except KeyboardInterrupt:
        result = None
    finally:
        sys.settrace(before)
    return result, interruption.left


def check_sound(model, good, history, straight, x):
    assert GRAD_ENABLED.get() and TRACE.get() is None
    state = model.state_dict()
    assert any(all((state[name] == value).all() for name, value in option.items()) for option in good)
    if history is not None:
        kept = history.replicas[history.best].state
        assert all((state[name] == value).all() for name, value in kept.items())
        assert not model.training
        assert all(p.grad is None for p in model.parameters())
        for mine, its in zip(history.replicas, straight.replicas, strict=False):
            assert its.loss[: len(mine.loss)] == mine.loss
            assert len(mine.loss) == len(mine.validation_loss) == len(mine.gradient_norm)
    for p in model.parameters():
        assert p.node.value is p.data and p.node.owner() is p
    model.eval()
    nn.squared_error(model(x), np.zeros((len(x), 2))).backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())


SCRIPT = """
import sys
import numpy as np
import chainrule as cr
from chainrule import nn, optim

rng = np.random.default_rng(0)
x = rng.normal(size=(4000, 3))
y = np.sin(x[:, :2])
model = nn.MLP([3, 8, 2], dropout=0.2, batch_norm=True, seed=0, dtype=np.float64)
history = cr.fit(
    model, (x, y), loss=nn.squared_error, optimizer=optim.Adam(0.01), epochs=int(sys.argv[3]), batch_size=10,
    callbacks=[lambda epoch: print("epoch", epoch.number, flush=True)],
    checkpoint=sys.argv[1], resume=True,
)
np.savez(sys.argv[2], loss=history.loss, interrupted=np.array(history.interrupted), **model.state_dict())
"""


@pytest.mark.slow
def test_a_real_ctrl_c_in_the_middle_of_an_epoch(tmp_path, same_state):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}

    def command(checkpoint, result, epochs):
        return [sys.executable, script, tmp_path / checkpoint, tmp_path / result, str(epochs)]

    process = subprocess.Popen(
        command("run.safetensors", "interrupted.npz", 1000),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "epoch 1\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=600)
    assert process.returncode == 0
    interrupted = dict(np.load(tmp_path / "interrupted.npz"))
    done = interrupted["loss"].size
    told = int((out.split() or ["epoch", "1"])[-1])
    assert interrupted.pop("interrupted") and told <= done <= told + 1
    assert error == f"chainrule: interrupted; the model holds its parameters after epoch {done}\n"
    subprocess.run(command("other.safetensors", "done.npz", done), env=environment, check=True)
    straight = dict(np.load(tmp_path / "done.npz"))
    assert not straight.pop("interrupted")
    same_state(interrupted, straight)
    for checkpoint, result in (("run.safetensors", "resumed.npz"), ("other.safetensors", "longer.npz")):
        subprocess.run(command(checkpoint, result, done + 1), env=environment, check=True)
    same_state(dict(np.load(tmp_path / "resumed.npz")), dict(np.load(tmp_path / "longer.npz")))
