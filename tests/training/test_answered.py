"""An epoch and what its callbacks did are one: a run that is interrupted between them asks them again.

Every state that a run ever writes to its checkpoint is resumed, with another number of threads, and must end as the
run that was never interrupted.
"""

import shutil
import warnings
from itertools import count

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.training import TrainingWarning
from chainrule.training import checkpoint as checkpoints

pytestmark = pytest.mark.filterwarnings("ignore::chainrule.training.TrainingWarning")


def slower(epoch):
    epoch.optimizer.lr = 0.1 * 0.5**epoch.number


def half_as_fast(epoch):
    """Depends on what it did before: asked twice about the same state it would show."""
    if epoch.number % 2:
        epoch.optimizer.lr = epoch.optimizer.lr / 2


def shrink(epoch):
    for parameter in epoch.model.parameters():
        parameter.data[...] *= 1 - 0.01 * (epoch.replica + epoch.number)


def stop_soon(epoch):
    return epoch.number == 3 + epoch.replica % 2


CALLBACKS = {
    "rate": [slower],
    "rate from the rate": [half_as_fast],
    "parameters": [shrink],
    "stop": [stop_soon],
    "all": [half_as_fast, shrink, stop_soon],
    "on a plateau": [cr.ReduceOnPlateau(factor=0.5, patience=1, min_delta=10.0)],
}
RUNS = {
    "one": {},
    "two": {"restarts": 2},
    "rates of their own": {"restarts": 3, "optimizer": optim.SGD([0.1, 0.05, 0.02], momentum=0.9)},
    "halving": {"restarts": cr.Halving(4, every=2)},
    "halving, rates of their own": {
        "restarts": cr.Halving(4, every=1),
        "optimizer": optim.SGD([0.1, 0.05, 0.02, 0.01]),
    },
    "early stopping": {"restarts": 2, "stop": cr.EarlyStopping(2)},
}


@pytest.fixture
def train(make_model, regression):
    x, y = regression

    def run(**settings):
        model = make_model(widths=(3, 4, 2), dropout=0.2, batch_norm=True)
        defaults = {
            "optimizer": optim.SGD(0.1, momentum=0.9),
            "epochs": 6,
            "batch_size": 16,
            "progress": False,
        }
        defaults |= {"loss": nn.squared_error, "validation": (x[:9], y[:9])}
        return model, cr.fit(model, (x, y), **(defaults | settings))

    return run


def check_same(result, expected, same_state):
    (model, history), (reference, straight) = result, expected
    assert [vars(r) | {"state": 0} for r in history.replicas] == [
        vars(r) | {"state": 0} for r in straight.replicas
    ]
    for mine, its in zip(history.replicas, straight.replicas, strict=True):
        same_state(mine.state, its.state)
    same_state(model.state_dict(), reference.state_dict())


@pytest.fixture
def every_save(monkeypatch, tmp_path):
    """The checkpoints of every state that a run saves."""
    copies, number = [], count()
    original = checkpoints.save_tensors

    def save(path, *rest, **named):
        original(path, *rest, **named)
        copies.append(shutil.copy(path, tmp_path / f"copy {next(number)}"))

    monkeypatch.setattr(checkpoints, "save_tensors", save)
    return copies


@pytest.mark.parametrize("callbacks", CALLBACKS)
@pytest.mark.parametrize("run", RUNS)
def test_every_saved_state_ends_as_the_run_itself(train, tmp_path, every_save, same_state, run, callbacks):
    if callbacks == "on a plateau" and run != "one":
        callbacks = "all"  # it counts anew when it is resumed, and says so
    settings = RUNS[run] | {"callbacks": CALLBACKS[callbacks]}
    expected = train(**settings)
    saved = train(**settings, threads=2, checkpoint=cr.Checkpoint(tmp_path / "run", seconds=0))
    check_same(saved, expected, same_state)
    assert len(every_save) > 3
    for i, copy in enumerate(list(every_save)):
        resumed = train(**settings, threads=1 + i % 3, checkpoint=cr.Checkpoint(copy, 1000), resume=True)
        if callbacks != "on a plateau":
            check_same(resumed, expected, same_state)


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("run", RUNS)
def test_ctrl_c_in_a_callback(train, tmp_path, same_state, run, first, executor):
    """Before the others have changed anything, and after they have."""

    def interrupt(epoch):
        if epoch.number == 2 and epoch.replica == (1 if epoch.restarts > 1 else 0):
            raise KeyboardInterrupt

    settings = RUNS[run] | {"executor": executor}
    others = CALLBACKS["all"]
    path = cr.Checkpoint(tmp_path / "run", seconds=1000)
    cut = [interrupt, *others] if first else [*others, interrupt]
    _, history = train(**settings, callbacks=cut, threads=2, checkpoint=path)
    assert history.interrupted
    resumed = train(**settings, callbacks=others, threads=1, checkpoint=path, resume=True)
    check_same(resumed, train(**settings, callbacks=others), same_state)


