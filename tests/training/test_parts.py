"""Networks that train side by side: early stopping keeps the best epoch of each, by its own loss."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ModelFileError, SettingError
from chainrule.files import load_tensors, save_tensors
from chainrule.tables.mixture import SideBySide, names_side_by_side
from chainrule.training.parts import MeanOfParts

RNG = np.random.default_rng(7)
X = RNG.normal(size=(90, 4))
Y = np.tanh(X[:, :1] + X[:, 1:2]) + 0.5 * RNG.normal(size=(90, 1))
TRAIN, VALIDATION = (X[:40], Y[:40]), (X[40:], Y[40:])
FOLDS = cr.folds(90, 3, seed=1)
EPOCHS = 25


def networks():
    """One that learns its rows by heart within a few epochs, and two that take longer; one has buffers."""
    return [
        nn.MLP([4, 40, 1], "tanh", seed=0, dtype=np.float64),
        nn.MLP([4, 3, 1], "tanh", seed=1, dtype=np.float64, batch_norm=True),
        nn.Linear(4, 1, seed=2, dtype=np.float64),
    ]


def each(outputs, target):
    """The first network's loss is larger, so that it takes larger steps."""
    scales = (8.0, 1.0, 0.05)
    return [
        scale * nn.squared_error(outputs[:, i], target) for i, scale in enumerate(scales[: outputs.shape[1]])
    ]


def mean_of_parts(count=3):
    return MeanOfParts(each, names_side_by_side(count))


def train(model=None, data=TRAIN, **changed):
    given = {
        "loss": mean_of_parts(), "optimizer": optim.SGD(0.05), "batch_size": 8, "epochs": EPOCHS,
        "validation": VALIDATION, "stop": cr.EarlyStopping(EPOCHS), "seed": 3,
    }  # fmt: skip
    return cr.fit(model or SideBySide(networks()), data, **given | changed)


def part(state, i):
    prefix = f"networks.{i}."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def losses_by_hand(state, rows):
    model = SideBySide(networks())
    model.load_state_dict(state)
    return [loss.item() for loss in each(model.eval()(rows[0]), rows[1])]


class Recorded:
    """The state of every replica after every epoch."""

    def __init__(self):
        self.states = {}

    def __call__(self, epoch):
        self.states.setdefault(epoch.replica, []).append(
            {name: value.copy() for name, value in epoch.model.state_dict().items()}
        )


def alike(found, expected, same_state):
    for one, other in zip(found.replicas, expected.replicas, strict=True):
        assert one.part_losses == other.part_losses and one.validation_loss == other.validation_loss
        assert (one.kept_epochs, one.kept_epoch, one.kept_loss) == (
            other.kept_epochs, other.kept_epoch, other.kept_loss,
        )  # fmt: skip
        assert (one.stopped, one.dropped) == (other.stopped, other.dropped)
        same_state(one.state, other.state)
    assert found.best == expected.best


MODES = {
    "alone": {},
    "interpreted": {"executor": "interpreted"},
    "no validation rows": {"validation": None},
    "folds": {"data": (X, Y), "validation": None, "rows": FOLDS, "restarts": 3, "threads": 2},
    "restarts": {"restarts": 2, "threads": 2},
    "a checkpoint": {"restarts": 2, "checkpoint": "run.safetensors"},
    "one network wins": {"optimizer": optim.Adam(0.02)},
}


