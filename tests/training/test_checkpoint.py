"""A run that was killed and resumed is the run that was never killed, bit for bit."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ModelFileError, SettingError
from chainrule.files import FileWriteError, load_tensors, save_tensors
from chainrule.system.locks import FileLock
from chainrule.training import TrainingWarning
from chainrule.training.checkpoint import CheckpointInUseError
from chainrule.training.progress import Epoch


def halving(step):
    """An ordinary function of the step, which cannot be traced."""
    return 0.05 * 0.5 ** (int(step) // 8)


RUNS = {
    "plain": {"optimizer": optim.SGD(0.1, momentum=0.9)},
    "everything": {
        "optimizer": optim.Adam(optim.Warmup(optim.CosineDecay(0.1, steps=20), steps=4)),
        "restarts": 3,
        "stop": [cr.EarlyStopping(patience=2), cr.GradientNorm(1e-9)],
        "penalty": nn.l2(1e-3),
        "clip_norm": 1.0,
    },
    "function of the step": {"optimizer": optim.NAdam(halving), "stop": cr.EarlyStopping(patience=100)},
    "diverging": {"optimizer": optim.SGD(1e4), "restarts": 2},
}


@pytest.fixture
def train(make_model, regression):
    """fit with everything that has a state; the model's seed must not matter to a resumed run."""
    x, y = regression

    def run(first=0, **settings):
        model = make_model(first, activation="relu", dropout=0.2, batch_norm=True)
        defaults = {"loss": nn.squared_error, "epochs": 6, "batch_size": 16, "validation": (x[:9], y[:9])}
        return model, cr.fit(model, (x, y), **(defaults | settings))

    return run


def check_same_run(result, expected, same_state):
    (model, history), (reference, straight) = result, expected
    same_state(model.state_dict(), reference.state_dict())
    assert history.best == straight.best
    assert history.steps == straight.steps
    for mine, its in zip(history.replicas, straight.replicas, strict=True):
        same_state(mine.state, its.state)
        for name in ("loss", "validation_loss", "gradient_norm", "steps", "stopped", "kept_epoch"):
            assert getattr(mine, name) == getattr(its, name), name


@pytest.mark.filterwarnings("ignore::chainrule.training.TrainingWarning")
@pytest.mark.parametrize("name", RUNS)
def test_killed_after_any_epoch(train, tmp_path, same_state, name):
    settings, path = RUNS[name], tmp_path / "run.safetensors"
    expected = train(**settings)
    copies = []

    def keep_what_a_kill_would_leave(epoch: Epoch):
        copies.append(shutil.copy(path, tmp_path / f"{len(copies)}.safetensors"))

    checkpoint = cr.Checkpoint(path, seconds=0)
    saved = train(**settings, checkpoint=checkpoint, callbacks=[keep_what_a_kill_would_leave])
    check_same_run(saved, expected, same_state)
    assert len(copies) == sum(len(replica.loss) for replica in expected[1].replicas)
    for copy in [*copies, path]:
        resumed = train(5, **settings, checkpoint=cr.Checkpoint(copy, seconds=0), resume=True)
        check_same_run(resumed, expected, same_state)


def test_nothing_to_resume_starts_a_run(train, tmp_path, same_state):
    settings = RUNS["plain"]
    started = train(**settings, checkpoint=tmp_path / "new.safetensors", resume=True)
    check_same_run(started, train(**settings), same_state)
    assert (tmp_path / "new.safetensors").exists()


def test_a_finished_run_is_not_trained_again(train, tmp_path, same_state):
    path, epochs = tmp_path / "run.safetensors", []
    expected = train(**RUNS["everything"], checkpoint=path)
    again = train(5, **RUNS["everything"], checkpoint=path, resume=True, callbacks=[epochs.append])
    check_same_run(again, expected, same_state)
    assert not epochs
    assert not again[0].training


def test_more_epochs_go_on_where_the_run_ended(train, tmp_path, same_state):
    path, settings = tmp_path / "run.safetensors", RUNS["function of the step"]
    train(**settings, epochs=4, checkpoint=path)
    longer = train(5, **settings, epochs=9, checkpoint=path, resume=True)
    check_same_run(longer, train(**settings, epochs=9), same_state)


