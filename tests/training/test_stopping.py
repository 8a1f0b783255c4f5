"""When a run ends before its last epoch, and what it then holds."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError


@pytest.fixture
def noisy(make_model, regression):
    """fit with a learning rate so large that the validation loss goes up and down."""
    x, y = regression

    def run(model=None, **settings):
        model = model or make_model(widths=(3, 30, 2))
        defaults = {
            "optimizer": optim.SGD(0.7),
            "epochs": 60,
            "batch_size": 8,
            "validation": (x[:20], y[:20]),
        }
        return model, cr.fit(model, (x[20:], y[20:]), loss=nn.squared_error, **(defaults | settings))

    return run


def test_early_stopping_keeps_the_best_epoch(noisy, regression):
    x, y = regression
    model, history = noisy(stop=cr.EarlyStopping(patience=5))
    curve = history.validation_loss[0]
    best = int(np.argmin(curve))
    assert 0 < best == len(curve) - 6 < 54  # it did stop, and not at its best epoch
    assert history.stopped == [f"no improvement in 5 epochs after epoch {best + 1}"]
    assert history.replicas[0].kept_epoch == best
    assert nn.squared_error(model.predict(x[:20]), y[:20]).item() == pytest.approx(curve[best], rel=1e-12)
    assert history.replicas[0].score == curve[best]
    assert history.steps == 4 * len(curve)


def test_early_stopping_is_training_cut_short(noisy, make_model, same_state):
    stopped, history = noisy(stop=cr.EarlyStopping(patience=5))
    straight, _ = noisy(epochs=history.replicas[0].kept_epoch + 1)
    same_state(stopped.state_dict(), straight.state_dict())


def test_the_best_epoch_is_kept_where_the_last_epoch_comes_first(noisy, regression):
    x, y = regression
    model, history = noisy(stop=cr.EarlyStopping(patience=1000))
    assert history.stopped == ["all epochs done"]
    best = history.validation_loss[0].min()
    assert best < history.validation_loss[0, -1]
    assert nn.squared_error(model.predict(x[:20]), y[:20]).item() == pytest.approx(best, rel=1e-12)


def scripted(monkeypatch, curve):
    """Let the validation loss follow a script; what is trained does not matter."""
    from chainrule.training.trainer import Trainer

    values, run_epochs = iter(curve), Trainer.run_epochs

    def run(*arguments):
        results = run_epochs(*arguments)
        for result in results:
            result.validation_loss = next(values)
        return results

    monkeypatch.setattr(Trainer, "run_epochs", run)


@pytest.mark.parametrize(
    ("curve", "rule", "epochs", "kept"),
    [
        ([5, 4, 4, 4, 3], {"patience": 2}, 4, 1),  # equal is no improvement
        ([5, 4, 4, 3, 3, 3], {"patience": 2}, 6, 3),
        ([5, 6, 1, 1], {"patience": 1}, 2, 0),
        # steps of 0.4 do not count one by one, but add up: every third one is an improvement
        ([5, 4.6, 4.2, 3.8, 3.4, 3.0, 2.6], {"patience": 3, "min_delta": 1.0}, 7, 6),
        # waiting in vain for an improvement of 1, the lowest loss is kept all the same
        ([5, 4.6, 4.2, 4.3, 9], {"patience": 3, "min_delta": 1.0}, 4, 2),
        ([5, 4, 4, 4, 4], {"patience": 9}, 5, 1),
    ],
)
def test_patience_and_min_delta(monkeypatch, noisy, curve, rule, epochs, kept):
    scripted(monkeypatch, curve)
    _, history = noisy(epochs=len(curve), stop=cr.EarlyStopping(**rule))
    assert history.epochs == epochs
    assert history.replicas[0].kept_epoch == kept


def test_without_validation_the_training_loss_is_watched(noisy):
    _, history = noisy(validation=None, stop=cr.EarlyStopping(patience=3), epochs=200)
    curve = history.end_loss[0]  # of the parameters after each epoch
    assert np.argmin(curve) == len(curve) - 4 < 196


def test_every_replica_has_its_own_patience(noisy):
    _, history = noisy(restarts=3, stop=cr.EarlyStopping(patience=4))
    lengths = [len(replica.loss) for replica in history.replicas]
    assert len(set(lengths)) > 1
    for replica in history.replicas:
        assert replica.kept_epoch == len(replica.loss) - 5 == np.argmin(replica.validation_loss)


def test_gradient_norm_stops_at_a_critical_point(make_model, regression):
    """row A10, erratum 10: the norm is that of the whole objective over all rows."""
    model, penalty = make_model(widths=(3, 2)), nn.l2(0.1)
    history = cr.fit(
        model,
        regression,
        loss=nn.squared_error,
        penalty=penalty,
        optimizer=optim.SGD(0.2),
        epochs=500,
        batch_size=50,
        stop=cr.GradientNorm(1e-4),
    )
    (nn.squared_error(model(regression[0]), regression[1]) + penalty(model)).backward()
    norm = optim.gradient_norm(model.parameters()).item()
    assert history.epochs < 500
    assert history.stopped == [
        f"critical point reached: gradient norm {norm:.3g} <= 0.0001 after epoch {history.epochs}"
    ]
    assert 5e-5 < norm <= 1e-4
    assert "minim" not in repr(history)  # that is more than is known


def test_gradient_norm_without_dropout(make_model, regression):
    """Dropout's noise has no critical point; the norm is taken at inference."""
    model = make_model(widths=(3, 4, 2), dropout=0.5)
    settings = {"loss": nn.squared_error, "epochs": 3, "stop": cr.GradientNorm(1e6)}
    assert "critical point" in cr.fit(model, regression, optimizer=optim.SGD(0.1), **settings).stopped[0]