@pytest.mark.parametrize("mode", MODES)
def test_each_network_is_kept_as_it_was_after_its_own_best_epoch(mode, tmp_path, monkeypatch, same_state):
    """All epochs' losses are computed once more, from the states that a callback has seen."""
    monkeypatch.chdir(tmp_path)
    record, given = Recorded(), MODES[mode]
    history = train(callbacks=[record], **given)
    data = given.get("data", TRAIN)
    for index, replica in enumerate(history.replicas):
        watched = VALIDATION
        if mode == "folds":
            watched = tuple(array[FOLDS[index].validation] for array in data)
        if mode == "no validation rows":
            watched = data
        losses = np.array([losses_by_hand(state, watched) for state in record.states[index]])
        np.testing.assert_allclose(replica.part_losses, losses, rtol=1e-12)
        np.testing.assert_allclose(replica.monitored(), losses.mean(1), rtol=1e-12)
        best = losses.argmin(0)
        assert replica.kept_epochs == tuple(best) and replica.kept_epoch == best.max()
        assert replica.kept_loss == replica.score == pytest.approx(losses.min(0).mean(), rel=1e-12)
        assert np.mean(losses_by_hand(replica.state, watched)) == pytest.approx(replica.kept_loss, rel=1e-12)
        assert len({*best}) > 1  # else the test tells nothing
        for i, epoch in enumerate(best):
            same_state(part(replica.state, i), part(record.states[index][epoch], i))
        assert list(replica.state) == list(record.states[index][0])
    kept = history.to_frame().filter(replica=history.best, kept=True)["epoch"] - 1
    assert kept.to_list() == sorted({*history.replicas[history.best].kept_epochs})


@pytest.mark.parametrize("executor", ["interpreted", "compiled"])
def test_a_network_keeps_what_it_keeps_when_it_is_trained_alone(executor, same_state):
    """The loss alone is divided as the mean divides it, so that with SGD the steps are the same."""
    together = train(executor=executor).replicas[0]
    for i, network in enumerate(networks()):
        alone = train(network, executor=executor, loss=lambda p, y, i=i: each_alone(p, y, i)).replicas[0]
        assert together.kept_epochs[i] == alone.kept_epoch
        curve = [losses[i] / 3 for losses in together.part_losses]
        kept = part(together.state, i)
        assert kept.keys() == alone.state.keys()
        np.testing.assert_allclose(curve, alone.validation_loss, rtol=1e-12)
        for name, value in alone.state.items():
            np.testing.assert_allclose(kept[name], value, rtol=1e-10, atol=1e-14)


def each_alone(outputs, target, i):
    return (8.0, 1.0, 0.05)[i] * nn.squared_error(outputs, target) / 3


@pytest.mark.parametrize("min_delta", [0.0, 0.02])
@pytest.mark.parametrize("patience", [1, 2, 4])
def test_a_run_goes_on_while_any_network_improves(patience, min_delta):
    history = train(stop=cr.EarlyStopping(patience, min_delta), epochs=300, optimizer=optim.Adam(0.05))
    losses = np.array(history.replicas[0].part_losses)
    improved, ended = [0, 0, 0], None
    for epoch in range(1, len(losses)):
        improved = [
            epoch if losses[epoch, i] < losses[last, i] - min_delta else last
            for i, last in enumerate(improved)
        ]
        if epoch - max(improved) >= patience:
            ended = epoch
            break
    assert ended == len(losses) - 1 < 299
    assert history.stopped == [f"no improvement in {patience} epochs after epoch {max(improved) + 1}"]
    assert history.replicas[0].kept_epochs == tuple(losses.argmin(0))


