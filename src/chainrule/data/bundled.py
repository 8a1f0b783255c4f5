"""The bundled problems: scikit-learn's own small data sets, and small generators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.describe import suggest_names
from chainrule.data.halfspaces import halfspaces
from chainrule.errors import DataError, SettingError
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Problem:
    """A table, the column to predict, the task ("classification" or "regression") and what it is about.

    >>> iris = load_bundled("iris")
    >>> iris.target, iris.task, iris.frame.height
    ('species', 'classification', 150)
    """

    frame: pl.DataFrame
    target: str
    task: str
    description: str


def bundled_names() -> tuple[str, ...]:
    """The names that ``load_bundled`` knows.

    >>> bundled_names()[:3]
    ('digits', 'iris', 'wine')
    """
    return tuple(LOADERS)


def load_bundled(name: str, seed: int = 0) -> Problem:
    """Load a bundled problem; ``seed`` draws the points of those that are generated.

    Raises DataError with the nearest names for an unknown one, SettingError for a negative seed.

    >>> load_bundled("xnor").frame.rows()
    [(0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 1)]
    """
    if name not in LOADERS:
        raise DataError(
            f"there is no bundled problem {quoted(name)}",
            expected=f"one of {', '.join(LOADERS)}",
            got=quoted(name),
            hint=suggest_names(name, LOADERS),
        )
    if seed < 0:
        raise SettingError("a seed is not negative", expected="an integer from 0", got=seed)
    return LOADERS[name](seed)


def _frame(features: NDArray[Any], names: Sequence[str], target: str, values: NDArray[Any]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame({**dict(zip(names, features.T, strict=True)), target: values})


def _digits(seed: int) -> Problem:
    table = _digits_table()
    names = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    return Problem(
        _frame(table[:, :-1], names, "digit", table[:, -1].astype(np.int64)),
        "digit",
        "classification",
        "Handwritten digits 0 to 9: 1797 images of 8 by 8 pixels, from 0 (white) to 16 (UCI, test set).",
    )


def _digits_table() -> NDArray[np.float64]:
    """64 pixels and the digit, [1797, 65]; from scikit-learn's file, for its import takes longer than training."""
    package = find_spec("sklearn")
    for folder in (package.submodule_search_locations or []) if package else []:
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.exists():
            return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits

    return np.column_stack(load_digits(return_X_y=True))


def _iris(seed: int) -> Problem:
    from sklearn.datasets import load_iris

    data = load_iris()
    names = [name.removesuffix(" (cm)").replace(" ", "_") for name in data.feature_names]
    return Problem(
        _frame(data.data, names, "species", data.target_names[data.target]),
        "species",
        "classification",
        "Three species of iris, 50 plants of each, by four lengths in centimetres (Fisher 1936).",
    )


def _wine(seed: int) -> Problem:
    from sklearn.datasets import load_wine

    data = load_wine()
    names = [name.replace("/", "_") for name in data.feature_names]
    return Problem(
        _frame(data.data, names, "cultivar", data.target),
        "cultivar",
        "classification",
        "Three cultivars of wine: 178 wines by 13 chemical measurements (UCI).",
    )


def _breast_cancer(seed: int) -> Problem:
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    names = [name.replace(" ", "_") for name in data.feature_names]
    return Problem(
        _frame(data.data, names, "diagnosis", data.target_names[data.target]),
        "diagnosis",
        "classification",
        "Malignant or benign: 569 breast masses by 30 measurements of their cell nuclei (Wisconsin, UCI).",
    )


def _diabetes(seed: int) -> Problem:
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False)
    return Problem(
        _frame(data.data, data.feature_names, "progression", data.target),
        "progression",
        "regression",
        "Progression of diabetes after a year: 442 patients by 10 measurements (Efron and others 2004).",
    )


def _truth_table(outputs: tuple[int, ...], description: str) -> Callable[[int], Problem]:
    inputs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return lambda seed: Problem(
        _frame(inputs, ["x1", "x2"], "y", np.array(outputs)), "y", "classification", description
    )


def _curve(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], end: float, description: str
) -> Callable[[int], Problem]:
    def load(seed: int) -> Problem:
        x = np.sort(np.random.default_rng(seed).uniform(-end, end, 50))
        return Problem(_frame(x[:, np.newaxis], ["x"], "y", function(x)), "y", "regression", description)

    return load


def _spirals(seed: int) -> Problem:
    generator = np.random.default_rng(seed)
    side = np.repeat([0, 1], 200)
    turn = np.sqrt(generator.uniform(0.02, 1.0, 400))  # the root spreads the points evenly along the arms
    angle = 3 * np.pi * turn + np.pi * side
    points = turn[:, np.newaxis] * np.column_stack([np.cos(angle), np.sin(angle)])
    points += generator.normal(scale=0.02, size=points.shape)
    return Problem(
        _frame(points, ["x1", "x2"], "y", side),
        "y",
        "classification",
        "Two spirals wound around each other one and a half times: 200 points of each, with a little noise.",
    )


def _halfspaces(seed: int) -> Problem:
    sample = halfspaces(seed=seed)
    return Problem(
        _frame(sample.points, [f"x{i}" for i in range(1, 11)], "inside", sample.labels),
        "inside",
        "classification",
        "Inside the intersection of 3 half-spaces in 10 dimensions or not: 1000 points, half of them inside. "
        "With many half-spaces no efficient method is known to learn this.",
    )


LOADERS: Mapping[str, Callable[[int], Problem]] = MappingProxyType(
    {
        "digits": _digits,
        "iris": _iris,
        "wine": _wine,
        "breast-cancer": _breast_cancer,
        "diabetes": _diabetes,
        "and": _truth_table((0, 0, 0, 1), "Logical and: one perceptron is enough."),
        "xnor": _truth_table(
            (1, 0, 0, 1), "Equality of two bits: no perceptron represents it, two layers do."
        ),
        "x-squared": _curve(np.square, 1.0, "x squared at 50 points of [-1, 1]."),
        "sine": _curve(np.sin, 2 * np.pi, "The sine at 50 points of [-2 pi, 2 pi]."),
        "absolute": _curve(np.abs, 1.0, "The absolute value at 50 points of [-1, 1]."),
        "spirals": _spirals,
        "halfspaces": _halfspaces,
    }
)
