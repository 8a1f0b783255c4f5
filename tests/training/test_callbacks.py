"""The callbacks that come along: what they change, and what they write."""

import csv

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError
from chainrule.files import FileWriteError
from chainrule.training import Epoch


@pytest.fixture
def fit(make_model, regression):
    def run(callbacks, **settings):
        defaults = {"loss": nn.squared_error, "optimizer": optim.SGD(0.01), "epochs": 6, "batch_size": 16}
        return cr.fit(make_model(), regression, callbacks=callbacks, **(defaults | settings))

    return run


def told(optimizer, losses):
    """Epochs with these losses; the step size after each."""
    optimizer.attach([cr.tensor(1.0, requires_grad=True)])
    rates = []

    def epochs(callback):
        for i, loss in enumerate(losses, 1):
            callback(Epoch(i, len(losses), 0, 1, loss, None, 1.0, 1, 1.0, nn.Tanh(), optimizer))
            rates.append(optimizer.lr)
        return rates

    return epochs


def test_the_step_size_falls_where_the_loss_does_not():
    epochs = told(optim.SGD(1.0), [5, 4, 4, 4, 3, 3, 3, 3, 3])
    assert epochs(cr.ReduceOnPlateau(factor=0.5, patience=2)) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_an_improvement_has_a_size_and_the_step_size_a_floor():
    epochs = told(optim.SGD(1.0), [5, 4.9, 4.8, 4.7])
    assert epochs(cr.ReduceOnPlateau(factor=0.1, patience=1, min_delta=1, least=0.05)) == [1, 0.1, 0.05, 0.05]


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
@pytest.mark.parametrize("restarts", [1, 3])
def test_training_goes_on_with_the_smaller_step(fit, executor, restarts):
    rates = {}

    def note(epoch):
        rates.setdefault(epoch.replica, []).append(epoch.lr)

    plateau = cr.ReduceOnPlateau(factor=1e-9, patience=1, min_delta=100.0)  # any second epoch is a plateau
    history = fit([plateau, note], executor=executor, restarts=restarts)
    for replica in range(restarts):
        assert rates[replica][0] == 0.01 and rates[replica][1] == pytest.approx(1e-11)
        later = history.loss[replica, 2:]
        assert np.ptp(later) < 1e-9 < history.loss[replica, 0] - history.loss[replica, 1]


def test_the_optimizer_that_was_passed_in_stays_as_it_is(fit):
    optimizer = optim.SGD(0.01)
    fit([cr.ReduceOnPlateau(factor=0.1, patience=1, min_delta=100.0)], optimizer=optimizer)
    assert optimizer.lr == 0.01


def test_schedules_and_searches_have_no_plateau(fit):
    for optimizer in (optim.SGD(optim.CosineDecay(0.1, 10)), optim.LBFGS(max_iterations=3)):
        with pytest.raises(SettingError, match="step size that is a number"):
            fit([cr.ReduceOnPlateau()], optimizer=optimizer)


def test_settings_out_of_range():
    for settings in ({"factor": 1.0}, {"factor": 0}, {"patience": 0}, {"min_delta": -1}):
        with pytest.raises(SettingError):
            cr.ReduceOnPlateau(**settings)


def test_a_csv_log(fit, regression, tmp_path):
    history = fit([cr.CSVLog(tmp_path / "log.csv")], restarts=2, validation=regression)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]] == [
        *("replica", "epoch", "loss", "validation_loss", "gradient_norm", "lr", "steps", "seconds")
    ]
    for replica in range(2):
        own = [row for row in rows if row["replica"] == str(replica)]
        assert [int(row["epoch"]) for row in own] == [1, 2, 3, 4, 5, 6]
        assert [float(row["loss"]) for row in own] == history.loss[replica].tolist()
        assert [float(row["validation_loss"]) for row in own] == history.validation_loss[replica].tolist()
        assert {row["lr"] for row in own} == {"0.01"}


def test_a_csv_log_is_replaced_or_goes_on(fit, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("old")
    fit([cr.CSVLog(path)], epochs=2)
    assert len(path.read_text().splitlines()) == 3
    fit([cr.CSVLog(path, append=True)], epochs=2)
    assert len(path.read_text().splitlines()) == 5
    with pytest.raises(FileWriteError, match="could not write"):
        fit([cr.CSVLog(tmp_path / "nowhere" / "log.csv")])


def test_lbfgs_has_no_step_size_to_log(fit, tmp_path):
    fit([cr.CSVLog(tmp_path / "log.csv")], optimizer=optim.LBFGS(max_iterations=2))
    with (tmp_path / "log.csv").open() as file:
        assert {row["lr"] for row in csv.DictReader(file)} == {""}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_log_for_tensorboard(fit, regression, tmp_path):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    history = fit([cr.TensorBoardLog(tmp_path)], restarts=2, validation=regression)
    for replica in range(2):
        (path,) = (tmp_path / f"replica-{replica}").iterdir()
        found = {}
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.tensor.float_val[0]))
        assert found.keys() == {"loss", "validation_loss", "gradient_norm", "lr"}
        assert [step for step, _ in found["loss"]] == [1, 2, 3, 4, 5, 6]
        np.testing.assert_allclose([v for _, v in found["loss"]], history.loss[replica], rtol=1e-6)