def test_resuming_without_callbacks_state_in_another_process_needs_no_pickle(train, tmp_path):
    path = tmp_path / "run.safetensors"
    train(**RUNS["everything"], checkpoint=path)
    tensors, metadata = load_tensors(path, kind="checkpoint")
    assert {
        "replica/2/state/0.weight",
        "replica/0/loss",
    } <= tensors.keys()
    assert metadata["run"]["optimizer"].startswith("Adam(")
    assert " at 0x" not in str(metadata)


def test_saves_are_spaced_but_the_end_is_always_saved(train, tmp_path, monkeypatch):
    from chainrule.training import checkpoint

    saved = []
    original = checkpoint.save_tensors
    monkeypatch.setattr(
        checkpoint, "save_tensors", lambda path, t, m, **how: (saved.append(m), original(path, t, m, **how))
    )
    train(**RUNS["plain"], epochs=20, checkpoint=cr.Checkpoint(tmp_path / "run.safetensors", seconds=1000))
    assert [m["lives"]["0"]["epochs"] for m in saved] == [0, 20]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"optimizer": optim.SGD(0.2, momentum=0.9)}, "optimizer"),
        ({"optimizer": optim.Adam(0.1)}, "optimizer"),
        ({"optimizer": optim.SGD(halving, momentum=0.9)}, "optimizer"),
        ({"loss": nn.huber}, "loss"),
        ({"penalty": nn.l2(0.1)}, "penalty"),
        ({"stop": cr.EarlyStopping(3)}, "stop"),
        ({"batch_size": 10}, "batch_size"),
        ({"seed": 1}, "seed"),
        ({"clip_norm": 1.0}, "clip_norm"),
        ({"shuffle": False}, "shuffle"),
        ({"drop_last": True}, "drop_last"),
        ({"restarts": 2}, "restarts"),
        ({"validation": None}, "data"),
    ],
)
def test_another_run_is_refused(train, tmp_path, change, named):
    path = tmp_path / "run.safetensors"
    train(**RUNS["plain"], epochs=2, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(SettingError, match=f"belongs to another run(.|\n)*{named}"):
        train(**(RUNS["plain"] | {"epochs": 2} | change), checkpoint=path, resume=True)
    assert path.read_bytes() == before


def test_other_data_or_another_model_are_refused(make_model, regression, tmp_path):
    x, y = regression
    path = tmp_path / "run.safetensors"
    settings = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 1, "checkpoint": path}
    cr.fit(make_model(), (x, y), **settings)
    changed = y.copy()
    changed[49, 1] += 1e-9
    with pytest.raises(SettingError, match="data"):
        cr.fit(make_model(), (x, changed), resume=True, **settings)
    with pytest.raises(SettingError, match="model"):
        cr.fit(make_model(activation="relu"), (x, y), resume=True, **settings)

    class Same(nn.Module):  # looks the same, and is not
        def __init__(self, width):
            self.layer = nn.Parameter.drawn((3, width), nn.initialisers.constant(0.1), 0, dtype=np.float64)

        def forward(self, x):
            return x @ self.layer[:, :2]

    other = settings | {"checkpoint": tmp_path / "other.safetensors"}
    cr.fit(Same(2), (x, y), **other)
    with pytest.raises(ModelFileError, match="damaged"):
        cr.fit(Same(4), (x, y), resume=True, **other)


def test_epochs_of_several_replicas_cannot_change(train, tmp_path):
    path = tmp_path / "run.safetensors"
    train(optimizer=optim.SGD(0.1), restarts=2, epochs=2, checkpoint=path)
    with pytest.raises(SettingError, match=r"epochs 2(.|\n)*epochs 3"):
        train(optimizer=optim.SGD(0.1), restarts=2, epochs=3, checkpoint=path, resume=True)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text", "a model", "without facts"])
