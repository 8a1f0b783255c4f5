"""Runs planned for far longer than anybody waits: nothing is listed for epochs that nobody has come to."""

import tracemalloc

import numpy as np
import pytest
from tests.counted import calls
from tests.thorough import first_ones

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError
from chainrule.estimators import MLPClassifier
from chainrule.optim import schedules

X = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
Y = np.sin(X[:, :1])


def slower(step):
    """An ordinary function of the step."""
    return 0.1 / (1 + step // 3)


def fit(**settings):
    defaults = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "progress": False, "batch_size": 4}
    return cr.fit(nn.MLP([3, 4, 1], seed=0), (X, Y), **(defaults | settings))


def interrupt_after(number):
    def callback(epoch):
        if epoch.number == number:
            raise KeyboardInterrupt

    return callback


RATES = {
    "a number": optim.SGD(0.1),
    "a schedule": optim.Adam(optim.CosineDecay(0.1, steps=10**9)),
    "a function": optim.SGD(slower),
    "groups": optim.groups({"0": optim.SGD(slower), "*": optim.Adam(optim.StepDecay(0.1, 0.5, 7))}),
}


@pytest.mark.parametrize("epochs", first_ones([10**15, 10**8]))
@pytest.mark.parametrize("rate", RATES)
def test_ctrl_c_ends_a_run_of_any_length_at_once(rate, epochs):
    settings = {"optimizer": RATES[rate], "callbacks": [interrupt_after(3)]}
    fit(epochs=5, **settings)  # what is compiled and imported is not counted
    histories = []
    tracemalloc.start()
    work = calls(lambda: histories.append(fit(epochs=epochs, **settings)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (history,) = histories
    assert history.interrupted and history.loss.shape == (1, 3) and history.lr.shape == (1, 3)
    assert work < 2e6 and peak < 30e6  # all epochs' would be 10**8 calls and gigabytes
    short = fit(epochs=5, optimizer=RATES[rate])
    if rate != "a schedule":  # which falls over as many steps as it is told
        np.testing.assert_array_equal(history.loss, short.loss[:, :3])
    np.testing.assert_array_equal(history.lr, short.lr[:, :3])


def test_halving_does_not_count_epochs_in_which_nothing_is_dropped():
    settings = {"restarts": cr.Halving(2, every=1), "callbacks": [interrupt_after(3)]}
    assert fit(epochs=10**12, **settings).interrupted


def in_blocks(monkeypatch, size):
    monkeypatch.setattr(schedules, "BLOCK", size)


@pytest.mark.parametrize("block", [1, 2, 3, 5, 7, 30])
@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
@pytest.mark.parametrize(
    "settings", [{}, {"restarts": 3, "threads": 2}, {"update": "joint", "batch_size": 10}]
)
def test_blocks_change_no_bit(monkeypatch, block, executor, settings):
    """Whatever is listed at once: blocks smaller than an epoch's 3 steps, not a multiple of them, all 33."""
    seen = {}
    for size in (10**6, block):
        in_blocks(monkeypatch, size)
        rates = seen[size] = []
        history = fit(
            epochs=11,
            optimizer=optim.Adam(slower),
            executor=executor,
            callbacks=[lambda epoch, rates=rates: rates.append((epoch.replica, epoch.number, epoch.lr))],
            **settings,
        )
        plain = fit(epochs=11, optimizer=optim.Adam(slower), executor=executor, **settings)
        np.testing.assert_array_equal(history.loss, plain.loss)  # many epochs at once, without callbacks
        seen[size] = sorted(rates), history.loss.tolist(), history.lr.tolist()
    assert seen[10**6] == seen[block]


def test_the_same_as_a_table_of_all_steps(monkeypatch):
    in_blocks(monkeypatch, 4)
    tabulated = optim.tabulate(slower, 33)
    np.testing.assert_array_equal(
        fit(epochs=11, optimizer=optim.SGD(slower)).loss, fit(epochs=11, optimizer=optim.SGD(tabulated)).loss
    )


def test_resumed_in_the_middle_of_a_block(monkeypatch, tmp_path):
    in_blocks(monkeypatch, 4)
    settings = {"epochs": 11, "optimizer": optim.NAdam(slower)}
    for number in (1, 4, 5, 10):
        path = cr.Checkpoint(tmp_path / str(number), seconds=1000)
        fit(**settings, checkpoint=path, callbacks=[interrupt_after(number)])
        resumed = fit(**settings, checkpoint=path, resume=True)
        np.testing.assert_array_equal(resumed.loss, fit(**settings).loss)


def test_each_step_is_asked_about_once(monkeypatch):
    in_blocks(monkeypatch, 8)
    asked = []

    def rate(step):
        if isinstance(step, int):  # it is tried with a tensor first
            asked.append(step)
        return 0.1 / (1 + int(step))

    fit(epochs=11, optimizer=optim.SGD(rate), shuffle=False)
    assert asked[:33] == list(range(33))
    assert len(asked) < 33 + 11  # the history asks once more about those that were long ago


def test_a_step_size_that_is_none_ends_the_run_where_it_is_met(monkeypatch):
    in_blocks(monkeypatch, 4)

    def rate(step):
        return "no" if int(step) == 20 else 0.1

    told = []
    with pytest.raises(SettingError, match="the learning rate of step 20 must be"):
        fit(epochs=11, optimizer=optim.SGD(rate), callbacks=[told.append])
    assert len(told) >= 4
    with pytest.raises(SettingError, match="the learning rate of step 2 must be"):  # before the first step
        fit(optimizer=optim.SGD(lambda step: "no" if int(step) == 2 else 0.1), callbacks=[told.clear])
    assert told


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("number", [10**10, 10**30, 10**100])
def test_other_numbers_that_nobody_means(number):
    for make in (
        lambda: optim.LBFGS(history=number),
        lambda: optim.tabulate(0.1, number),
        lambda: cr.Halving(number),
    ):
        with pytest.raises(SettingError, match="at most"):
            make()
    x, y = np.linspace(-1, 1, 40)[:, None], np.arange(40) % 2
    settings = {"max_iter": 3, "restarts": 2, "early_stopping": True, "n_iter_no_change": number}
    assert MLPClassifier(**settings).fit(x, y).n_iter_ == 3


@pytest.mark.parametrize("number", [10**10, 2**63, 10**30])
@pytest.mark.parametrize("name", ["restarts", "epochs", "batch_size", "threads", "seed", "memory_limit"])
def test_numbers_that_nobody_means(name, number):
    """An error of ours, or the right thing."""
    try:
        history = fit(**{"callbacks": [interrupt_after(2)], "epochs": 3} | {name: number})
    except SettingError as error:
        assert name in str(error) and "at most" in str(error)
        assert name == "restarts" or (name == "epochs" and number > 2**53)
    else:
        assert history.interrupted
        assert name != "restarts"