def explode(outputs, target):
    """The second network's steps are so large that its loss soon is infinite."""
    return [nn.squared_error(outputs[:, 0], target), 1e4 * nn.squared_error(outputs[:, 1], target)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_network_that_diverges_does_not_cost_the_others_their_best_epoch(same_state):
    def two():
        return SideBySide([nn.Linear(4, 1, seed=i, dtype=np.float64) for i in range(2)])

    loss = MeanOfParts(explode, names_side_by_side(2))
    given = {"epochs": 60, "optimizer": optim.SGD(0.05), "stop": cr.EarlyStopping(60)}
    going_on = train(two(), loss=loss, nonfinite="ignore", **given).replicas[0]
    losses = np.array(going_on.part_losses)
    assert len(losses) == 60 and np.isnan(losses[-1, 1]) and np.isfinite(losses[:, 0]).all()
    assert going_on.kept_epochs == tuple(np.nanargmin(losses, axis=0))
    assert going_on.kept_loss == np.nanmin(losses, axis=0).mean()
    finite = int(np.flatnonzero(~np.isfinite(losses.mean(1)))[0])
    with pytest.warns(cr.TrainingWarning, match="became"):
        ended = train(two(), loss=loss, **given).replicas[0]
    assert "diverged" in ended.stopped and len(ended.part_losses) <= finite
    first = losses[: len(ended.part_losses)]
    assert ended.kept_epochs == tuple(first.argmin(0)) and ended.kept_loss == first.min(0).mean()
    same_state(part(ended.state, 1), part(going_on.state, 1))


def test_a_network_whose_loss_never_is_a_number_leaves_the_replica_without_a_score():
    def loss(outputs, target):
        return [nn.squared_error(outputs[:, 0], target), cr.sum(cr.log(outputs[:, 1] * 0.0 - 1.0))]

    two = SideBySide(networks()[:2])
    with np.errstate(all="ignore"):
        history = train(
            two, loss=MeanOfParts(loss, names_side_by_side(2)), nonfinite="ignore", epochs=5, executor="interpreted"
        )  # fmt: skip
    replica = history.replicas[0]
    assert np.isnan(replica.kept_loss) and replica.score == np.inf and replica.kept_epochs[1] == 0


def test_a_run_that_was_killed_after_any_epoch_keeps_the_same(tmp_path, same_state):
    expected, path = train(), tmp_path / "run.safetensors"
    for epochs in (1, 2, 3, 7, 8, 20, EPOCHS):
        found = train(epochs=epochs, checkpoint=path, resume=True)
    alike(found, expected, same_state)
    alike(train(checkpoint=path, resume=True), expected, same_state)


@pytest.mark.parametrize("threads", [1, 2])
def test_folds_that_were_interrupted_keep_the_same(threads, tmp_path, same_state):
    """Also with as many threads as may be: no bit depends on them."""

    def run(**changed):
        return train(data=(X, Y), validation=None, rows=FOLDS, restarts=3, **changed)

    def interrupt(after):
        told = iter(range(after))

        def callback(epoch):
            if next(told, None) is None:
                raise KeyboardInterrupt

        return [callback]

    expected, path = run(threads=1), tmp_path / "run.safetensors"
    for after in (3, 1, 24):
        stopped = run(
            threads=threads,
            checkpoint=cr.Checkpoint(path, seconds=0),
            resume=True,
            callbacks=interrupt(after),
        )
        assert stopped.interrupted
        for replica in stopped.replicas:
            if replica.part_losses:
                assert replica.kept_epochs == tuple(np.array(replica.part_losses).argmin(0))
    alike(run(threads=threads, checkpoint=path, resume=True), expected, same_state)


def test_two_threads_on_one_step_change_no_bit(many_cores, same_state):
    def wide():
        return SideBySide([nn.MLP([4, 128, 128, 1], seed=i, dtype=np.float32) for i in range(3)])

    x = RNG.normal(size=(2500, 4)).astype(np.float32)
    data = x, np.sin(x[:, :1])
    first, *others = (
        train(wide(), data, validation=data, epochs=2, batch_size=512, threads=threads) for threads in (1, 2)
    )
    for other in others:
        alike(other, first, same_state)


def test_a_checkpoint_of_before_is_of_another_run(tmp_path):
    """When the mean of the losses was an ordinary loss, one epoch was kept."""
    path = tmp_path / "run.safetensors"
    train(loss=mean_of_parts().__call__, checkpoint=path)
    with pytest.raises(SettingError, match="belongs to another run"):
        train(checkpoint=path, resume=True)


DAMAGES = {
    "no losses of the parts": lambda tensors, life: tensors.pop("replica/0/part_losses"),
    "fewer epochs": lambda tensors, life: tensors.update(
        {"replica/0/part_losses": tensors["replica/0/part_losses"][:-1]}
    ),
    "fewer parts": lambda tensors, life: tensors.update(
        {"replica/0/part_losses": tensors["replica/0/part_losses"][:, :2].copy()}
    ),
    "no best epochs": lambda tensors, life: life.pop("best_epochs"),
    "an epoch to come": lambda tensors, life: life.update(improved_epochs=[0, 0, 99]),
    "an epoch before the first": lambda tensors, life: life.update(best_epochs=[0, -1, 0]),
    "no epochs": lambda tensors, life: life.update(best_epochs=3),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checkpoint_whose_parts_do_not_fit_is_refused(damage, tmp_path):
    path = tmp_path / "run.safetensors"
    train(epochs=3, checkpoint=path)
    tensors, metadata = load_tensors(path, kind="checkpoint")
    DAMAGES[damage](tensors, metadata["lives"]["0"])
    save_tensors(path, tensors, metadata, kind="checkpoint")
    with pytest.raises(ModelFileError, match="damaged"):
        train(checkpoint=path, resume=True)


@pytest.mark.parametrize("reduction", ["mean", "sum", "whole"])
@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
def test_the_losses_of_the_parts_are_those_of_all_rows(reduction, executor):
    """More rows than are evaluated at once."""

    def one(outputs, target):
        if reduction == "whole":
            return cr.sqrt(nn.squared_error(outputs, target))
        return nn.squared_error(outputs, target, reduction)

    def both(outputs, target):
        return [one(outputs[:, i], target) for i in range(2)]

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2500, 4)), rng.normal(size=(2500, 1))
    model = SideBySide(networks()[:2])
    replica = train(
        model, loss=MeanOfParts(both, names_side_by_side(2)), validation=(x, y), epochs=1, executor=executor,
        optimizer=optim.SGD(1e-4),
    ).replicas[0]  # fmt: skip
    np.testing.assert_allclose(
        replica.part_losses[0], [loss.item() for loss in both(model(x), y)], rtol=1e-12
    )
    assert replica.validation_loss[0] == pytest.approx(np.mean(replica.part_losses[0]), rel=1e-12)


