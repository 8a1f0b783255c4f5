"""SIGTERM and SIGHUP: the run is saved, and then the process ends as it would have ended at once."""

import os
import signal
import threading

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="signals to processes of one's own are POSIX's"
)
X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
SIGNALS = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


def fit(**settings):
    defaults = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 6, "progress": False}
    return cr.fit(nn.MLP([3, 4, 1], seed=0), (X, X[:, :1]), executor="interpreted", **(defaults | settings))


def at_epoch(number, what):
    def callback(epoch):
        if epoch.number == number:
            what()

    return callback


def send(number):
    """To this process, so that nobody has to wait for the right moment."""
    return lambda: os.kill(os.getpid(), number)


def ended_in_a_process(work):
    """How a forked process ends that does this: a signal's number below 0, else the exit status."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        status = 99
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("epoch", [1, 3, 6])
def test_the_run_is_saved_and_the_process_ends(tmp_path, number, epoch):
    path = cr.Checkpoint(tmp_path / "run", seconds=1000)
    how = ended_in_a_process(lambda: fit(checkpoint=path, callbacks=[at_epoch(epoch, send(number))]))
    assert how == -number
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
    told = []
    resumed = fit(checkpoint=path, resume=True, callbacks=[told.append])
    assert [e.number for e in told] == list(range(epoch, 7))  # this one had not been answered
    np.testing.assert_array_equal(resumed.loss, fit().loss)


def test_while_it_is_saved(tmp_path):
    """In the middle of writing the checkpoint, for the first time or later; nothing is left beside it."""
    for write in range(1, 6):
        path, real, writes = cr.Checkpoint(tmp_path / "run", seconds=0), os.write, []

        def interrupted(descriptor, data, write=write, real=real, writes=writes):
            writes.append(1)
            if len(writes) == write:
                send(signal.SIGTERM)()
            return real(descriptor, data)

        def work(path=path, interrupted=interrupted):
            os.write = interrupted
            fit(checkpoint=path)

        assert ended_in_a_process(work) == -signal.SIGTERM
        assert [entry.name for entry in tmp_path.iterdir()] in ([], ["run"])
        np.testing.assert_array_equal(fit(checkpoint=path, resume=True).loss, fit().loss)
        (tmp_path / "run").unlink()


def test_without_a_checkpoint_there_is_nothing_to_save():
    assert ended_in_a_process(lambda: fit(callbacks=[at_epoch(2, send(signal.SIGTERM))])) == -signal.SIGTERM


def test_in_a_run_within_a_callback(tmp_path):
    """Neither of them goes on."""
    path, inner = cr.Checkpoint(tmp_path / "run", seconds=0), at_epoch(2, send(signal.SIGTERM))

    def train_another(epoch):
        fit(callbacks=[inner])
        fit(checkpoint=tmp_path / "inner", callbacks=[inner])

    assert ended_in_a_process(lambda: fit(checkpoint=path, callbacks=[train_another])) == -signal.SIGTERM
    told = []
    fit(checkpoint=path, resume=True, callbacks=[told.append])
    assert [e.number for e in told] == [1, 2, 3, 4, 5, 6]


def test_a_handler_of_the_program_is_left_to_it(tmp_path):
    """It is called as ever, and what it raises goes the way of any error."""

    class Asked(Exception):  # noqa: N818 - not an error
        pass

    def handler(number, frame):
        raise Asked

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(Asked):
            fit(checkpoint=tmp_path / "run", callbacks=[at_epoch(2, send(signal.SIGTERM))])
        assert signal.getsignal(signal.SIGTERM) is handler
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        fit(checkpoint=tmp_path / "run", callbacks=[at_epoch(2, send(signal.SIGTERM))])
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_afterwards_signals_do_what_they_did(tmp_path, error):
    def fail():
        assert callable(signal.getsignal(signal.SIGTERM))
        if error is not None:
            raise error

    try:
        fit(checkpoint=tmp_path / "run", callbacks=[at_epoch(2, fail)])
    except ValueError:
        assert error is ValueError
    assert all(signal.getsignal(number) is signal.SIG_DFL for number in SIGNALS)


def test_in_another_thread_nobody_touches_them(tmp_path):
    found = []

    def work():
        fit(
            checkpoint=tmp_path / "run",
            callbacks=[lambda epoch: found.append(signal.getsignal(signal.SIGTERM))],
        )

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert set(found) == {signal.SIG_DFL}
