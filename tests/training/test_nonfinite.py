"""The first number of a run that is not finite: which node, line, step, replica and rows."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import NonFiniteError, SettingError
from chainrule.training import TrainingWarning, executors


class LogOfRelu(nn.Module):
    """A layer with a fault: the logarithm of numbers that may be 0."""

    def __init__(self, width, floor):
        self.linear = nn.Linear(
            width, width, weight_initialiser=nn.initialisers.constant(0.0), dtype=np.float64
        )
        self.linear.bias.data[...] = floor

    def forward(self, x):
        return cr.log(cr.relu(self.linear(x)))  # planted


def planted(floor=0.0):
    """Three layers, the third with the fault; it shows once a bias has fallen to 0."""
    return nn.Sequential(
        nn.Linear(3, 4, seed=0, dtype=np.float64),
        nn.Tanh(),
        nn.Linear(4, 4, seed=1, dtype=np.float64),
        nn.Tanh(),
        LogOfRelu(4, floor),
        nn.Linear(4, 2, seed=2, dtype=np.float64),
    )


@pytest.fixture(params=executors.EXECUTORS)
def train(request, regression):
    def run(model, **settings):
        defaults = {"optimizer": optim.SGD(0.02), "epochs": 30, "batch_size": 8, "nonfinite": "raise"}
        defaults |= {"loss": nn.squared_error, "executor": request.param, "progress": False}
        return cr.fit(model, settings.pop("data", regression), **(defaults | settings))

    return run


def test_a_planted_log_of_0_in_the_third_layer(train):
    model = planted()
    before = model.state_dict()
    with pytest.raises(NonFiniteError) as caught:
        train(model)
    text = str(caught.value)
    assert "replica 0 diverged: " in text and "Log gave -inf, the first number that is not finite" in text
    assert "-inf in 32 of 32 elements of float64[8, 4], first at [0, 0]" in text
    assert "its input: float64[8, 4] from relu, from 0 to 0, 0 there" in text
    assert "behind 4.linear.bias" in text
    assert "step 1 of replica 0, minibatch 1 of epoch 1" in text
    assert f"{__file__}:" in text and text.count("# planted") == 1
    assert "cr.maximum" in text
    assert all((model.state_dict()[name] == value).all() for name, value in before.items())
    assert not model.training


def test_the_step_is_the_one_that_a_loop_by_hand_finds(train, regression, train_by_hand):
    """Some steps in, when a bias has fallen to 0: found exactly, with the rows of that minibatch."""
    losses = train_by_hand(
        planted(1.0), regression, loss=nn.squared_error, optimizer=optim.SGD(0.6), epochs=30, batch_size=8
    )
    flat = [value for epoch in losses for value in epoch]
    step = int(np.flatnonzero(~np.isfinite(flat))[0])
    assert step >= 7
    with pytest.raises(NonFiniteError) as caught:
        train(planted(1.0), optimizer=optim.SGD(0.6))
    text = str(caught.value)
    assert f"step {step + 1} of replica 0, minibatch {step % 7 + 1} of epoch {step // 7 + 1}" in text
    from chainrule.training.batches import epoch_orders

    parts = epoch_orders(50, 8, shuffle=True, drop_last=False, key=(0, 0, step // 7))
    rows = [row for part in parts for row in part][step % 7]
    assert f"rows of the minibatch: {', '.join(map(str, rows))}\n" in text


def test_an_update_that_overflows_while_the_loss_is_finite(train):
    """Adam's second moment in float32 overflows; the step is found although no loss ever shows it."""
    x = np.ones((40, 1), np.float32)
    y = np.zeros(40, np.float32)
    y[33] = 1.0
    model = nn.Linear(1, 1, bias=False, weight_initialiser=nn.initialisers.constant(0.0))

    def loss(p, t):
        return (p[:, 0] * t * 1e25).mean()

    with pytest.raises(NonFiniteError, match=r"the optimizer's state is no longer finite") as caught:
        train(
            model, data=(x, y), loss=loss, optimizer=optim.Adam(1e-3), batch_size=4, shuffle=False, epochs=1
        )
    assert "step 9 of replica 0, minibatch 9 of epoch 1" in str(caught.value)
    assert "Multiply gave inf" in str(caught.value)
    assert "rows of the minibatch: 32, 33, 34, 35" in str(caught.value)


