"""``History.lr``: the learning rate at the start of every epoch of every replica, whoever set it."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.files import load_tensors, save_tensors
from chainrule.training import TrainingWarning


@pytest.fixture
def train(make_model, regression):
    def run(**settings):
        defaults = {"epochs": 6, "batch_size": 16, "optimizer": optim.SGD(0.1), "progress": False}
        return cr.fit(make_model(), regression, loss=nn.squared_error, **(defaults | settings))

    return run


def halve_every_other(epoch):
    """Halves the learning rate after epochs 2, 4, ...; at different times in different replicas."""
    if (epoch.number + epoch.replica) % 2 == 0:
        epoch.optimizer.lr = epoch.optimizer.lr / 2


def expected(replica, epochs):
    """The rates at the start of each epoch that ``halve_every_other`` leaves of 0.1."""
    rates = [0.1]
    for number in range(1, epochs):
        rates.append(rates[-1] / 2 if (number + replica) % 2 == 0 else rates[-1])
    return rates


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
def test_a_callback_sets_it(train, executor):
    history = train(callbacks=[halve_every_other], executor=executor)
    assert history.lr.tolist() == [expected(0, 6)] == [history.replicas[0].lr]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.usefixtures("many_cores")
def test_each_replica_has_its_own_curve(train, threads):
    history = train(callbacks=[halve_every_other], restarts=3, threads=threads)
    assert history.lr.tolist() == [expected(replica, 6) for replica in range(3)]


def test_a_schedule_that_a_callback_puts_in_place(train):
    def slower(epoch):
        if epoch.number == 2:
            epoch.optimizer.lr = optim.InverseTime(0.1, decay=0.5)

    steps = 4 * np.arange(6)
    later = 0.1 / (1 + 0.5 * steps)
    np.testing.assert_allclose(train(callbacks=[slower]).lr, [[0.1, 0.1, *later[2:]]], rtol=1e-15)


RATES = {
    "a number": lambda: optim.Adam(0.03),
    "a schedule": lambda: optim.SGD(optim.CosineDecay(0.1, steps=30)),
    "tensor operations": lambda: optim.SGD(lambda step: 0.1 / (1.0 + step)),
    "a Python function": lambda: optim.SGD(lambda step: 0.1 if step < 9 else 0.01),
    "a table": lambda: optim.SGD(optim.Table([0.1] * 7 + [0.05])),
    "groups": lambda: optim.groups(
        {"*.bias": optim.SGD(optim.StepDecay(0.1, 0.5, 8)), "*": optim.Adam(0.01)}
    ),
}


@pytest.mark.parametrize("kind", RATES)
@pytest.mark.parametrize("restarts", [1, 3])
def test_it_is_what_the_optimizer_says_at_that_step(train, kind, restarts):
    history = train(optimizer=RATES[kind](), restarts=restarts)
    rate = RATES[kind]().parts()[0].lr
    value = rate if callable(rate) else lambda step: rate
    wanted = [float(np.asarray(optim.tabulate(value, 30)(4 * epoch))) for epoch in range(6)]
    np.testing.assert_allclose(history.lr, [wanted] * restarts, rtol=1e-12)


def test_numbers_of_their_own(train):
    history = train(optimizer=optim.SGD([0.1, 0.2, 0.3]), restarts=3, epochs=2)
    assert history.lr.tolist() == [[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]


def test_nan_where_a_replica_had_already_ended(train):
    def end(epoch):
        return epoch.number == 2 + epoch.replica

    history = train(callbacks=[halve_every_other, end], restarts=2)
    assert history.loss.shape == history.lr.shape == (2, 3)
    np.testing.assert_array_equal(np.isnan(history.lr), np.isnan(history.loss))


def test_the_epoch_that_diverged_has_its_rate_as_well(train):
    """It is what diverged, and it is what a diagnosis asks about."""

    def explode(epoch):
        epoch.optimizer.lr = 1e300

    with pytest.warns(TrainingWarning):
        history = train(callbacks=[explode])
    assert history.loss.shape == (1, 1)
    assert history.lr.tolist() == [[0.1, 1e300]]


def test_lbfgs_has_none(train):
    assert train(optimizer=optim.LBFGS(3)).lr.shape == (1, 0)


@pytest.mark.parametrize("restarts", [1, 3])
def test_resumed_to_the_same_bits(train, tmp_path, restarts):
    def stop_at(number):
        def callback(epoch):
            if epoch.number == number and epoch.replica == restarts - 1:
                raise KeyboardInterrupt

        return callback

    path, settings = tmp_path / "run.safetensors", {"restarts": restarts, "threads": 1}
    whole = train(callbacks=[halve_every_other], **settings)
    train(callbacks=[halve_every_other, stop_at(3)], checkpoint=path, **settings)
    resumed = train(callbacks=[halve_every_other], checkpoint=path, resume=True, **settings)
    assert resumed.lr.tobytes() == whole.lr.tobytes()


def test_a_checkpoint_of_before_there_were_rates(train, tmp_path):
    """Its epochs' rates are not known; they are NaN, and those of later epochs are there."""
    path = tmp_path / "run.safetensors"
    train(epochs=2, checkpoint=path)
    tensors, metadata = load_tensors(path, kind="checkpoint")
    older = {name: value for name, value in tensors.items() if name != "replica/0/lr"}
    assert len(older) < len(tensors)
    save_tensors(path, older, metadata, kind="checkpoint")
    history = train(epochs=4, checkpoint=path, resume=True)
    np.testing.assert_array_equal(history.lr, [[np.nan, np.nan, 0.1, 0.1]])


def test_it_is_a_column_of_the_frame(train):
    history = train(callbacks=[halve_every_other], restarts=2)
    assert history.to_frame()["lr"].to_list() == [*history.lr[0], *history.lr[1]]


@pytest.mark.parametrize("first", ["the log", "the callback"])
def test_logs_say_the_rate_of_the_epoch_whatever_the_order_of_callbacks(train, tmp_path, first):
    log = cr.CSVLog(tmp_path / "log.csv")
    callbacks = [log, halve_every_other] if first == "the log" else [halve_every_other, log]
    history = train(callbacks=callbacks)
    lines = [line.split(",") for line in (tmp_path / "log.csv").read_text().splitlines()]
    column = lines[0].index("lr")
    assert [float(line[column]) for line in lines[1:]] == history.lr[0].tolist()
