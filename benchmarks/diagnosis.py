"""Twelve planted illnesses and twelve healthy runs: does ``cr.diagnose`` tell them apart?

Prints a table of what was planted and what was found; ``--seeds N`` repeats all runs with other data, first
weights and orders of rows. An illness counts as found if its finding is the first, a healthy run as healthy
if there is no finding at all, notes included.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import nn, optim

Table = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Run:
    """A run, and the kind of finding that was planted in it ("" for a healthy one)."""

    name: str
    planted: str
    diagnose: Callable[[int], cr.Diagnosis]


# Data


def moons(rows: int, seed: int, noise: float = 0.1) -> Table:
    """Two interleaving half circles, classes 0 and 1."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, rows)
    t = rng.uniform(0, np.pi, rows)
    x = np.stack(
        [np.where(y, 1 - np.cos(t), np.cos(t)) - 0.5, np.where(y, 0.5 - np.sin(t), np.sin(t)) - 0.25], 1
    )
    return (x + rng.normal(0, noise, x.shape)).astype(np.float32), y


def corners(rows: int, seed: int) -> Table:
    """Four clouds in the corners of a square; diagonal ones share a class, as in XNOR."""
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], (rows, 2))
    x = signs + rng.normal(0, 0.3, (rows, 2))
    return x.astype(np.float32), (signs[:, 0] == signs[:, 1]).astype(np.int64)


def wave(rows: int, seed: int) -> Table:
    """The sine of one column over [-pi, pi], in units of [-1, 1]."""
    x = np.random.default_rng(seed).uniform(-1, 1, (rows, 1)).astype(np.float32)
    return x, np.sin(np.pi * x)


def plane(rows: int, seed: int, columns: int = 10, noise: float = 0.3) -> Table:
    """A linear function of some columns, with noise; deviation about 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns)).astype(np.float32)
    y = x @ np.random.default_rng(1).normal(size=(columns, 1)) / np.sqrt(columns)
    return x, (y + rng.normal(0, noise, y.shape)).astype(np.float32)


def bundled(name: str, scaled: bool = True) -> Table:
    """One of scikit-learn's data sets."""
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    if scaled:
        x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-9)
    if y.dtype.kind == "f":
        y = ((y - y.mean()) / y.std())[:, None].astype(np.float32)
    return x.astype(np.float32), y


def split(table: Table, seed: int) -> tuple[Table, Table]:
    """Three quarters and one quarter of the rows."""
    order = np.random.default_rng(seed + 100).permutation(len(table[0]))
    cut = len(order) * 3 // 4
    return tuple((table[0][part], table[1][part]) for part in (order[:cut], order[cut:]))  # type: ignore[return-value]


def train(
    model: nn.Module,
    table: Table,
    loss: Any,
    optimizer: Any,
    seed: int,
    **settings: Any,
) -> cr.Diagnosis:
    """Hold a quarter out, train, and diagnose."""
    training, validation = split(table, seed)
    settings = {"epochs": 60, "batch_size": 32, **settings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cr.TrainingWarning)  # divergence is what some of the runs are about
        history = cr.fit(
            model,
            training,
            loss=loss,
            optimizer=optimizer,
            validation=validation,
            progress=False,
            seed=seed,
            **settings,
        )
    return cr.diagnose(
        model, training, loss, history, validation=validation, penalty=settings.get("penalty"), seed=seed
    )


# Planted illnesses


def saturated(seed: int) -> cr.Diagnosis:
    """First weights two hundred times too large, in a logistic network."""
    model = nn.MLP([10, 8, 8, 1], "logistic", seed=seed)
    for i in (0, 2):
        model[i].weight.data[:] *= 200
    return train(model, plane(400, seed), nn.squared_error, optim.SGD(0.05), seed)


def dead(seed: int) -> cr.Diagnosis:
    """Biases that switch most ReLUs off for good."""
    model = nn.MLP([10, 32, 1], "relu", seed=seed)
    model[0].bias.data[4:] = -20
    return train(model, plane(400, seed), nn.squared_error, optim.SGD(0.01), seed)


def vanishing(seed: int) -> cr.Diagnosis:
    """Ten logistic layers."""
    model = nn.MLP([2, *[16] * 10, 2], "logistic", seed=seed)
    return train(model, corners(400, seed), nn.cross_entropy, optim.SGD(0.1), seed)


def exploding(seed: int) -> cr.Diagnosis:
    """Twelve ReLU layers whose weights are three times too large."""
    model = nn.MLP([10, *[32] * 12, 1], "relu", seed=seed)
    for p in model.parameters():
        p.data[:] *= 3
    return train(model, plane(400, seed), nn.squared_error, optim.SGD(0.01), seed)