def test_a_saddle_is_a_critical_point_too():
    """row E29: nothing in the stop rule can tell it from a minimum, and it does not claim to."""

    class Product(nn.Module):
        def __init__(self):
            self.w = nn.Parameter.drawn((1,), nn.initialisers.constant(0.0), 0, dtype=np.float64)
            self.v = nn.Parameter.drawn((1,), nn.initialisers.constant(0.0), 0, dtype=np.float64)

        def forward(self, x):
            return x * self.w * self.v

    history = cr.fit(
        Product(),
        (np.ones((1, 1)), np.ones((1, 1))),
        loss=nn.half_squared_error,
        optimizer=optim.SGD(0.1),
        stop=cr.GradientNorm(1e-6),
    )
    assert history.stopped == ["critical point reached: gradient norm 0 <= 1e-06 after epoch 1"]
    assert history.loss[0, -1] == 0.5


def test_both_rules_at_once(noisy):
    _, history = noisy(stop=[cr.EarlyStopping(patience=5), cr.GradientNorm(1e9)])
    assert history.stopped[0].startswith("critical point reached") and history.epochs == 1


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        (cr.EarlyStopping, {"patience": 0}),
        (cr.EarlyStopping, {"min_delta": -1.0}),
        (cr.EarlyStopping, {"min_delta": np.nan}),
        (cr.EarlyStopping, {"patience": 2.5}),
        (cr.GradientNorm, {"tolerance": 0.0}),
        (cr.GradientNorm, {"tolerance": np.nan}),
    ],
)
def test_rules_check_their_settings(rule, wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        rule(**wrong)


# Callbacks


def test_callbacks_receive_every_epoch(make_model, regression):
    records = []
    model = make_model()
    history = cr.fit(
        model,
        regression,
        loss=nn.squared_error,
        optimizer=optim.SGD(0.1),
        epochs=3,
        batch_size=20,
        restarts=2,
        validation=regression,
        callbacks=[records.append],
    )
    records.sort(key=lambda e: (e.replica, e.number))  # replicas train at the same time
    assert [(e.replica, e.number) for e in records] == [(r, n) for r in (0, 1) for n in (1, 2, 3)]
    assert all((e.epochs, e.restarts, e.steps) == (3, 2, 3) for e in records)
    assert all(e.model is model and e.seconds > 0 for e in records)
    for name, curve in (
        ("loss", history.loss),
        ("validation_loss", history.validation_loss),
        ("gradient_norm", history.gradient_norm),
    ):
        assert [getattr(e, name) for e in records] == curve.ravel().tolist()


def test_validation_loss_is_none_without_validation(make_model, regression):
    records = []
    settings = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 1}
    cr.fit(make_model(), regression, callbacks=[records.append], **settings)
    assert records[0].validation_loss is None