def test_a_damaged_checkpoint_is_refused_and_left_alone(train, tmp_path, damage):
    path = tmp_path / "run.safetensors"
    train(**RUNS["plain"], epochs=2, checkpoint=path)
    data = path.read_bytes()
    tensors, metadata = load_tensors(path)
    if damage == "a model":
        save_tensors(path, tensors, metadata, kind="model")
    elif damage == "without facts":
        save_tensors(path, tensors, {"run": metadata["run"], "replicas": [{}]}, kind="checkpoint")
    else:
        flipped = bytes([*data[:-9], data[-9] ^ 1, *data[-8:]])
        content = {"truncated": data[:-20], "flipped": flipped, "empty": b"", "text": b"x,y\n1,2\n"}
        path.write_bytes(content[damage])
    before = path.read_bytes()
    with pytest.raises(ModelFileError, match=path.name):
        train(**RUNS["plain"], epochs=2, checkpoint=path, resume=True)
    if damage != "without facts":  # a file that is no checkpoint is not replaced by a new run either
        with pytest.raises(SettingError, match=r"not a checkpoint(.|\n)*name another file"):
            train(**RUNS["plain"], epochs=2, checkpoint=path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("missing", ["live/0/model.0.weight", "replica/0/loss", "replica/0/state/0.weight"])
def test_a_checkpoint_that_lacks_a_tensor_is_refused(train, tmp_path, missing):
    path = tmp_path / "run.safetensors"
    train(**RUNS["plain"], epochs=2, checkpoint=path)
    tensors, metadata = load_tensors(path)
    del tensors[missing]
    save_tensors(path, tensors, metadata, kind="checkpoint")
    with pytest.raises(ModelFileError, match="the checkpoint is damaged"):
        train(**RUNS["plain"], epochs=2, checkpoint=path, resume=True)


def test_a_new_run_replaces_an_old_checkpoint(train, tmp_path):
    path = tmp_path / "run.safetensors"
    train(optimizer=optim.Adam(0.1), checkpoint=path)
    train(**RUNS["plain"], epochs=1, checkpoint=path)
    assert load_tensors(path)[1]["lives"]["0"]["epochs"] == 1


# Two runs, one file


def test_another_run_with_the_same_checkpoint_is_refused(train, tmp_path, same_state):
    """While it trains, whether it has just begun or goes on; then the file is free."""
    path, errors = tmp_path / "run.safetensors", []

    def meanwhile(epoch):
        for resume in (False, True):
            with pytest.raises(
                CheckpointInUseError, match=r"another run saves to .*run.safetensors"
            ) as caught:
                train(5, **RUNS["plain"], checkpoint=path, resume=resume)
            errors.append(caught.value)

    for resume in (False, True):
        result = train(
            **RUNS["plain"], checkpoint=cr.Checkpoint(path, seconds=0), resume=resume, callbacks=[meanwhile]
        )
        check_same_run(result, train(**RUNS["plain"]), same_state)
        if not resume:
            path.write_bytes(path.read_bytes())  # and it is not another file with another lock
    assert len(errors) == 12 and [entry.name for entry in tmp_path.iterdir()] == [path.name]
    train(**RUNS["plain"], checkpoint=path)


def test_of_runs_that_begin_at_once_one_goes_on(train, tmp_path):
    path, start = tmp_path / "run.safetensors", threading.Barrier(6)

    def begin(number):
        start.wait()
        try:
            return train(
                **RUNS["plain"], checkpoint=cr.Checkpoint(path, 0), callbacks=[lambda e: finish.wait(60)]
            )
        except CheckpointInUseError as error:
            refused.append(error)
            if len(refused) == 5:
                finish.set()
            return None

    refused, finish = [], threading.Event()
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(begin, range(6)))
    assert sum(result is not None for result in results) == 1


def test_a_file_that_another_run_has_taken_over_is_left_alone(train, tmp_path):
    """As where the user removed the checkpoint and began another run."""
    path = tmp_path / "run.safetensors"

    def taken(epoch):
        if epoch.number == 2:
            path.unlink()
            assert other.take()
            save_tensors(path, {}, {}, kind="checkpoint", lock=other)

    other = FileLock(path)
    with pytest.warns(TrainingWarning, match="another run saves to"):
        train(**RUNS["plain"], checkpoint=cr.Checkpoint(path, seconds=0), callbacks=[taken])
    assert load_tensors(path) == ({}, {})
    other.release()


