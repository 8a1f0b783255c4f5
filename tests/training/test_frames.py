"""From ``cr.fit`` to machine code there are at most six frames, whatever the run does on the way."""

import traceback
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.compiler import program

PACKAGE = str(Path(cr.__file__).parent)


@pytest.fixture
def stacks(monkeypatch):
    """The stack at every call of machine code: functions of ours below ``fit``, "SciPy" for those of SciPy's."""
    found = []

    def note():
        frames = traceback.extract_stack()[:-2]
        starts = [i for i, f in enumerate(frames) if f.name in ("fit", "work") and "training" in f.filename]
        below = frames[starts[-1] + 1 :]
        found.append([f.name if f.filename.startswith(PACKAGE) else "SciPy" for f in below])

    class Noted:
        def __init__(self, native):
            self._native = native

        def run(self, *numbers):
            note()
            self._native.run(*numbers)

    class Binary(program.Binary):
        def __init__(self, *given, **settings):
            super().__init__(*given, **settings)
            step = self.step
            self.step = lambda *addresses: (note(), step(*addresses))

    original = program.chain
    monkeypatch.setattr(program, "chain", lambda target: Noted(original(target)))
    monkeypatch.setattr(program, "Binary", Binary)
    return found


RUNS = {
    "plain": {},
    "validation and early stopping": {"validation": True, "stop": cr.EarlyStopping(2)},
    "callbacks": {"callbacks": [lambda epoch: None]},
    "restarts in turn": {"restarts": 3, "threads": 1},
    "restarts on threads": {"restarts": 4, "threads": 2},
    "halving": {"restarts": cr.Halving(4), "threads": 1},
    "a smaller last minibatch": {"batch_size": 7},
}


@pytest.mark.usefixtures("many_cores")
@pytest.mark.parametrize("kind", RUNS)
def test_at_most_six_frames(stacks, regression, make_model, kind):
    settings = {"optimizer": optim.Adam(0.01), "epochs": 4, "progress": False} | RUNS[kind]
    if settings.pop("validation", False):
        settings["validation"] = regression
    cr.fit(make_model(), regression, loss=nn.squared_error, **settings)
    assert stacks and max(map(len, stacks)) <= 6, max(stacks, key=len)
    training = [stack for stack in stacks if "run_epochs" in stack]
    assert {stack[-1] for stack in training} == {"run_parts"}


def test_lbfgs_has_scipy_in_between(stacks, regression, make_model):
    cr.fit(make_model(), regression, loss=nn.squared_error, optimizer=optim.LBFGS(3), progress=False)
    searched = [stack for stack in stacks if "SciPy" in stack]
    assert searched
    for stack in searched:
        first, last = stack.index("SciPy"), len(stack) - stack[::-1].index("SciPy")
        assert first <= 3 and len(stack) - last <= 6, stack


def test_the_values_are_those_of_an_unwatched_run(stacks, regression, make_model):
    watched = cr.fit(make_model(), regression, loss=nn.squared_error, optimizer=optim.Adam(0.01), epochs=2)
    assert np.isfinite(watched.loss).all() and len(stacks) > 0
