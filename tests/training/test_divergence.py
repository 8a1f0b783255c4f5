"""Runs whose numbers run away."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.training import TrainingWarning


@pytest.fixture
def diverge(make_model, regression):
    """fit on a linear model with far too large a step."""

    def run(model=None, **settings):
        model = model or make_model(widths=(3, 2), dtype=np.float32)
        defaults = {"optimizer": optim.SGD(1e4), "epochs": 50, "batch_size": 25}
        history = cr.fit(model, regression, loss=nn.squared_error, **(defaults | settings))
        return model, history

    return run


def finite(model):
    return all(np.isfinite(p.data).all() for p in model.parameters())


def test_a_diverging_run_warns_ends_and_leaves_finite_parameters(diverge, regression):
    with pytest.warns(TrainingWarning, match="replica 0 diverged: the loss became .* in epoch") as caught:
        model, history = diverge()
    assert len(caught) == 1
    assert caught[0].filename == __file__  # at the user's line
    assert finite(model)
    assert not model.training
    assert 1 <= history.epochs < 50
    assert history.stopped[0].startswith("diverged: the loss became ")
    assert np.isfinite(history.loss).all()
    assert history.replicas[0].kept_epoch == history.epochs - 1


def test_divergence_in_the_first_epoch_leaves_the_first_parameters(diverge, make_model, same_state):
    model = make_model(widths=(3, 2), dtype=np.float32)
    before = model.state_dict()
    with pytest.warns(TrainingWarning, match="in epoch 1;"):
        _, history = diverge(model, optimizer=optim.SGD(1e30))
    same_state(model.state_dict(), before)
    assert history.loss.shape == (1, 0)
    assert history.replicas[0].kept_epoch == -1
    assert repr(history) == f"<History: 0 epochs, 0 steps; {history.stopped[0]}>"


def test_a_last_step_that_breaks_the_parameters_is_noticed(diverge, make_model, same_state):
    """The loss of an epoch is measured before its last step, so it may still be finite."""
    model = make_model(widths=(3, 2), dtype=np.float32)
    before = model.state_dict()
    with pytest.warns(
        TrainingWarning, match="a parameter or the optimizer's state is no longer finite in epoch 1"
    ):
        diverge(model, optimizer=optim.SGD(1e39), batch_size=50, epochs=1)
    same_state(model.state_dict(), before)


def test_a_validation_loss_that_is_not_finite(diverge, monkeypatch, regression):
    from chainrule.training.trainer import Trainer

    run_epochs = Trainer.run_epochs

    def run(trainer, replica, first, *arguments):
        results = run_epochs(trainer, replica, first, *arguments)
        for number, result in enumerate(results, start=first):
            result.validation_loss = 1.0 if number == 0 else np.nan
        return results

    monkeypatch.setattr(Trainer, "run_epochs", run)
    with pytest.warns(TrainingWarning, match="the validation loss became nan in epoch 2"):
        _, history = diverge(optimizer=optim.SGD(0.1), validation=regression)
    assert history.epochs == 1


def test_other_replicas_go_on_and_the_best_is_kept(make_model, regression):
    """Early stopping's best epoch is kept too, should it lie before the divergence."""

    def explode(epoch):
        if (epoch.replica, epoch.number) == (1, 2):
            epoch.model.parameters()[0].data[...] = 1e30

    model = make_model(dtype=np.float32, activation="relu")
    with pytest.warns(TrainingWarning, match="replica 1 diverged"):
        history = cr.fit(
            model,
            regression,
            loss=nn.squared_error,
            optimizer=optim.SGD(0.1),
            epochs=5,
            restarts=3,
            callbacks=[explode],
            stop=cr.EarlyStopping(patience=9),
        )
    assert [len(replica.loss) for replica in history.replicas] == [5, 2, 5]
    assert history.best != 1
    assert finite(model)
    assert np.isfinite(history.replicas[1].state["0.weight"]).all()
    assert len(history.ensemble().members) == 3


def test_all_replicas_diverge_at_once(diverge, regression):
    with pytest.warns(TrainingWarning) as caught:
        model, history = diverge(optimizer=optim.SGD(1e30), restarts=2)
    assert len(caught) == 2
    assert history.best == 0
    assert finite(model)
    assert len(history.ensemble().members) == 1


def test_clipping_helps_where_the_warning_says_so(diverge):
    _, history = diverge(optimizer=optim.SGD(0.9, momentum=0.9), clip_norm=0.1)
    assert history.stopped == ["all epochs done"]
