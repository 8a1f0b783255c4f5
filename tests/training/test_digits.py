"""What happens to numbers that the network's dtype cannot hold: kept, refused or warned of, never merged in silence."""

import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.data.digits import DataWarning, inexact, say_what_is_lost
from chainrule.errors import DataError
from chainrule.training.batches import as_rows

BIG = 2**24
INTEGERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)


def edges(dtype):
    info = np.iinfo(dtype)
    near = [info.min, info.max, info.max - 1, 0, 1, 3]
    for p in (24, 25, 40, 53, 54, 62, 63):
        near += [sign * (2**p + d) for d in (-2, -1, 0, 1, 2, 3, 4, 1024) for sign in (1, -1)]
    return np.array(sorted({n for n in near if info.min <= n <= info.max}), dtype)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("wide", [np.float32, np.float64])
def test_which_integers_are_inexact(dtype, wide):
    numbers = edges(dtype)
    expected = [int(wide(int(n))) != int(n) for n in numbers]  # Python's integers have all digits
    assert inexact(numbers, wide).tolist() == expected


class Table(nn.Module):
    """Picks a row of a table by an id far beyond what float32 holds."""

    def __init__(self):
        self.weight = nn.Parameter.drawn((16, 2), nn.initialisers.find_initialiser("he_uniform"), 0)

    def forward(self, x):
        return cr.take(self.weight, x[:, 0].astype(cr.int64) - 2**30, 0)


class Wrapped(nn.Module):
    """A table and a layer behind it."""

    def __init__(self):
        self.table, self.linear = Table(), nn.Linear(2, 1, seed=0)

    def forward(self, x):
        return self.linear(cr.tanh(self.table(x)))


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.uint64])
def test_ids_reach_the_table(dtype, executor):
    ids = (np.arange(64) % 16 + 2**30).astype(dtype)[:, None]
    y = (ids[:, 0] % 2).astype(np.float32)[:, None]
    model = Wrapped()
    assert as_rows((ids, y), model).x.dtype == dtype
    cr.fit(
        model,
        (ids, y),
        loss=nn.squared_error,
        optimizer=optim.Adam(0.1),
        epochs=60,
        batch_size=16,
        executor=executor,
    )
    predicted = model.predict(ids)
    assert nn.squared_error(predicted, y).item() < 0.01  # 0.25 where neighbours are one


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_for_a_network_become_the_same_floats(dtype):
    x = np.array([[0, 1], [2, 100], [7, 3]], dtype)
    rows = as_rows((x, np.zeros(3)), nn.Linear(2, 1))
    assert rows.x.dtype == np.float32 and (rows.x == x).all()


@pytest.mark.parametrize(("model_dtype", "number"), [(np.float32, BIG + 1), (np.float64, 2**53 + 1)])
@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
@pytest.mark.parametrize("validation", [False, True])
def test_integers_that_would_merge_are_refused(model_dtype, number, dtype, validation):
    good, bad = np.zeros((3, 2), dtype), np.array([[0, 1], [2, number], [7, 3]], dtype)
    y = np.zeros((3, 1))
    with pytest.raises(DataError, match=rf"X\[1, 1\] = {number}, which would become {number - 1}"):
        cr.fit(
            nn.Linear(2, 1, dtype=model_dtype), (good if validation else bad, y), loss=nn.squared_error,
            optimizer=optim.SGD(0.1), validation=(bad, y) if validation else None,
        )  # fmt: skip


TIME = 1.7e9 + np.arange(50.0)[:, None]


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (TIME, True),
        (TIME.astype(np.int64), True),
        (np.arange(50.0)[:, None] * 1e-46, True),  # all of it 0 in float32
        (BIG + np.arange(50_000.0)[:, None], True),  # ids as floats, of which two and two merge
        (np.array([[0.0], [1e6]]) + np.linspace(0, 1, 2)[:, None] / 3, False),  # a last digit only
        (np.random.default_rng(0).normal(size=(50, 3)), False),
        (np.full((50, 1), 1.7e9), False),  # constant before, constant after
        (np.zeros((0, 1)), False),
    ],
)
def test_differences_that_are_lost_are_told(x, told):
    assert bool(say_what_is_lost("X", x, np.float32)) == told
    assert not say_what_is_lost("X", x, np.float64)


@pytest.mark.parametrize("which", ["X", "y", "validation X", "validation y"])
def test_fit_warns_of_lost_differences(which):
    rng = np.random.default_rng(0)
    parts = {name: rng.normal(size=(50, 1)) for name in ("X", "y", "validation X", "validation y")}
    parts[which] = TIME
    x, y, xv, yv = parts.values()
    with pytest.warns(DataWarning, match=f"^{which}: column 0 goes from 1700000000 to 1700000049") as caught:
        cr.fit(
            nn.Linear(1, 1),
            (x, y),
            loss=nn.absolute_error,
            optimizer=optim.SGD(1e-9),
            epochs=1,
            validation=(xv, yv),
        )
    assert caught[0].filename == __file__


def test_integer_targets_that_would_merge_are_told():
    x = np.zeros((3, 1))
    for dtype, number in ((np.float32, BIG), (np.float64, 2**53)):
        y = np.array([0, number, number + 1])
        with pytest.warns(DataWarning, match=f"y: column 0 holds integers .* such as {number + 1}: {number}"):
            as_rows((x, y), nn.Linear(1, 1, dtype=dtype))


def test_ordinary_data_is_not_warned_of():
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (
            rng.normal(size=(50, 3)) * 1e6,
            rng.integers(0, 255, (50, 3), np.uint8),
            rng.normal(size=(50, 3)) > 0,
        ):
            as_rows((x, rng.integers(0, 10, 50)), nn.Linear(3, 10))
