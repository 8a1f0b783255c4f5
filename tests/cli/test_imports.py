"""Which libraries a command loads: those that take long to import only where they are needed."""

import subprocess
import sys

TRAIN = """
import sys
from chainrule_command import main
sys.argv = ["chainrule", "train", {data!r}, "--target", "y", "--epochs", "5", "--folds", "2"]
main()
print(sorted({{name.split(".")[0] for name in sys.modules}} & {{"scipy", "sklearn", "torch", "pandas", "matplotlib"}}))
"""


def libraries_of(data, folder) -> str:
    """What training on a file imports, as the last line that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", TRAIN.format(data=str(data))],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_training_imports_no_statistics(tmp_path):
    """Of numbers and of classes: a small table trains in a second, and SciPy and scikit-learn take one to import."""
    rows = [(i % 7, i % 3, "ab"[i % 2], i * i % 11) for i in range(80)]
    numbers, classes = tmp_path / "numbers.csv", tmp_path / "classes.csv"
    numbers.write_text("p,q,r,y\n" + "".join(f"{p},{q},{r},{y + p / 3}\n" for p, q, r, y in rows))
    classes.write_text(
        "p,q,r,y\n" + "".join(f"{p},{q},{r},{'no' if y > 4 else 'yes'}\n" for p, q, r, y in rows)
    )
    assert libraries_of(numbers, tmp_path) == "[]"
    assert libraries_of(classes, tmp_path) == "[]"
