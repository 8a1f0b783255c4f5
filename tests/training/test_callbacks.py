"""The callbacks that come along: what they change, and what they write."""

import csv
import os
import subprocess
import sys

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
    """Epochs with these losses; the learning rate after each."""
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
        with pytest.raises(SettingError, match="learning rate that is a number"):
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

    def halve(epoch):
        epoch.optimizer.lr = epoch.optimizer.lr / 2

    history = fit([halve, cr.TensorBoardLog(tmp_path)], restarts=2, validation=regression)
    for replica in range(2):
        (path,) = (tmp_path / f"replica-{replica}").iterdir()
        found = {}
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.tensor.float_val[0]))
        assert found.keys() == {"loss", "validation_loss", "gradient_norm", "lr"}
        assert [step for step, _ in found["loss"]] == [1, 2, 3, 4, 5, 6]
        np.testing.assert_allclose([v for _, v in found["loss"]], history.loss[replica], rtol=1e-6)
        np.testing.assert_allclose([v for _, v in found["lr"]], 0.01 * 0.5 ** np.arange(6), rtol=1e-6)
        np.testing.assert_allclose([v for _, v in found["lr"]], history.lr[replica], rtol=1e-6)


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("restarts", [1, 2])
def test_a_resumed_run_has_each_epoch_once_in_its_log(tmp_path, append, restarts):
    x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    log, checkpoint = tmp_path / "log.csv", tmp_path / "run"

    def interrupt(epoch):
        if epoch.number == 4:
            raise KeyboardInterrupt

    def run(*more, **settings):
        return cr.fit(
            nn.Linear(1, 1, seed=0),
            (x, 2 * x),
            loss=nn.squared_error,
            optimizer=optim.SGD(0.1),
            epochs=8,
            restarts=restarts,
            threads=1,
            callbacks=[cr.CSVLog(log, append=append), *more],
            checkpoint=checkpoint,
            progress=False,
            **settings,
        )

    if append:  # the lines of a run before stay
        run()
        checkpoint.unlink()
    history = run(interrupt)
    assert history.not_begun == restarts - 1
    assert ("not begun" in repr(history)) == (restarts > 1)
    run(resume=True)
    lines = [line.split(",")[:2] for line in log.read_text().splitlines()[1:]]
    once = [[str(replica), str(epoch)] for replica in range(restarts) for epoch in range(1, 9)]
    assert lines == once * (2 if append else 1)


def test_a_log_in_a_folder_that_is_missing_says_so(tmp_path):
    x = np.ones((4, 1), np.float32)
    with pytest.raises(FileWriteError, match="create the folder"):
        cr.fit(
            nn.Linear(1, 1),
            (x, x),
            loss=nn.squared_error,
            optimizer=optim.SGD(0.1),
            callbacks=[cr.CSVLog(tmp_path / "none" / "log.csv")],
            progress=False,
        )


FULL = """
import resource, sys
import numpy as np
import chainrule as cr
from chainrule import nn, optim
from chainrule.files import FileWriteError

x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
model = nn.Linear(1, 1, seed=0)
callback = getattr(cr, sys.argv[1])("log")
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
try:
    cr.fit(model, (x, 2 * x), loss=nn.squared_error, optimizer=optim.SGD(0.1), epochs=300, callbacks=[callback],
           executor="interpreted", progress=False)
except FileWriteError as error:
    print(error, float(model.weight.numpy()[0, 0]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits on the size of files are POSIX's")
@pytest.mark.parametrize("log", ["CSVLog", "TensorBoardLog"])
def test_a_log_on_a_disk_without_room_is_an_error_of_ours(tmp_path, log):
    """No traceback of a thread, no hang; the model holds what was learned until then."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FULL, log],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert "could not write" in done.stdout and "File too large" in done.stdout
    assert "try:      make room" in done.stdout
    assert float(done.stdout.split()[-1]) > 0.5
    assert done.stderr == ""


def lines_of(path):
    with path.open(newline="") as file:
        return [(row["replica"], row["epoch"]) for row in csv.DictReader(file)]


def test_a_log_of_a_resumed_run_keeps_replicas_that_had_ended(fit, tmp_path):
    """Also those that are not told again."""
    place, log = tmp_path / "run", tmp_path / "log.csv"

    def fail(epoch):
        if epoch.replica == 1:
            raise RuntimeError

    given = {"epochs": 2, "restarts": 2, "threads": 1, "checkpoint": cr.Checkpoint(place, seconds=0)}
    with pytest.raises(RuntimeError):
        fit([cr.CSVLog(log), fail], **given)
    fit([cr.CSVLog(log), lambda epoch: None], **given, resume=True)
    assert sorted(lines_of(log)) == [("0", "1"), ("0", "2"), ("1", "1"), ("1", "2")]


def test_a_log_that_is_used_again_is_of_the_new_run(fit, tmp_path):
    log = cr.CSVLog(tmp_path / "log.csv")
    for epochs in (3, 2):
        fit([log], epochs=epochs)
    assert [epoch for _, epoch in lines_of(tmp_path / "log.csv")] == ["1", "2"]


@pytest.mark.parametrize("before", ["the same run", "another run"])
def test_a_plateau_is_counted_from_0_in_a_resumed_run(fit, tmp_path, before):
    """As by an object that has seen nothing."""
    rates = {}
    for which in ("used", "fresh"):
        place = tmp_path / which
        used = cr.ReduceOnPlateau(0.5, patience=3, min_delta=1e9)

        def stop(epoch):
            if epoch.number == 3:
                raise KeyboardInterrupt

        first = used if before == "the same run" else cr.ReduceOnPlateau(0.5, patience=3, min_delta=1e9)
        if before == "another run":
            fit([used], epochs=2)
        given = {"checkpoint": cr.Checkpoint(place, seconds=0), "epochs": 8}
        assert fit([first, stop], **given).interrupted
        again = used if which == "used" else cr.ReduceOnPlateau(0.5, patience=3, min_delta=1e9)
        rates[which] = []
        fit(
            [again, lambda epoch, seen=rates[which]: seen.append((epoch.number, epoch.lr))],
            **given,
            resume=True,
        )
    assert rates["used"] == rates["fresh"]
    assert len({rate for _, rate in rates["fresh"]}) > 1


def test_plateaus_of_replicas_that_train_at_once(fit):
    """Each has its own count, whatever the order in which they are told."""
    alone, together = {}, {}

    def seen(into):
        return lambda epoch: into.setdefault(epoch.replica, []).append(epoch.lr)

    given = {"restarts": 3, "epochs": 9}
    fit([cr.ReduceOnPlateau(0.5, patience=2, min_delta=1e9), seen(alone)], **given, threads=1)
    fit([cr.ReduceOnPlateau(0.5, patience=2, min_delta=1e9), seen(together)], **given, threads=2)
    assert alone == together
    assert len(set(alone[0])) > 2
