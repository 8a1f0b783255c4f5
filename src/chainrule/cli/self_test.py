"""A network trained for a moment by compiled steps and by the interpreter: their losses must agree.

``chainrule doctor`` runs it in a process of its own, so that code which this processor cannot run ends only that one.
"""

from __future__ import annotations

import json
import time

TOLERANCE = 1e-4
"""Relative difference of the losses; sums in another order differ by some 1e-6."""


def largest_difference(epochs: int = 5) -> float:
    """Train the same network both ways; the largest difference of their losses, relative to the loss."""
    import numpy as np

    from chainrule import fit, nn, optim

    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 8)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)

    def losses(executor: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        network = nn.MLP([8, 16, 2], "tanh", seed=0)
        history = fit(
            network,
            (x, y),
            loss=nn.cross_entropy,
            optimizer=optim.Adam(1e-2),
            epochs=epochs,
            batch_size=32,
            progress=False,
            executor=executor,  # type: ignore[arg-type]
        )
        return np.asarray(history.loss, np.float64)

    compiled, interpreted = losses("compiled"), losses("interpreted")
    return float(np.max(np.abs(compiled - interpreted) / interpreted))


def main() -> None:
    """Print the difference and the seconds as JSON."""
    started = time.perf_counter()
    difference = largest_difference()
    print(json.dumps({"difference": difference, "seconds": round(time.perf_counter() - started, 3)}))