def test_the_replica_is_named_and_the_others_go_on(train):
    rates = [0.01, 1e300, 0.02]
    model = nn.MLP([3, 4, 2], seed=0, dtype=np.float64)
    with pytest.warns(TrainingWarning, match=r"replica 1 diverged(.|\n)*first number that is not finite"):
        history = train(model, optimizer=optim.SGD(rates), restarts=3, epochs=3, nonfinite="warn")
    assert [len(replica.loss) for replica in history.replicas] == [3, 0, 3]
    with pytest.raises(NonFiniteError, match=r"(.|\n)*step \d of replica 1, "):
        train(model, optimizer=optim.SGD(rates), restarts=3, epochs=3)


def test_ignored(train):
    history = train(planted(), epochs=3, nonfinite="ignore")
    assert history.stopped == ["all epochs done"] and np.isnan(history.loss).all()
    assert history.steps == 21


def test_in_the_validation_loss(train, regression):
    x, y = regression
    far = np.zeros((9, 3))
    far[7] = 1e200

    def loss(p, t):
        return cr.mean(cr.square(p - t))

    model = nn.Sequential(nn.Linear(3, 2, seed=0, dtype=np.float64))
    with pytest.raises(NonFiniteError, match="the validation loss became inf") as caught:
        train(model, data=(x, y), loss=loss, validation=(far, y[:9]), epochs=2)
    assert "Multiply gave inf" in str(caught.value) and "rows affected: 7\n" in str(caught.value)


def test_data_that_go_bad_during_the_run_are_named_by_row_and_column(train, regression):
    x, y = (np.array(part) for part in regression)

    def spoil(epoch):
        x[17, 2] = np.nan

    with pytest.raises(NonFiniteError) as caught:
        train(nn.MLP([3, 4, 2], seed=0, dtype=np.float64), data=(x, y), callbacks=[spoil])
    assert "X holds nan" in str(caught.value)
    assert "row 17, column 2 of X, counted from 0" in str(caught.value)


def test_a_long_epoch_is_not_waited_for(train, monkeypatch):
    """Native code comes back ten times a second; the rest of the epoch is not run."""
    monkeypatch.setattr(executors, "TRIAL_SECONDS", 1e-9)
    ticks = []
    from chainrule.training.run import Run

    original = Run.tick
    monkeypatch.setattr(Run, "tick", lambda run: (ticks.append(1), original(run)))
    x = np.random.default_rng(0).normal(size=(4000, 3))
    model = nn.MLP([3, 4, 2], seed=0, dtype=np.float64)
    with pytest.warns(TrainingWarning):
        train(model, data=(x, x[:, :2]), optimizer=optim.SGD(1e300), batch_size=2, epochs=1, nonfinite="warn")
    assert len(ticks) < 2000 + 1 + 50


def test_threads_find_the_same(regression):
    def explanation(threads):
        model = nn.MLP([3, 4, 2], seed=0, dtype=np.float64)
        with pytest.warns(TrainingWarning) as caught:
            cr.fit(
                model,
                regression,
                loss=nn.squared_error,
                optimizer=optim.SGD([0.1, 1e200, 0.2, 1e100]),
                epochs=4,
                batch_size=8,
                restarts=4,
                threads=threads,
            )
        return sorted(str(w.message) for w in caught)

    one, two = explanation(1), explanation(2)
    assert one == two and len(one) == 2
    assert all(f"{__file__}:" in text for text in one)


def test_nan_in_the_data_given(train, regression):
    x, y = (np.array(part) for part in regression)
    x[4, 1] = np.nan
    with pytest.raises(cr.errors.DataError, match=r"X\[4, 1\] = nan"):
        train(planted(), data=(x, y))


def test_unknown_setting(train):
    with pytest.raises(SettingError, match="nonfinite must be 'raise' or"):
        train(planted(), nonfinite="stop")