def test_without_early_stopping_the_last_epoch_is_kept(same_state):
    record = Recorded()
    replica = train(stop=None, callbacks=[record]).replicas[0]
    assert (replica.kept_epoch, replica.kept_epochs) == (EPOCHS - 1, ())
    assert len(replica.part_losses) == EPOCHS and replica.kept_loss == replica.validation_loss[-1]
    same_state(replica.state, record.states[0][-1])


def test_halving_judges_replicas_by_what_they_would_keep(same_state):
    """In rounds of 4 epochs the worse half goes: compared is the mean of the networks' lowest losses so far."""
    everyone = train(restarts=4, epochs=12).replicas
    lowest = np.array([np.minimum.accumulate(np.array(r.part_losses)).mean(1) for r in everyone])
    by_mean = np.array([np.minimum.accumulate(r.validation_loss) for r in everyone])
    history = train(restarts=cr.Halving(4, every=4), epochs=12)
    first = sorted(range(4), key=lambda index: lowest[index, 3])
    second = sorted(first[:2], key=lambda index: lowest[index, 7])
    assert history.best == second[0]
    assert [history.dropped[index] for index in (*second, *first[2:])] == [None, 8, 4, 4]
    assert not np.allclose(lowest, by_mean)
    same_state(history.replicas[history.best].state, everyone[history.best].state)


def test_what_is_said_of_the_kept_epochs_is_true():
    history = train()
    kept = history.replicas[0]
    said = ", ".join(str(epoch + 1) for epoch in kept.kept_epochs)
    assert history.describe_kept() == f"after each network's best epoch ({said})"
    assert f"validation loss {kept.kept_loss:.4g}; all epochs done" in repr(history)
    marks = history.plot().lines[-1]
    assert (marks.get_xdata() - 1).tolist() == sorted({*kept.kept_epochs})
    np.testing.assert_array_equal(marks.get_ydata(), np.array(kept.validation_loss)[marks.get_xdata() - 1])
    assert history._repr_html_().count("stroke-dasharray") == len({*kept.kept_epochs})


def test_every_parameter_belongs_to_one_network():
    for prefixes in (("networks.0.", "networks.1."), ("networks.", "networks.1.")):
        with pytest.raises(SettingError, match="just one of the parts"):
            train(loss=MeanOfParts(each, prefixes))
