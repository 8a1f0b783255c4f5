"""Every public setting that is a number: whatever comes, it is taken and works, or SettingError says what it may be."""

import inspect
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ChainruleError, SettingError
from chainrule.optim.settings import check_count, check_flag, check_number

DATA = np.linspace(-1, 1, 8, dtype=np.float32)[:, None], np.ones((8, 1), np.float32)


def fit(**settings):
    given = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 1} | settings
    return cr.fit(nn.Linear(1, 1, seed=0), DATA, progress=False, **given)


def find_lr(**settings):
    given = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "steps": 3} | settings
    return cr.find_lr(nn.Linear(1, 1, seed=0), DATA, **given)


def stop_by(rule):
    return fit(stop=rule, epochs=2)


def call_back(callback):
    return fit(callbacks=[callback], epochs=2)


def step_by(optimizer):
    return fit(optimizer=optimizer)


def scheduled(schedule):
    schedule(0), schedule(np.arange(3))
    return fit(optimizer=optim.SGD(schedule))


def restarted(halving):
    return halving.survivors(2)


def penalised(penalty):
    return fit(penalty=penalty)


def layered(layer):
    return layer(np.ones((2, 4), np.float32))


def nothing(made):
    return made


#: what makes a thing, the numbers that it cannot do without, and what is then done with it
MAKERS = {
    "fit": (cr.fit, fit, None),
    "find_lr": (cr.find_lr, find_lr, None),
    "EarlyStopping": (cr.EarlyStopping, cr.EarlyStopping, stop_by),
    "GradientNorm": (cr.GradientNorm, cr.GradientNorm, stop_by),
    "Halving": (cr.Halving, lambda **s: cr.Halving(**({"restarts": 2} | s)), restarted),
    "Checkpoint": (cr.Checkpoint, lambda **s: cr.Checkpoint("nowhere", **s), nothing),
    "ReduceOnPlateau": (cr.ReduceOnPlateau, cr.ReduceOnPlateau, call_back),
    "LBFGS": (optim.LBFGS, optim.LBFGS, step_by),
    "Constant": (optim.Constant, lambda **s: optim.Constant(**({"lr": 0.1} | s)), scheduled),
    "InverseTime": (
        optim.InverseTime,
        lambda **s: optim.InverseTime(**({"lr": 1, "decay": 1} | s)),
        scheduled,
    ),
    "StepDecay": (
        optim.StepDecay,
        lambda **s: optim.StepDecay(**({"lr": 1, "factor": 0.5, "every": 2} | s)),
        scheduled,
    ),
    "CosineDecay": (
        optim.CosineDecay,
        lambda **s: optim.CosineDecay(**({"lr": 1, "steps": 9} | s)),
        scheduled,
    ),
    "Warmup": (optim.Warmup, lambda **s: optim.Warmup(**({"schedule": 0.1, "steps": 9} | s)), scheduled),
    "OneCycle": (optim.OneCycle, lambda **s: optim.OneCycle(**({"peak": 1, "steps": 9} | s)), scheduled),
    "l2": (nn.l2, lambda **s: nn.l2(**({"lambda_": 0.1} | s)), penalised),
    "l1": (nn.l1, lambda **s: nn.l1(**({"lambda_": 0.1} | s)), penalised),
    "Dropout": (nn.Dropout, lambda **s: nn.Dropout(**({"p": 0.1} | s)), layered),
    "BatchNorm1d": (nn.BatchNorm1d, lambda **s: nn.BatchNorm1d(4, **s), layered),
    **{
        kind.__name__: (kind, kind, step_by)
        for kind in (optim.SGD, optim.RMSprop, optim.Adagrad, optim.Adam, optim.AdamW, optim.NAdam)
    },
}
#: of a parameter that has no default, or one that is no number
NUMBERS = {"lr", "decay", "factor", "every", "steps", "schedule", "peak", "lambda_", "p", "clip_norm", "threads",
           "memory_limit", "restarts"}  # fmt: skip


def settings_of(name):
    signature = inspect.signature(MAKERS[name][0])
    for parameter in signature.parameters.values():
        default = parameter.default
        number = isinstance(default, int | float) and not isinstance(default, bool)
        if number or parameter.name in NUMBERS:
            yield parameter.name


