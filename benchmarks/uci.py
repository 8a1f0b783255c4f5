"""Four UCI tables with their published splits: test RMSE and time, chainrule beside JAX and scikit-learn.

    python benchmarks/uci.py FOLDER [--tables energy,...] [--splits 20] [--only chainrule,jax,sklearn]

FOLDER holds NAME.csv (features, then y) and NAME.splits.json (20 lists of row numbers of test rows). One hidden
layer of 50 units, features and target standardised by the training rows, RMSE in the target's units.

- chainrule: ``MLPRegressor`` with the settings below, the same for all tables but the number of epochs: 16
  networks, averaged, trained on all training rows.
- jax: a plain script: ``vmap`` over 16 networks, ``scan`` over minibatches and epochs, Adam with cosine decay from
  0.01; every network keeps its best epoch by 10% of the training rows. Averaged.
- sklearn: ``sklearn.neural_network.MLPRegressor``, one network, as it stands but for the width, the minibatch, the
  learning rate and the epochs. (Sixteen would take sixteen times as long.)

Times are of all splits, compilation included, the reading of the table not.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

EPOCHS = {"energy": 400, "concrete": 400, "power-plant": 100, "wine-quality-red": 60}
PUBLISHED = {"energy": 0.54, "concrete": 4.82, "power-plant": 4.01, "wine-quality-red": 0.62}
HIDDEN, BATCH, STEP, RESTARTS = 50, 32, 0.01, 16
SETTINGS: dict[str, Any] = {
    "hidden_layer_sizes": HIDDEN,
    "batch_size": BATCH,
    "learning_rate_init": STEP,
    "learning_rate": "cosine",
    "restarts": RESTARTS,
    "ensemble": True,
}


@dataclass(frozen=True)
class Split:
    """Standardised training rows, test rows standardised alike, and what turns predictions back."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    mean: float
    scale: float

    def rmse(self, predicted: np.ndarray) -> float:
        """Of standardised predictions, in the target's units."""
        return float(np.sqrt(np.mean((predicted * self.scale + self.mean - self.y_test) ** 2)))


def read_splits(folder: Path, name: str, count: int) -> list[Split]:
    """The first ``count`` of the published splits."""
    table = np.genfromtxt(folder / f"{name}.csv", delimiter=",", skip_header=1)
    found = []
    for test in json.loads((folder / f"{name}.splits.json").read_text())[:count]:
        training = np.delete(table, test, axis=0)
        mean, scale = training.mean(0), training.std(0)
        scale[scale == 0] = 1.0
        rows, held_out = ((part - mean) / scale for part in (training, table[test]))
        found.append(
            Split(rows[:, :-1], rows[:, -1], held_out[:, :-1], table[test][:, -1], mean[-1], scale[-1])
        )
    return found


def chainrule_predict(split: Split, epochs: int, seed: int) -> np.ndarray:
    from chainrule.estimators import MLPRegressor

    model = MLPRegressor(**SETTINGS, max_iter=epochs, random_state=seed)
    return model.fit(split.x, split.y).predict(split.x_test)


def sklearn_predict(split: Split, epochs: int, seed: int) -> np.ndarray:
    from sklearn.neural_network import MLPRegressor

    shared = {name: SETTINGS[name] for name in ("hidden_layer_sizes", "batch_size", "learning_rate_init")}
    model = MLPRegressor(**shared, max_iter=epochs, random_state=seed)
    return model.fit(split.x, split.y).predict(split.x_test)


