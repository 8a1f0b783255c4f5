"""Replicas on rows of their own: each is, bit for bit, what it would be alone on a copy of these rows."""

import shutil

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.thorough import generated

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError

REPLICAS = 3


def falling(step):
    """A function of the step that cannot be traced."""
    return 0.05 * 0.5 ** (int(step) // 5)


def contrast(prediction, target):
    """A loss that is neither a mean nor a sum over rows."""
    return cr.sum(cr.square(prediction - target)) / (1.0 + cr.mean(cr.square(target - cr.mean(target, 0))))


def total(prediction, target):
    return nn.squared_error(prediction, target, "sum")


class Shrink:
    """A callback that writes into the parameters and ends some replicas early."""

    def __call__(self, epoch):
        for parameter in epoch.model.parameters():
            parameter.data[...] *= 0.99
        return epoch.number >= 2 + epoch.replica


PROBLEMS = {
    "numbers": (nn.squared_error, 2),
    "sum": (total, 2),
    "whole": (contrast, 2),
    "classes": (nn.cross_entropy, 3),
    "yes or no": (nn.binary_cross_entropy, 2),
}
OPTIMIZERS = {
    "sgd": optim.SGD(0.05, momentum=0.9),
    "rates": optim.Adam([0.05, 0.01, 0.002]),
    "schedule": optim.AdamW(optim.Warmup(optim.CosineDecay(0.05, steps=12), steps=3), weight_decay=0.1),
    "function": optim.NAdam(falling),
}
PENALTIES = {
    "none": None,
    "l2": nn.l2(1e-2),
    "strengths": nn.l2([1e-1, 1e-2, 0.0]),
    "kinds": [nn.l2(1e-2), None, nn.l1(1e-3)],
}
STOPS = {
    "none": None,
    "early": cr.EarlyStopping(1),
    "both": [cr.EarlyStopping(2, 1e-3), cr.GradientNorm(0.2)],
}


FIRST_LAYERS = {
    "nothing": lambda dtype: None,
    "numbers": lambda dtype: nn.NumberEmbedding(2, in_features=3, size=2, dtype=dtype),
    "categories": lambda dtype: nn.CategoryEmbedding({2: 5}, 2, in_features=3, dtype=dtype),
}


@st.composite
def runs(draw):
    """The settings of a run, and for each replica the rows that it has."""
    pick = lambda table: draw(st.sampled_from(sorted(table)))
    count = draw(st.integers(8, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    with_validation = draw(st.booleans())
    folds = []
    for _ in range(REPLICAS):
        order = rng.permutation(count)
        held = int(rng.integers(1, count // 2)) if with_validation else 0
        train = order[held : held + int(rng.integers(2, count - held + 1))]
        if draw(st.booleans()):
            train = rng.choice(train, draw(st.integers(2, 30)))  # a bootstrap: rows come several times
        folds.append((train, order[:held]))
    return {
        "count": count,
        "rng": rng,
        "folds": folds,
        "problem": pick(PROBLEMS),
        "dtype": draw(st.sampled_from([np.float32, np.float64])),
        "sparse": draw(st.booleans()),
        "embedded": draw(st.sampled_from(["nothing", "numbers", "categories"])),
        "network": {
            "dropout": draw(st.sampled_from([0.0, 0.3, [0.1, 0.2, 0.0]])),
            "batch_norm": draw(st.booleans()),
        },
        "fit": {
            "optimizer": OPTIMIZERS[pick(OPTIMIZERS)],
            "penalty": PENALTIES[pick(PENALTIES)],
            "stop": STOPS[pick(STOPS)],
            "callbacks": [Shrink()] if draw(st.booleans()) else [],
            "batch_size": draw(st.integers(2, 45)),
            "shuffle": draw(st.booleans()),
            "drop_last": draw(st.booleans()),
            "clip_norm": draw(st.sampled_from([None, 1.0])),
            "epochs": draw(st.integers(1, 4)),
            "threads": draw(st.sampled_from([1, 2])),
            "executor": draw(st.sampled_from(["compiled", "interpreted"])),
            "seed": draw(st.integers(0, 5)),
        },
    }


def prepared(run):
    """The data of a run, and a function that trains on some of them."""
    rng, (loss, outputs), dtype = run["rng"], PROBLEMS[run["problem"]], run["dtype"]
    x = rng.normal(size=(run["count"], 3)) * (rng.random((run["count"], 3)) < 0.8)
    if run["embedded"] == "categories":
        x[:, 2] = rng.integers(0, 6, run["count"])
    x = x.astype(dtype)
    y = (
        rng.integers(0, outputs, run["count"])
        if run["problem"] == "classes"
        else (rng.random((run["count"], outputs)) < 0.5).astype(dtype)
        if run["problem"] == "yes or no"
        else rng.normal(size=(run["count"], outputs)).astype(dtype)
    )
    x = scipy.sparse.csr_array(x) if run["sparse"] else x

    def train(data, **more):
        first = FIRST_LAYERS[run["embedded"]](dtype)
        network = nn.MLP([first.out_features if first else 3, 4, outputs], dtype=dtype, **run["network"])
        model = nn.Sequential(first, network) if first else network
        given = {"restarts": REPLICAS, "loss": loss, "progress": False, **run["fit"]} | more
        return cr.fit(model, data, **given)

    return x, y, train


def check_same_replica(mine, alone, upto=None):
    """The same curves, for so many epochs, and if that is all, the same parameters."""
    for curve in ("loss", "validation_loss", "end_loss", "gradient_norm", "lr"):
        np.testing.assert_array_equal(getattr(mine, curve), getattr(alone, curve)[:upto], err_msg=curve)
    if upto is None or upto == len(alone.loss):
        for name in ("stopped", "kept_epoch", "kept_loss", "steps") if upto is None else ("steps",):
            assert getattr(mine, name) == getattr(alone, name), name
        assert mine.state.keys() == alone.state.keys()
        for name, value in alone.state.items():
            np.testing.assert_array_equal(mine.state[name], value, err_msg=name)


def alone(x, y, fold, train, **more):
    """The run in which every replica has a copy of this fold's rows."""
    rows, held = fold
    validation = (x[held], y[held]) if len(held) else None
    return train((x[rows], y[rows]), validation=validation, **more)


@pytest.mark.filterwarnings("ignore::chainrule.training.TrainingWarning")
@generated(6, 25, runs())
def test_each_replica_is_what_it_is_alone(run):
    x, y, train = prepared(run)
    history = train((x, y), rows=run["folds"])
    for index, fold in enumerate(run["folds"]):
        check_same_replica(history.replicas[index], alone(x, y, fold, train).replicas[index])


@pytest.mark.filterwarnings("ignore::chainrule.training.TrainingWarning")
@generated(3, 10, runs())
def test_halving_drops_replicas_that_are_what_they_are_alone(run):
    x, y, train = prepared(run)
    history = train((x, y), rows=run["folds"], restarts=cr.Halving(REPLICAS, every=1))
    for index, fold in enumerate(run["folds"]):
        mine = history.replicas[index]
        if mine.dropped is None:
            check_same_replica(mine, alone(x, y, fold, train).replicas[index])
        else:
            check_same_replica(mine, alone(x, y, fold, train).replicas[index], upto=len(mine.loss))


@pytest.mark.usefixtures("many_cores")
def test_threads_and_memory_change_no_bit(regression, make_model):
    """Eight replicas on ragged rows: one after the other, all at once, and two at a time for want of memory."""
    rows = cr.folds(50, 4, groups=np.arange(50) // 3, repeats=2)
    assert len({len(fold.train) for fold in rows}) > 1
    found = []
    for more in ({"threads": 1}, {"threads": 8}, {"threads": 8, "memory_limit": 20_000}):
        model = make_model(dropout=0.2, batch_norm=True)
        settings = {"loss": nn.squared_error, "optimizer": optim.Adam(0.02), "epochs": 4, "batch_size": 8}
        stop = cr.EarlyStopping(2)
        found.append(
            cr.fit(model, regression, rows=rows, restarts=8, stop=stop, progress=False, **settings, **more)
        )
    for other in found[1:]:
        for mine, its in zip(other.replicas, found[0].replicas, strict=True):
            check_same_replica(mine, its)


@pytest.mark.filterwarnings("ignore::chainrule.training.TrainingWarning")
@settings(deadline=None, max_examples=6)
@given(run=runs(), kept=st.integers(0, 100))
def test_a_run_that_was_killed_goes_on(tmp_path_factory, run, kept):
    x, y, train = prepared(run)
    folder = tmp_path_factory.mktemp("run")
    path, copies = folder / "run.npz", []

    class Keep:
        def __call__(self, epoch):
            copies.append(shutil.copy(path, folder / f"{len(copies)}.npz"))

    callbacks = [*run["fit"]["callbacks"], Keep()]
    saved = {"checkpoint": cr.Checkpoint(path, seconds=0), "callbacks": callbacks}
    expected = train((x, y), rows=run["folds"], **saved)
    for begun in (copies[kept % len(copies)], path):
        again = train((x, y), rows=run["folds"], **saved | {"checkpoint": begun, "resume": True})
        for mine, its in zip(again.replicas, expected.replicas, strict=True):
            check_same_replica(mine, its)
        assert again.best == expected.best


EVEN = np.linspace(-1, 1, 24, dtype=np.float32)[:, None]


def few(rows, **more):
    return cr.fit(
        nn.Linear(1, 1, seed=0),
        (EVEN, 2 * EVEN),
        loss=nn.squared_error,
        epochs=3,
        batch_size=5,
        restarts=2,
        rows=rows,
        progress=False,
        **{"optimizer": optim.SGD(0.1)} | more,
    )


def test_validation_rows_tell_runs_apart(tmp_path):
    train = [range(10), range(10)]
    few([(t, [20]) for t in train], checkpoint=tmp_path / "run")
    with pytest.raises(SettingError, match="belongs to another run"):
        few([(t, [21]) for t in train], checkpoint=tmp_path / "run", resume=True)


def test_each_replica_has_the_learning_rates_of_its_own_steps():
    schedule = optim.CosineDecay(0.1, steps=20)
    history = few([(range(20), [20]), (range(10), [20])], optimizer=optim.SGD(schedule), threads=1)
    assert history.lr.tolist() == [[schedule(s * e) for e in range(3)] for s in (4, 2)]


def test_the_gradient_is_that_of_a_replicas_own_rows():
    x = np.concatenate([EVEN[:20] * 0 + 1, EVEN[20:] * 0])
    settings = {
        "loss": nn.squared_error,
        "optimizer": optim.SGD(0.1),
        "epochs": 60,
        "restarts": 2,
        "progress": False,
        "stop": cr.GradientNorm(0.01),
        "batch_size": 5,
    }
    rows = [range(20), range(15, 24)]
    history = cr.fit(
        nn.Linear(1, 1, seed=0), (x, x * 2), rows=[(r, None) for r in rows], threads=1, **settings
    )
    for i, r in enumerate(rows):
        alone = cr.fit(nn.Linear(1, 1, seed=0), (x[list(r)], x[list(r)] * 2), **settings)
        assert history.stopped[i] == alone.stopped[i]


def test_the_rows_of_a_validation_loss_are_those_of_the_data():
    y = 2 * EVEN
    y[22] = 1e30
    with pytest.warns(cr.TrainingWarning, match="rows affected: 22\n"):
        cr.fit(
            nn.Linear(1, 1, seed=0),
            (EVEN, y),
            loss=nn.squared_error,
            optimizer=optim.SGD(0.1),
            epochs=2,
            restarts=2,
            rows=[(range(10), range(12, 24))] * 2,
            progress=False,
        )