def test_a_system_without_locks_trains_all_the_same(train, tmp_path, monkeypatch, same_state):
    monkeypatch.setattr("chainrule.system.locks.fcntl", None)
    result = train(**RUNS["plain"], checkpoint=cr.Checkpoint(tmp_path / "run", seconds=0))
    check_same_run(result, train(**RUNS["plain"]), same_state)
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


# Where


def test_a_relative_path_is_one_of_the_folder_at_the_start(train, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)

    def move(epoch):
        os.chdir(tmp_path / "other")

    logs = [cr.CSVLog("log.csv"), move]
    train(**RUNS["plain"], checkpoint=cr.Checkpoint("run.safetensors", seconds=0), callbacks=logs)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["log.csv", "other", "run.safetensors"]
    assert not any((tmp_path / "other").iterdir())
    assert load_tensors("../run.safetensors")[1]["lives"]["0"]["epochs"] == 6


@pytest.mark.parametrize("given", [42, 1.5, b"run", ["run"], True, object()])
def test_what_names_no_file(train, given):
    with pytest.raises(SettingError, match="checkpoint"):
        train(**RUNS["plain"], checkpoint=given)
    with pytest.raises(SettingError, match="checkpoint"):
        cr.Checkpoint(given)


@pytest.mark.parametrize("seconds", [float("nan"), -1.0, -float("inf"), "1", None, True])
def test_seconds_that_are_none(tmp_path, seconds):
    with pytest.raises(SettingError, match="seconds"):
        cr.Checkpoint(tmp_path / "run", seconds=seconds)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["x" * 300, "x" * 250, "é" * 200, "a\0b", "y" * 300 + "/run", ""])
def test_names_that_no_file_can_have(train, tmp_path, name, resume):
    try:
        train(**RUNS["plain"], epochs=1, checkpoint=tmp_path / name, resume=resume)
    except (FileWriteError, ModelFileError, SettingError) as error:
        assert name != "x" * 250
        assert (
            "must be a text or a Path" in str(error) or "untouched" in str(error) or "cannot be" in str(error)
        )
    else:
        assert name == "x" * 250 and load_tensors(tmp_path / name)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_its_permissions(train, tmp_path):
    path = tmp_path / "run"
    train(**RUNS["plain"], checkpoint=cr.Checkpoint(path, mode=0o600))
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    train(**RUNS["plain"], checkpoint=cr.Checkpoint(path, seconds=0))
    assert path.stat().st_mode & 0o777 == 0o640


# Disks


