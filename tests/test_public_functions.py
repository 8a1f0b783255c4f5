"""A public function stands in one place, functions.py: the rest follows from it, what type checkers know included."""

import inspect
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.stubs import PACKAGE, stubs

import chainrule as cr
from chainrule import functions, namespace

ROOT = Path(__file__).parents[1]
public = pytest.mark.parametrize("name", list(functions.PUBLIC))


@public
def test_it_is_public_and_a_method(name):
    function = getattr(cr, name)
    assert name in cr.__all__
    assert name in dir(cr)
    assert function.__doc__ == functions.PUBLIC[name].__doc__
    assert "cr." + name in function.__doc__, "an example"
    assert inspect.signature(function) == inspect.signature(functions.PUBLIC[name])
    assert pickle.loads(pickle.dumps(function)) is function
    method = getattr(cr.Tensor, name, None)  # by name: doctests import the module once more
    is_method = (getattr(method, "__module__", ""), getattr(method, "__name__", "")) == (
        functions.__name__,
        name,
    )
    assert is_method == (name in functions.METHODS)


def test_every_function_in_the_file_is_public_but_helpers():
    own = {
        n for n, f in vars(functions).items() if inspect.isfunction(f) and f.__module__ == functions.__name__
    }
    assert set(functions.PUBLIC) == {n for n in own if not n.startswith("_")}
    assert set(namespace.__all__) == set(functions.PUBLIC) <= set(cr.__all__)


@pytest.mark.parametrize("file", stubs())
def test_the_stubs_are_as_functions_py_says(file):
    assert (PACKAGE / file).read_text() == stubs()[file], "run python -m tests.stubs"


PROGRAM = """
import numpy as np
import chainrule as cr

x = cr.tensor([[1.0, 2.0]], requires_grad=True)
reveal_type(cr.exp([1.0, 2.0]))
reveal_type(cr.maximum(np.ones(3), x))
reveal_type(cr.stack([x, 1.0, x]))
reveal_type(cr.where(x > 0, x, 0.0))
reveal_type(x.softmax(axis=1))
reveal_type(x.sum(axis=0, keepdims=True) * 2 + 1)
reveal_type(2 - x @ x.T)
reveal_type(x[0, ::2])
reveal_type(cr.value_and_grad(lambda w: (w * w).sum())(x)[0])
reveal_type(cr.compile(cr.softplus)(x))
reveal_type(cr.vjp(cr.tanh, x)[0])
x.exp(1)
cr.softmax(x, axes=1)
cr.sum(x, axis="all")
cr.tensor([[1.0], [x, 2.0]], dtype=cr.float64).backward([1.0])
"""


@pytest.mark.slow
def test_a_type_checker_knows_them(tmp_path):
    """Every result is a Tensor, and what they do not take is found."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    installed = PACKAGE.parent.name == "site-packages"  # mypy looks there by itself, and refuses to be told
    searched = {} if installed else {"MYPYPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(file)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | searched,
        timeout=600,
    )
    told = [line.partition(": ")[2] for line in done.stdout.splitlines() if "program.py" in line]
    revealed = [line for line in told if line.startswith("note: Revealed")]
    assert len(revealed) == PROGRAM.count("reveal_type"), done.stdout + done.stderr
    assert {line.split('"')[1].rpartition(".")[2] for line in revealed} == {"Tensor"}, done.stdout
    errors = [line for line in told if line.startswith("error")]
    assert len(errors) == 3, done.stdout
    assert ["exp" in errors[0], "axes" in errors[1], "axis" in errors[2] or "sum" in errors[2]] == [True] * 3


def test_numpy_arrays_and_lists_are_welcome():
    assert cr.maximum([1.0, 5.0], np.float32([3, 2])).tolist() == [3, 5]
    assert cr.stack([[1.0, 2.0], np.float32([3, 4])]).shape == (2, 2)
