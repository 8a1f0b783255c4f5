import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import optim
from chainrule.errors import SettingError
from chainrule.graph import new_leaf
from chainrule.interpret import evaluate
from chainrule.tensor import Tensor
from chainrule.trace import tracing

STEPS = np.arange(40)
SCHEDULES = [
    optim.Constant(0.3),
    optim.InverseTime(0.3, decay=0.1),
    optim.StepDecay(0.3, factor=0.1, every=7),
    optim.CosineDecay(0.3, steps=25, final=0.01),
    optim.Warmup(0.3, steps=5),
    optim.Warmup(optim.StepDecay(0.3, 0.5, every=4), steps=6),
    optim.OneCycle(0.3, steps=30),
    optim.OneCycle(0.3, steps=30, rise=0.0),
    optim.tabulate(lambda step: 0.3 / (1 + step % 5), steps=17),
]
each = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


def cosine(start, end, progress):
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


CLOSED_FORMS = [
    (optim.Constant(0.3), lambda t: 0.3),
    (optim.InverseTime(0.3, decay=0.1), lambda t: 0.3 / (1 + 0.1 * t)),
    (optim.StepDecay(0.3, factor=0.1, every=7), lambda t: 0.3 * 0.1 ** (t // 7)),
    (optim.CosineDecay(0.3, steps=25, final=0.01), lambda t: cosine(0.3, 0.01, min(t, 25) / 25)),
    (optim.Warmup(0.3, steps=5), lambda t: 0.3 * min((t + 1) / 6, 1)),
    (
        optim.Warmup(lambda t: 0.3 * 0.5 ** (t // 4), steps=6),
        lambda t: 0.3 * ((t + 1) / 7 if t < 6 else 0.5 ** ((t - 6) // 4)),
    ),
    (
        optim.OneCycle(0.3, steps=30),
        lambda t: cosine(0.012, 0.3, t / 8) if t <= 8 else cosine(0.3, 1.2e-6, (min(t, 29) - 8) / 21),
    ),
    (optim.OneCycle(0.3, steps=30, rise=0.0), lambda t: cosine(0.3, 1.2e-6, min(t, 29) / 29)),
    (optim.tabulate(lambda t: 0.3 / (1 + t % 5), steps=17), lambda t: 0.3 / (1 + min(t, 16) % 5)),
]


@pytest.mark.parametrize(("schedule", "formula"), CLOSED_FORMS)
def test_closed_forms(schedule, formula):
    expected = [formula(int(t)) for t in STEPS]
    np.testing.assert_allclose([schedule(int(t)) for t in STEPS], expected, rtol=1e-14)


@each
def test_numbers_arrays_and_tensors_agree_exactly(schedule):
    numbers = np.array([schedule(int(t)) for t in STEPS])
    assert all(type(schedule(t)) is float for t in (3, 3.0, np.int64(3), np.array(3)))
    assert isinstance(schedule(STEPS), np.ndarray)
    np.testing.assert_array_equal(schedule(STEPS), numbers)
    np.testing.assert_array_equal(schedule(STEPS.astype(np.float32)), numbers)
    np.testing.assert_array_equal([schedule(cr.tensor(int(t))).item() for t in STEPS], numbers)
    assert schedule(cr.tensor(3)).dtype == np.float64


@each
def test_traced_equals_eager_exactly(schedule):
    leaf = new_leaf((), np.int64)
    with tracing():
        rate = schedule(Tensor(None, leaf))
        inside = schedule(3)
    traced = [evaluate([rate.node], {leaf: np.array(t)})[0] for t in STEPS]
    np.testing.assert_array_equal(traced, schedule(STEPS))
    assert evaluate([inside.node])[0] == schedule(3)


@each
def test_schedules_are_traceable_and_never_negative(schedule):
    assert optim.traceable(schedule)
    assert (schedule(np.arange(200)) >= 0).all()


def test_ends_are_exact():
    assert optim.CosineDecay(0.3, steps=25, final=0.1)(0) == 0.3
    assert optim.CosineDecay(0.3, steps=25, final=0.1)(25) == 0.1
    cycle = optim.OneCycle(0.3, steps=30)
    assert (cycle(0), cycle(8), cycle(29), cycle(1000)) == (0.3 / 25, 0.3, 0.3 / 25 / 1e4, 0.3 / 25 / 1e4)


def test_floor_of_step_decay_is_right_at_every_multiple():
    for every in (3, 7, 10, 49, 1000):
        schedule = optim.StepDecay(1.0, factor=0.5, every=every)
        multiples = every * np.arange(1, 50)
        np.testing.assert_array_equal(schedule(multiples), 0.5 ** np.arange(1, 50))
        np.testing.assert_array_equal(schedule(multiples - 1), 0.5 ** np.arange(49))


def test_traceable_tells_tensor_operations_from_python():
    assert optim.traceable(0.1)
    assert optim.traceable(lambda step: 0.1 * cr.exp(-step))
    assert optim.traceable(lambda step: cr.where(step < 10, 0.1, 0.01))
    for opaque in (
        lambda step: 0.1 if step < 10 else 0.01,
        lambda step: 0.1 / (1 + step // 10),
        lambda step: [0.1, 0.2][step],
        lambda step: 0.1 * math.exp(-step),
        float,
        lambda step: 0.1,
        optim.Warmup(lambda step: 0.1 / (1 + step // 10), steps=3),
    ):
        assert not optim.traceable(opaque)


def test_tabulate_calls_with_integers_and_keeps_the_last_value():
    seen = []

    def lr(step):
        seen.append(step)
        return 1.0 / (step + 1)

    table = optim.tabulate(lr, 4)
    assert seen == [0, 1, 2, 3]
    assert all(type(step) is int for step in seen)
    assert [table(t) for t in (0, 3, 4, 10**9)] == [1.0, 0.25, 0.25, 0.25]
    assert optim.tabulate(0.1, 3)(2) == 0.1
    # an opaque function below a schedule too
    assert optim.tabulate(optim.Warmup(lambda step: 0.5**step, steps=1), 4)(3) == 0.25


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: optim.Constant(-1.0),
        lambda: optim.InverseTime(0.1, decay=-1),
        lambda: optim.StepDecay(0.1, factor=10, every=5),
        lambda: optim.StepDecay(0.1, factor=0.0, every=5),
        lambda: optim.StepDecay(0.1, factor=0.1, every=0),
        lambda: optim.StepDecay(0.1, factor=0.1, every=2.5),
        lambda: optim.CosineDecay(0.1, steps=0),
        lambda: optim.CosineDecay(0.1, steps=5, final=-0.1),
        lambda: optim.Warmup("0.1", steps=5),
        lambda: optim.Warmup(-0.1, steps=5),
        lambda: optim.Warmup(0.1, steps=True),
        lambda: optim.OneCycle(0.1, steps=1),
        lambda: optim.OneCycle(0.1, steps=10, rise=1.0),
        lambda: optim.OneCycle(0.1, steps=10, initial_divisor=0),
        lambda: optim.tabulate(0.1, steps=0),
        lambda: optim.tabulate(None, steps=5),
        lambda: optim.tabulate(lambda step: -0.1, steps=5),
        lambda: optim.tabulate(lambda step: float("nan"), steps=5),
    ],
)
def test_settings_out_of_range(wrong):
    with pytest.raises(SettingError):
        wrong()


def test_schedules_are_values():
    assert optim.CosineDecay(0.1, 5) == optim.CosineDecay(0.1, 5)
    assert hash(optim.Warmup(0.1, 5)) == hash(optim.Warmup(0.1, 5))
    with pytest.raises(AttributeError):
        optim.CosineDecay(0.1, 5).lr = 1.0