def identical(seed: int) -> cr.Diagnosis:
    """All weights start at the same value."""
    model = nn.MLP([2, 16, 2], "tanh", seed=seed)
    for p in model.parameters():
        p.data[:] = 0.3
    return train(model, corners(400, seed), nn.cross_entropy, optim.Adam(0.01), seed)


def too_large(seed: int) -> cr.Diagnosis:
    """Gradient descent with a learning rate of 1 where 0.05 would do."""
    model = nn.MLP([10, 32, 1], "tanh", seed=seed)
    return train(model, plane(400, seed), nn.squared_error, optim.SGD(1.0), seed)


def too_small(seed: int) -> cr.Diagnosis:
    """Gradient descent with a learning rate of a hundred-thousandth."""
    model = nn.MLP([2, 32, 2], "relu", seed=seed)
    return train(model, moons(400, seed), nn.cross_entropy, optim.SGD(1e-5), seed)


def saddle(seed: int) -> cr.Diagnosis:
    """Lecture E's 1/2 (w v - 1)^2 from (.5, -.5): descent ends between two valleys."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    for i, value in ((0, 0.5), (1, -0.5)):
        model[i].weight.data[:] = value
    x = np.random.default_rng(seed).choice([-1.0, 1.0], (200, 1)).astype(np.float32)
    return train(model, (x, x), nn.half_squared_error, optim.SGD(0.2), seed, batch_size=150, epochs=40)


def overfitted(seed: int) -> cr.Diagnosis:
    """Sixty rows with much noise, 4,929 parameters, 300 epochs."""
    model = nn.MLP([10, 64, 64, 1], "relu", seed=seed)
    return train(model, plane(80, seed, noise=1.0), nn.squared_error, optim.Adam(3e-3), seed, epochs=300)


def underfitted(seed: int) -> cr.Diagnosis:
    """A linear model on XNOR."""
    model = nn.Linear(2, 2, seed=seed)
    return train(model, corners(400, seed), nn.cross_entropy, optim.Adam(0.01), seed)


def unscaled(seed: int) -> cr.Diagnosis:
    """Wine as it was measured: proline in hundreds, hue about 1."""
    model = nn.MLP([13, 32, 3], "tanh", seed=seed)
    return train(model, bundled("wine", scaled=False), nn.cross_entropy, optim.SGD(0.05), seed)


def shuffled(seed: int) -> cr.Diagnosis:
    """Breast cancer with its labels in another order than its rows."""
    x, y = bundled("breast_cancer")
    y = np.random.default_rng(seed).permutation(y)
    model = nn.MLP([30, 64, 2], "relu", seed=seed)
    return train(model, (x, y), nn.cross_entropy, optim.Adam(3e-3), seed, epochs=100)


# Healthy runs


def classify(name: str, widths: list[int], seed: int, **model: Any) -> cr.Diagnosis:
    """One of scikit-learn's data sets, with early stopping and a little weight decay."""
    network = nn.MLP(widths, seed=seed, **model)
    return train(
        network,
        bundled(name),
        partial(nn.cross_entropy, label_smoothing=0.05),
        optim.AdamW(optim.CosineDecay(3e-3, steps=2000), weight_decay=0.1),
        seed,
        stop=cr.EarlyStopping(15),
    )


def healthy_regression(seed: int) -> cr.Diagnosis:
    """Diabetes, of which half of the variance is explained by no model."""
    model = nn.MLP([10, 32, 1], "relu", seed=seed)
    return train(
        model, bundled("diabetes"), nn.squared_error, optim.Adam(3e-3), seed, stop=cr.EarlyStopping(10)
    )


def healthy_curve(seed: int) -> cr.Diagnosis:
    """A sine by three tanh units, with L-BFGS in float64."""
    model = nn.MLP([1, 6, 1], "tanh", seed=seed, dtype=np.float64)
    return train(model, wave(200, seed), nn.squared_error, optim.LBFGS(max_iterations=300), seed, restarts=3)


def healthy_deep(seed: int) -> cr.Diagnosis:
    """Eight ReLU layers with He's weights."""
    model = nn.MLP([2, *[24] * 8, 2], "relu", seed=seed)
    return train(model, moons(600, seed), nn.cross_entropy, optim.Adam(2e-3), seed, stop=cr.EarlyStopping(15))


def healthy_sgd(seed: int) -> cr.Diagnosis:
    """Gradient descent with momentum on XNOR's clouds, logistic units."""
    model = nn.MLP([2, 16, 2], "logistic", seed=seed)
    return train(model, corners(400, seed), nn.cross_entropy, optim.SGD(0.3, momentum=0.9), seed)