def test_a_stop_that_was_not_entered_yet(train, tmp_path, monkeypatch, same_state):
    """The callback has answered, and Ctrl-C comes before the replica has ended."""
    path = cr.Checkpoint(tmp_path / "run", seconds=1000)
    asked = []

    def stop(epoch):
        asked.append(epoch.number)
        return epoch.number == 2

    def interrupted(*ignored):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("chainrule.training.run.Run.finish", interrupted)
        train(callbacks=[stop], checkpoint=path)
    resumed = train(callbacks=[stop], checkpoint=path, resume=True)
    assert asked == [1, 2]
    check_same(resumed, train(callbacks=[stop]), same_state)


def test_asked_again_without_callbacks(train, tmp_path):
    """What a run without any would have done."""

    def interrupt(epoch):
        raise KeyboardInterrupt

    for restarts in (1, 2):
        path = cr.Checkpoint(tmp_path / str(restarts), seconds=1000)
        train(callbacks=[interrupt], checkpoint=path, restarts=restarts)
        _, history = train(checkpoint=path, resume=True, restarts=restarts)
        np.testing.assert_array_equal(history.loss, train(restarts=restarts)[1].loss)


def test_the_epoch_is_told_as_it_was(train, tmp_path):
    """Steps, losses and seconds of the epoch that is asked about again are those of when it was trained."""
    told = []

    def interrupt(epoch):
        told.append(epoch)
        if len(told) == 2:
            raise KeyboardInterrupt

    path = cr.Checkpoint(tmp_path / "run", seconds=1000)
    train(callbacks=[interrupt], checkpoint=path)
    train(callbacks=[told.append], checkpoint=path, resume=True)
    facts = [
        [
            getattr(e, name)
            for name in ("number", "loss", "validation_loss", "gradient_norm", "steps", "seconds")
        ]
        for e in told
    ]
    assert [e.number for e in told] == [1, 2, 2, 3, 4, 5, 6]
    assert facts[1] == facts[2]


def other_dropout(epoch):
    epoch.model[3].p = 0.5 if epoch.number < 4 else 0.1


def other_momentum(epoch):
    epoch.optimizer.momentum = 0.5


def number_for_schedule(epoch):
    epoch.optimizer.lr = 0.01


@pytest.mark.parametrize("change", [other_dropout, other_momentum, number_for_schedule])
def test_what_a_checkpoint_does_not_hold_is_said(train, tmp_path, change):
    """Settings that a callback has changed, of the model or the optimizer: not in silence."""
    settings = {"optimizer": optim.SGD(optim.StepDecay(0.1, 0.5, 3), momentum=0.9)}
    path = cr.Checkpoint(tmp_path / "run", seconds=1000)

    def interrupt(epoch):
        if epoch.number == 3:
            raise KeyboardInterrupt

    train(**settings, callbacks=[change, interrupt], checkpoint=path)
    what = "the model" if change is other_dropout else "the optimizer"
    with pytest.warns(
        TrainingWarning, match=f"a callback had changed {what}, which the checkpoint does not hold"
    ):
        train(**settings, callbacks=[change], checkpoint=path, resume=True)
    train(**settings, callbacks=[interrupt], checkpoint=path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(**settings, checkpoint=path, resume=True)
