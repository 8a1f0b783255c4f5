"""Which rows a minibatch has, and in which order minibatches come."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule import nn, optim
from chainrule.training.batches import epoch_orders, steps_per_epoch

pytestmark = pytest.mark.usefixtures("by_interpreter")


def epoch(rows, size, shuffle=True, drop_last=False, key=(0, 0, 0)):
    parts = epoch_orders(rows, size, shuffle=shuffle, drop_last=drop_last, key=key)
    return [batch for part in parts for batch in part]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.booleans(), st.tuples(*[st.integers(0, 2**40)] * 3))
def test_every_row_once_an_epoch(rows, size, shuffle, key):
    batches = epoch(rows, size, shuffle, key=key)
    assert sorted(np.concatenate(batches)) == list(range(rows))
    assert [len(b) for b in batches[:-1]] == [size] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= size
    assert len(batches) == steps_per_epoch(rows, size, drop_last=False)
    full = epoch(rows, size, shuffle, drop_last=True, key=key)
    assert len(full) == steps_per_epoch(rows, size, drop_last=True) == rows // size
    for batch, same in zip(full, batches, strict=False):
        np.testing.assert_array_equal(batch, same)


def test_the_order_depends_on_seed_replica_and_epoch_only():
    keys = [(seed, replica, number) for seed in (0, 1) for replica in (0, 1) for number in (0, 1)]
    orders = {tuple(np.concatenate(epoch(100, 32, key=key))) for key in keys}
    assert len(orders) == len(keys)
    np.random.seed(5)  # a global generator has no part in it
    assert {tuple(np.concatenate(epoch(100, 10, key=key))) for key in keys} == orders


def test_without_shuffling_rows_come_as_they_are():
    assert [b.tolist() for b in epoch(5, 2, shuffle=False)] == [[0, 1], [2, 3], [4]]


@pytest.fixture
def visits(monkeypatch, make_model):
    """The row numbers that each training step of fit saw."""

    def run(rows, **settings):
        from chainrule.training.executors import InterpretedStep

        seen, original = [], InterpretedStep.__call__

        def call(self, *arrays):
            seen.append(arrays[0][:, 0].astype(int).tolist())
            return original(self, *arrays)

        monkeypatch.setattr(InterpretedStep, "__call__", call)
        x = np.stack([np.arange(rows), np.zeros(rows), np.zeros(rows)], axis=1)
        history = cr.fit(
            make_model(),
            (x, np.zeros((rows, 2))),
            loss=nn.squared_error,
            optimizer=optim.SGD(0.0),
            **settings,
        )
        assert history.steps == len(seen)
        return seen

    return run


def test_fit_visits_every_row_once_an_epoch(visits):
    seen = visits(10, epochs=3, batch_size=4, seed=5)
    assert [len(batch) for batch in seen] == [4, 4, 2] * 3
    for number in range(3):
        mine = [row for batch in seen[3 * number : 3 * number + 3] for row in batch]
        assert mine == np.concatenate(epoch(10, 4, key=(5, 0, number))).tolist()


def test_drop_last_skips_the_smaller_minibatch(visits):
    assert [len(batch) for batch in visits(10, epochs=2, batch_size=4, drop_last=True)] == [4, 4] * 2


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_batch_larger_than_the_data_is_all_rows(visits, drop_last):
    assert visits(5, epochs=2, batch_size=128, shuffle=False, drop_last=drop_last) == [[0, 1, 2, 3, 4]] * 2


def test_one_row(visits):
    assert visits(1, epochs=2) == [[0], [0]]


def test_epoch_losses_weigh_rows_alike(make_model, regression):
    """A smaller last minibatch counts less, so the epoch's loss is the mean over rows."""
    history = cr.fit(
        make_model(), regression, loss=nn.squared_error, optimizer=optim.SGD(0.0), epochs=1, batch_size=16
    )
    expected = nn.squared_error(make_model()(regression[0]), regression[1]).item()
    assert history.loss[0, 0] == pytest.approx(expected, rel=1e-12)