def jax_predict(split: Split, epochs: int, seed: int) -> np.ndarray:
    import jax
    import jax.numpy as jnp

    order = np.random.default_rng(seed).permutation(len(split.x))
    held_out = len(order) // 10
    parts = [
        jnp.asarray(a[i], jnp.float32)
        for i in (order[held_out:], order[:held_out])
        for a in (split.x, split.y)
    ]
    # one order for all networks, drawn by NumPy: both are faster than what vmap makes of jax.random.permutation
    rows, rng = len(parts[0]), np.random.default_rng(seed)
    orders = np.stack(
        [rng.permutation(rows)[: rows // BATCH * BATCH].reshape(-1, BATCH) for _ in range(epochs)]
    )
    keys = jax.random.split(jax.random.key(seed), RESTARTS)
    return np.asarray(_jax_run(epochs)(keys, orders, *parts, jnp.asarray(split.x_test, jnp.float32)))


@cache
def _jax_run(epochs: int) -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    def forward(p, x):
        return (jax.nn.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"])[:, 0]

    def loss(p, x, y):
        return jnp.mean((forward(p, x) - y) ** 2)

    def train_one(key, orders, x, y, x_val, y_val):
        k1, k2 = jax.random.split(key)
        fan_in, steps = x.shape[1], len(x) // BATCH
        p = {
            "w1": jax.random.normal(k1, (fan_in, HIDDEN)) * (2 / fan_in) ** 0.5,
            "b1": jnp.zeros(HIDDEN),
            "w2": jax.random.normal(k2, (HIDDEN, 1)) * (1 / HIDDEN) ** 0.5,
            "b2": jnp.zeros(1),
        }
        zeros = jax.tree.map(jnp.zeros_like, p)

        def step(state, batch):
            p, m, v, t = state
            g = jax.grad(loss)(p, *batch)
            rate = 0.5 * STEP * (1 + jnp.cos(jnp.pi * t / (epochs * steps)))
            t = t + 1
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
            size = rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            p = jax.tree.map(lambda p, m, v: p - size * m / (jnp.sqrt(v) + 1e-8), p, m, v)
            return (p, m, v, t), None

        def epoch(carry, rows):
            state, best, best_loss = carry
            state, _ = jax.lax.scan(step, state, (x[rows], y[rows]))
            now = loss(state[0], x_val, y_val)
            best = jax.tree.map(lambda new, old: jnp.where(now < best_loss, new, old), state[0], best)
            return (state, best, jnp.minimum(now, best_loss)), None

        first = ((p, zeros, zeros, jnp.zeros(())), p, jnp.inf)
        (_, best, _), _ = jax.lax.scan(epoch, first, orders)
        return best

    @jax.jit
    def run(keys, orders, x, y, x_val, y_val, x_test):
        best = jax.vmap(train_one, in_axes=(0, *[None] * 5))(keys, orders, x, y, x_val, y_val)
        return jax.vmap(forward, in_axes=(0, None))(best, x_test).mean(0)

    return run


CONTESTANTS = {"chainrule": chainrule_predict, "jax": jax_predict, "sklearn": sklearn_predict}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--tables", default=",".join(EPOCHS))
    arguments.add_argument("--splits", type=int, default=20)
    arguments.add_argument("--only", default=",".join(CONTESTANTS))
    given = arguments.parse_args()
    totals = dict.fromkeys(given.only.split(","), 0.0)
    print(f"{'table':18}{'contestant':12}{'test RMSE':>20}{'seconds':>10}{'published':>11}")
    for name in given.tables.split(","):
        splits = read_splits(given.folder, name, given.splits)
        for contestant in totals:
            began = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that the last epoch was reached
                predict = CONTESTANTS[contestant]
                errors = [s.rmse(predict(s, EPOCHS[name], seed)) for seed, s in enumerate(splits)]
            seconds = time.perf_counter() - began
            totals[contestant] += seconds
            spread = np.std(errors, ddof=1) / np.sqrt(len(errors)) if len(errors) > 1 else np.nan
            figure = f"{np.mean(errors):.3f} +- {spread:.3f}"
            print(f"{name:18}{contestant:12}{figure:>20}{seconds:>10.1f}{PUBLISHED[name]:>11}", flush=True)
    for contestant, seconds in totals.items():
        print(f"{'all':18}{contestant:12}{'':20}{seconds:>10.1f}")


if __name__ == "__main__":
    main()