def healthy_linear(seed: int) -> cr.Diagnosis:
    """A plane with noise by a single layer: all that can be learned is learned."""
    return train(nn.Linear(10, 1, seed=seed), plane(400, seed), nn.squared_error, optim.SGD(0.05), seed)


def healthy_binary(seed: int) -> cr.Diagnosis:
    """Moons with a single logit, GELU units and dropout."""
    model = nn.MLP([2, 32, 1], "gelu", dropout=0.1, seed=seed)
    x, y = moons(600, seed, noise=0.2)
    table = x, y[:, None].astype(np.float32)
    return train(model, table, nn.binary_cross_entropy, optim.Adam(1e-2), seed)


def healthy_norm(seed: int) -> cr.Diagnosis:
    """Unscaled wine behind batch normalisation."""
    model = nn.Sequential(nn.BatchNorm1d(13), nn.MLP([13, 32, 3], "relu", batch_norm=True, seed=seed))
    table = bundled("wine", scaled=False)
    return train(model, table, nn.cross_entropy, optim.Adam(3e-3), seed, stop=cr.EarlyStopping(15))


def healthy_imbalance(seed: int) -> cr.Diagnosis:
    """One row in ten is of the rare class, and it is found."""
    x, y = moons(1500, seed)
    keep = (y == 0) | (np.random.default_rng(seed).random(len(y)) < 0.1)
    model = nn.MLP([2, 32, 2], "relu", seed=seed)
    return train(model, (x[keep], y[keep]), nn.cross_entropy, optim.Adam(1e-2), seed)


RUNS = (
    Run("logistic, first weights x 200", "saturated units", saturated),
    Run("ReLU, biases of -20", "dead units", dead),
    Run("10 logistic layers", "vanishing gradients", vanishing),
    Run("12 ReLU layers, weights x 3", "exploding gradients", exploding),
    Run("all weights equal", "identical units", identical),
    Run("SGD, learning rate 1", "step too large", too_large),
    Run("SGD, learning rate 1e-5", "step too small", too_small),
    Run("1/2 (w v - 1)^2 from (.5, -.5)", "saddle point", saddle),
    Run("60 noisy rows, 5,000 parameters", "overfitting", overfitted),
    Run("a linear model on XNOR", "underfitting", underfitted),
    Run("wine as measured", "unscaled columns", unscaled),
    Run("breast cancer, labels shuffled", "labels without signal", shuffled),
    Run("iris, ReLU", "", lambda seed: classify("iris", [4, 32, 3], seed)),
    Run("wine, tanh", "", lambda seed: classify("wine", [13, 32, 3], seed, activation="tanh")),
    Run("breast cancer, ReLU", "", lambda seed: classify("breast_cancer", [30, 32, 2], seed)),
    Run("digits, ReLU, two layers", "", lambda seed: classify("digits", [64, 64, 64, 10], seed)),
    Run("diabetes, ReLU", "", healthy_regression),
    Run("a sine, L-BFGS, three starts", "", healthy_curve),
    Run("moons, 8 ReLU layers", "", healthy_deep),
    Run("XNOR's clouds, SGD with momentum", "", healthy_sgd),
    Run("a noisy plane, one layer", "", healthy_linear),
    Run("moons, one logit, GELU, dropout", "", healthy_binary),
    Run("wine as measured, batch norm first", "", healthy_norm),
    Run("moons, one row in ten of class 1", "", healthy_imbalance),
)


def told_apart(run: Run, diagnosis: cr.Diagnosis) -> bool:
    """Whether the planted illness is the first finding, or a healthy run has none."""
    return diagnosis.kinds[:1] == ([run.planted] if run.planted else [])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="how many times each run is repeated")
    parser.add_argument("--first", type=int, default=0, help="the first of these seeds")
    parser.add_argument("--verbose", action="store_true", help="print the findings in full")
    options = parser.parse_args()
    right = 0
    print(f"{'run':<36}{'planted':<24}{'told apart':<12}found")
    for run in RUNS:
        for seed in range(options.first, options.first + options.seeds):
            diagnosis = run.diagnose(seed)
            good = told_apart(run, diagnosis)
            right += good
            found = ", ".join(diagnosis.kinds) or "nothing"
            print(f"{run.name:<36}{run.planted or 'healthy':<24}{'yes' if good else 'NO':<12}{found}")
            if options.verbose:
                print(diagnosis.details())
    print(f"{right} of {len(RUNS) * options.seeds} told apart")


if __name__ == "__main__":
    main()