CASES = [(name, setting) for name in MAKERS for setting in settings_of(name)]
STRANGE = [
    10**400,
    -(10**400),
    10**5000,
    2**63,
    Fraction(1, 2),
    Fraction(2),
    Decimal("0.5"),
    Decimal(2),
    Decimal("1e999"),
    np.float32("nan"),
    math.nan,
    math.inf,
    -math.inf,
    np.longdouble(2),
    np.float16(0.5),
    np.int8(2),
    np.uint8(2),
    np.uint64(2**64 - 1),
    np.float64(2),
    2.0,
    2,
    0,
    -1,
    1.5,
    1e-320,
    1e308,
    True,
    np.True_,
    "2",
    "",
    b"2",
    1j,
    np.array(2),
    np.array([1.0]),
    [],
    {},
    object(),
    np.datetime64("2020-01-01"),
]


@pytest.mark.filterwarnings("ignore::chainrule.TrainingWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "setting"), CASES)
def test_taken_or_refused(name, setting):
    _, make, use = MAKERS[name]
    taken = 0
    for value in STRANGE:
        if setting in ("epochs", "max_iterations", "steps", "restarts") and _is_long(value):
            continue  # such a run would take its time
        try:
            made = make(**{setting: value})
        except SettingError as error:
            assert setting.rstrip("_") in str(error) or name in str(error), error
            assert len(str(error)) < 2000
            continue
        taken += 1
        if use is not None:
            try:
                use(made)
            except (
                ChainruleError
            ) as error:  # such as a rate that is out of this world, with numbers that are not
                assert not isinstance(error, SettingError) or "replica" in str(error), (value, error)
    assert taken < len(STRANGE) and (taken or setting == "memory_limit")  # which is too small for anything


def _is_long(value):
    try:
        return 1000 < value < 2**62
    except (TypeError, ValueError, ArithmeticError):  # an array, a text, a NaN of decimal
        return False


def test_all_settings_are_looked_at():
    """A setting that is new is among the cases, for they are read from the signatures."""
    assert len(CASES) > 65
    assert {("Checkpoint", "seconds"), ("fit", "epochs"), ("Dropout", "p"), ("Adam", "eps")} <= set(CASES)


@pytest.mark.parametrize(
    "value", [0, -1, 10**400, Fraction(1, 2), Decimal(1), math.nan, "1", True, None, 0.5]
)
def test_what_is_no_count_is_told_what_one_is(value):
    with pytest.raises(SettingError) as caught:
        check_count("epochs", value)
    text = str(caught.value)
    assert text.startswith("epochs must be a whole number >= 1") and "try:      epochs=1" in text


def test_numbers_in_range_become_floats_and_whole_ones_ints():
    for value in (2, 2.0, np.int8(2), np.float32(2), np.longdouble(2), np.uint64(2)):
        assert type(check_number("lr", value)) is float and type(check_count("epochs", value)) is int


@pytest.mark.parametrize(
    ("bounds", "limits", "hint"),
    [
        ({"above": 0}, "a number > 0", "lr=1"),
        ({"least": 0, "below": 1}, "a number >= 0 and < 1", "lr=0.5"),
        ({"least": 1000}, "a number >= 1000", "lr=1000"),
        ({"above": 0, "most": 0.001}, "a number > 0 and <= 0.001", "lr=0.001"),
        ({}, "a finite number", "lr=1"),
    ],
)
def test_the_message_names_the_range_and_a_number_in_it(bounds, limits, hint):
    with pytest.raises(SettingError) as caught:
        check_number("lr", math.nan, **bounds)
    assert caught.value.what == f"lr must be {limits}" and caught.value.hint == hint
    check_number("lr", float(hint.removeprefix("lr=")), **bounds)


def test_flags():
    assert check_flag("nesterov", np.True_) is True
    with pytest.raises(SettingError, match="nesterov must be True or False"):
        check_flag("nesterov", 1)


def test_settings_are_kept_as_plain_numbers():
    """A whole number given as a float counts as one: ``range`` and SciPy take nothing else."""
    halving = cr.Halving(np.int8(4), every=2.0)
    assert (halving.every, type(halving.every), type(halving.restarts)) == (2, int, int)
    assert fit(restarts=cr.Halving(2.0, every=1.0), epochs=3).dropped.count(None) == 1
    assert type(optim.LBFGS(max_iterations=3.0, history=2.0).history) is int
    assert fit(optimizer=optim.LBFGS(max_iterations=3.0, history=2.0)).epochs <= 3
    assert repr(cr.EarlyStopping(patience=np.uint8(3))) == "EarlyStopping(patience=3, min_delta=0.0)"