def test_a_disk_that_is_full_from_the_start(train, tmp_path, monkeypatch, same_state):
    """Training goes on, saving is tried again, and what is saved then is the run."""
    path = tmp_path / "run.safetensors"

    def full(descriptor, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def make_room(epoch):
        if epoch.number == 3:
            assert not path.exists()
            patch.undo()

    patch = pytest.MonkeyPatch()
    patch.setattr("chainrule.files._write_all", full)
    with pytest.warns(
        TrainingWarning, match=r"No space left.*training goes on; saving is tried again"
    ) as caught:
        result = train(**RUNS["plain"], checkpoint=cr.Checkpoint(path, seconds=0), callbacks=[make_room])
    assert len(caught) == 1
    check_same_run(result, train(**RUNS["plain"]), same_state)
    assert load_tensors(path)[1]["lives"]["0"]["epochs"] == 6
    check_same_run(train(5, **RUNS["plain"], checkpoint=path, resume=True), result, same_state)


def test_a_disk_that_fails_when_a_run_is_resumed_does_not_begin_it_anew(train, tmp_path, monkeypatch):
    """That would write over it as soon as the disk is back."""
    path = tmp_path / "run.safetensors"
    train(**RUNS["plain"], epochs=3, checkpoint=path)
    before = path.read_bytes()

    def fail(*ignored, **ignored_too):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for what in ("exists", "open"):
        with (
            monkeypatch.context() as patch,
            pytest.raises((FileWriteError, ModelFileError), match="Input/output"),
        ):
            patch.setattr(Path, what, fail)
            train(**RUNS["plain"], checkpoint=path, resume=True)
        assert path.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of a process are POSIX's")
def test_a_limit_of_the_system_on_the_size_of_files(train, tmp_path):
    """A real write that fails, in a process of its own."""
    import resource

    path = tmp_path / "run.safetensors"
    child = os.fork()
    if child == 0:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
            with pytest.warns(TrainingWarning, match="File too large"):
                train(**RUNS["plain"], executor="interpreted", checkpoint=path)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert not any(tmp_path.iterdir())


def test_a_path_that_cannot_be_written_shows_before_training(train, tmp_path):
    epochs = []
    with pytest.raises(FileWriteError, match="create the folder"):
        train(**RUNS["plain"], checkpoint=tmp_path / "no" / "run.safetensors", callbacks=[epochs.append])
    assert not epochs


def test_a_disk_that_fills_up_does_not_end_the_training(train, tmp_path, monkeypatch, same_state):
    path = tmp_path / "run.safetensors"

    def fill_the_disk(epoch):
        if epoch.number == 3:
            monkeypatch.setattr("chainrule.files._write_all", full)

    def full(descriptor, data):
        os.write(descriptor, data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.warns(
        TrainingWarning, match=r"No space left on device; training goes on, and the prev"
    ) as caught:
        result = train(**RUNS["plain"], checkpoint=cr.Checkpoint(path, seconds=0), callbacks=[fill_the_disk])
    assert len(caught) == 1  # once, not once an epoch
    check_same_run(result, train(**RUNS["plain"]), same_state)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert load_tensors(path)[1]["lives"]["0"]["epochs"] == 2  # the last one that was written
    monkeypatch.undo()
    resumed = train(**RUNS["plain"], checkpoint=path, resume=True)
    check_same_run(resumed, result, same_state)


def test_an_error_in_a_callback_loses_no_epoch(train, tmp_path, same_state):
    def fail(epoch):
        if epoch.number == 4:
            raise SystemExit

    path = tmp_path / "run.safetensors"
    rarely = cr.Checkpoint(path, seconds=1000)
    with pytest.raises(SystemExit):
        train(**RUNS["plain"], checkpoint=rarely, callbacks=[fail])
    assert load_tensors(path)[1]["lives"]["0"]["epochs"] == 4
    resumed = train(5, **RUNS["plain"], checkpoint=rarely, resume=True)
    check_same_run(resumed, train(**RUNS["plain"]), same_state)


# A real kill

SCRIPT = """
import sys
import numpy as np
import chainrule as cr
from chainrule import nn, optim

def rate(step):
    return 0.05 / (1 + step // 10)

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 3))
y = np.sin(x[:, :2])
model = nn.MLP([3, 8, 2], dropout=0.2, batch_norm=True, seed=0, dtype=np.float64)
checkpoint = cr.Checkpoint(sys.argv[1], seconds=0) if len(sys.argv) > 2 else None
history = cr.fit(
    model, (x, y), loss=nn.squared_error, optimizer=optim.Adam(rate), epochs=160, batch_size=10, restarts=3,
    validation=(x[:9], y[:9]), stop=cr.EarlyStopping(160),
    checkpoint=checkpoint, resume=checkpoint is not None,
)
curves = {"loss": history.loss, "validation": history.validation_loss, "steps": np.array(history.steps)}
np.savez(sys.argv[-1], **model.state_dict(), **curves)
"""


@pytest.mark.slow
def test_killed_by_the_system_at_random_moments(tmp_path, same_state):
    script, checkpoint = tmp_path / "run.py", tmp_path / "run.safetensors"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    straight, resumed = tmp_path / "straight.npz", tmp_path / "resumed.npz"
    subprocess.run([sys.executable, script, straight], check=True, env=environment)
    rng, kills = np.random.default_rng(0), 0
    while not resumed.exists():
        before = checkpoint.read_bytes() if checkpoint.exists() else b""
        process = subprocess.Popen([sys.executable, script, checkpoint, resumed], env=environment)
        if kills < 4:
            while process.poll() is None and (not checkpoint.exists() or checkpoint.read_bytes() == before):
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        assert process.returncode in (0, -signal.SIGKILL)
    assert kills >= 2  # it was in the middle of the run
    with np.load(straight) as its, np.load(resumed) as mine:
        same_state(dict(mine), dict(its))
