"""What CONTRIBUTING.md says about adding a primitive is carried out, in a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import chainrule

ROOT = Path(__file__).parents[2]


def example() -> tuple[str, str, str]:
    """The record, the line for ONNX and the public function, as CONTRIBUTING.md gives them."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text[text.index("## Adding a primitive") :].split("\n## ")[0]
    record, line, function = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return record, line, function


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package to which the primitive has been added."""
    folder = tmp_path_factory.mktemp("added")
    shutil.copytree(Path(chainrule.__file__).parent, folder / "chainrule")
    record, line, function = example()
    elementwise = folder / "chainrule" / "ops" / "elementwise.py"
    needed = "from chainrule.ops.registers import Builder, Value\n"
    text = elementwise.read_text().replace(
        "from chainrule.ops.source", needed + "from chainrule.ops.source", 1
    )
    elementwise.write_text(text + "\n" + record)
    mapping = folder / "chainrule" / "exchange" / "onnx_ops.py"
    text = mapping.read_text()
    mapping.write_text(
        text.replace('    "tanh": _elementwise("Tanh"),\n', '    "tanh": _elementwise("Tanh"),\n' + line)
    )
    functions = folder / "chainrule" / "functions.py"
    text = functions.read_text()
    functions.write_text(text.replace("# Reductions\n", f"{function}\n\n# Reductions\n", 1))
    done = run(folder, "-m", "tests.stubs")
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def run(package, *arguments):
    environment = os.environ | {"PYTHONPATH": str(package), "CHAINRULE_CACHE": "off"}
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_it_is_compiled_differentiated_and_written(package):
    program = """
import numpy as np, chainrule as cr
from chainrule.ops.elementwise import softsign
from chainrule.tensor import as_tensor
x = np.linspace(-3, 3, 37)
f = lambda t: softsign(as_tensor(t))
assert np.allclose(cr.compile(f)(x).numpy(), x / (1 + abs(x)), rtol=1e-14, atol=0)
slope = cr.compile(cr.grad(lambda t: f(t).sum()))(x)
assert np.allclose(slope.numpy(), 1 / (1 + abs(x)) ** 2, rtol=1e-13)
assert "|" in str(cr.explain(f(cr.tensor(0.5, requires_grad=True))))
"""
    done = run(package, "-c", program)
    assert done.returncode == 0, done.stderr[-2000:]


def test_it_is_public_everywhere(package):
    program = """
import numpy as np, chainrule as cr
assert cr.softsign([-1.0, 0.0, 3.0]).tolist() == [-0.5, 0, 0.75]
x = cr.tensor(np.linspace(-3, 3, 7), requires_grad=True)
assert (x.softsign() == cr.softsign(x)).numpy().all()
assert "softsign" in cr.__all__ and "softsign" in dir(cr)  # what docs/api.md lists
assert "between -1 and 1" in cr.softsign.__doc__
"""
    done = run(package, "-c", program)
    assert done.returncode == 0, done.stderr[-2000:]
    for stub, line in (
        ("namespace.pyi", "def softsign(x: TensorLike) -> Tensor:"),
        ("methods.pyi", "    def softsign(self) -> Tensor:"),
    ):
        assert line in (package / "chainrule" / stub).read_text().splitlines()
    tests = ["tests/test_public_functions.py", str(package / "chainrule" / "functions.py")]
    done = run(
        package, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", "softsign or stubs", *tests
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 4


@pytest.mark.slow
def test_its_tests_are_generated(package):
    """Value, dtypes, derivatives, formulas, the compiler on three processors, ONNX: all from the record."""
    places = [
        "tests/ops",
        "tests/compiler",
        "tests/exchange/test_onnx_ops.py",
        "tests/inspect",
        "tests/test_sums.py",
    ]
    done = run(package, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", "softsign", *places)
    assert done.returncode == 0, done.stdout[-3000:]
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed > 20, done.stdout[-500:]


def test_without_its_line_for_onnx_a_test_fails(package, tmp_path):
    shutil.copytree(package / "chainrule", tmp_path / "chainrule")
    mapping = tmp_path / "chainrule" / "exchange" / "onnx_ops.py"
    mapping.write_text(mapping.read_text().replace(example()[1], ""))
    test = "tests/exchange/test_onnx_ops.py::test_no_record_lacks_a_counterpart"
    done = run(tmp_path, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", test)
    assert done.returncode == 1, done.stdout[-3000:]
    assert "softsign" in done.stdout