def test_a_callback_stops_by_returning_true_and_only_by_that(noisy):
    heard = []
    answers = {1: None, 2: 1, 3: "yes", 4: [0], 5: False, 6: np.True_}

    def first(epoch):
        return answers[epoch.number]

    _, history = noisy(callbacks=[first, heard.append])
    assert history.stopped == ["stopped by a callback after epoch 6"]
    assert len(heard) == 6  # every callback hears of every epoch


def test_early_stopping_still_keeps_the_best_when_a_callback_stops(noisy):
    _, history = noisy(stop=cr.EarlyStopping(patience=100), callbacks=[lambda e: e.number == 20])
    assert history.epochs == 20
    assert history.replicas[0].kept_epoch == np.argmin(history.validation_loss[0])


def test_a_callback_may_call_the_model_without_changing_the_run(make_model, regression, same_state):
    def look(epoch):
        epoch.model(regression[0])  # would move batch normalisation's moments, were it still training
        epoch.model.predict(regression[0])

    plain, looked_at = (make_model(dropout=0.3, batch_norm=True) for _ in range(2))
    settings = {"loss": nn.squared_error, "optimizer": optim.Adam(0.01), "epochs": 3, "batch_size": 8}
    cr.fit(plain, regression, **settings)
    cr.fit(looked_at, regression, callbacks=[look], **settings)
    same_state(plain.state_dict(), looked_at.state_dict())


def test_a_callback_may_change_parameters(make_model, regression):
    """Such as keeping weights within bounds."""

    def bound(epoch):
        for p in epoch.model.parameters():
            np.clip(p.data, -0.1, 0.1, out=p.data)

    model = make_model()
    settings = {"loss": nn.squared_error, "optimizer": optim.SGD(0.5), "epochs": 3}
    cr.fit(model, regression, callbacks=[bound], **settings)
    assert all(np.abs(p.data).max() <= 0.1 for p in model.parameters())


def test_an_error_in_a_callback_leaves_the_model_at_the_last_finished_epoch(
    make_model, regression, same_state
):
    def fail(epoch):
        if epoch.number == 3:
            raise RuntimeError("mine")

    model, reference = make_model(batch_norm=True), make_model(batch_norm=True)
    settings = {"loss": nn.squared_error, "optimizer": optim.Adam(0.01), "batch_size": 8}
    with pytest.raises(RuntimeError, match="mine"):
        cr.fit(model, regression, epochs=9, callbacks=[fail], **settings)
    cr.fit(reference, regression, epochs=3, **settings)
    same_state(model.state_dict(), reference.state_dict())
    assert not model.training and all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
def test_a_loss_that_is_not_a_number_at_first_is_no_best_one(executor):
    """The validation loss is the logarithm of a negative number until the weight has grown."""

    def loss(prediction, target):
        return nn.squared_error(prediction, target) + 1e-9 * cr.log(prediction + target).mean()

    model = nn.Linear(1, 1, bias=False)
    model.weight.data[...] = 0.0
    one = np.ones((1, 1), np.float32)
    history = cr.fit(
        model,
        (one, one),
        loss=loss,
        optimizer=optim.SGD(0.1),
        epochs=8,
        validation=(one, -0.5 * one),
        stop=cr.EarlyStopping(patience=3),
        progress=False,
        executor=executor,
        nonfinite="ignore",
    )
    curve = history.validation_loss[0]
    assert np.isnan(curve[:3]).all() and np.isfinite(curve[3:]).all()
    assert history.replicas[0].kept_epoch == int(np.nanargmin(curve)) == 3
    assert len(curve) == 3 + 1 + 3  # three that were not numbers, the best, and the patience
