"""From ``cr.fit`` to machine code there are at most six frames, to where it is made and to where it runs."""

import re
import sys
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


@pytest.fixture
def ways_to_the_compiler(monkeypatch):
    """Which functions of ours lie between ``fit``, or a thread's own work, and each call of ``pipeline.lower``."""
    found, lower = [], program.lower

    def noted(*given, **settings):
        frame, names, ends = sys._getframe(1), [], ("fit", "_train_in_threads.<locals>.work")
        while frame is not None and frame.f_code.co_qualname not in ends:
            if frame.f_code.co_filename.startswith(PACKAGE):
                names.append(frame.f_code.co_qualname.removesuffix(".__init__"))
            frame = frame.f_back
        assert frame is not None
        found.append(names[::-1])
        return lower(*given, **settings)

    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    monkeypatch.setattr(program, "lower", noted)
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


def documented(title):
    """The functions in the first table of docs/architecture.md below a line that begins like this."""
    text = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text().split(f"\n{title}", 1)[1]
    table = next(block for block in text.split("\n\n") if block.startswith("|"))
    return re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)


@pytest.mark.usefixtures("many_cores")
@pytest.mark.parametrize("kind", RUNS)
def test_at_most_six_frames_to_the_compiler(ways_to_the_compiler, regression, make_model, kind):
    settings = {"optimizer": optim.Adam(0.01), "epochs": 3, "batch_size": 16, "progress": False} | RUNS[kind]
    if settings.pop("validation", False):
        settings["validation"] = regression
    cr.fit(make_model(dropout=0.2), regression, loss=nn.squared_error, **settings)
    named = documented("A run in named steps")
    assert len(named) == 6
    for way in ways_to_the_compiler:
        assert len(way) <= 6, way
    if settings.get("restarts", 1) == 1:
        assert len(ways_to_the_compiler) >= 2
        assert all(way == named for way in ways_to_the_compiler)
    else:  # in a thread's own work the first of them are in the thread that called fit
        assert {way[-3:] == named[-3:] for way in ways_to_the_compiler} == {True}


def test_what_turns_out_later_is_compiled_on_the_same_way(ways_to_the_compiler, regression, make_model):
    """A callback changes what the step reads; folds differ in size."""

    def change(epoch):
        if epoch.number == 1:
            next(part for _, part in epoch.model.named_modules() if isinstance(part, nn.Dropout)).p = 0.5

    given = {"loss": nn.squared_error, "optimizer": optim.Adam(0.01), "epochs": 2, "batch_size": 16}
    cr.fit(make_model(dropout=0.2), regression, callbacks=[change], **given)
    assert len(ways_to_the_compiler) == 4  # twice for 16 rows and the last 2
    rows = [(range(30), range(30, 50)), (range(15, 50), range(15))]
    cr.fit(make_model(), regression, rows=rows, restarts=2, threads=1, memory_limit=None, **given)
    assert len(ways_to_the_compiler) == 4 + 3 + 2
    assert all(way == documented("A run in named steps") for way in ways_to_the_compiler)


def test_lbfgs_is_compiled_before_scipy_searches(ways_to_the_compiler, regression, make_model):
    cr.fit(make_model(), regression, loss=nn.squared_error, optimizer=optim.LBFGS(3), progress=False)
    assert ways_to_the_compiler == [
        ["complete", "train_full_batch", "Trainer.compile_steps", "Compiling.compile_step", "Binary"]
    ]


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
