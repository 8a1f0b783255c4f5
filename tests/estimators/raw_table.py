"""A small raw table with everything in it, for the tests of the estimators that take it."""

import numpy as np
import pandas as pd

ROWS = 120
SMALL = {"hidden": 8, "epochs": 8, "folds": 2, "embedding": "none", "random_state": 0}


def made(rows, seed=0):
    """A frame with numbers, text, truth values, dates and gaps, and what depends on it."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "num": rng.normal(size=rows),
            "int": rng.integers(0, 50, rows),
            "town": rng.choice(["Oslo", "Rome", "Bern"], rows),
            "flag": rng.random(rows) > 0.5,
            "when": pd.Timestamp(2020, 1, 1) + pd.to_timedelta(rng.integers(0, 900 * 86400, rows), unit="s"),
        }
    )
    X.loc[::7, "num"], X.loc[::11, "town"] = np.nan, None
    y = X["num"].fillna(0) + 1.5 * (X["town"] == "Rome") - (X["town"] == "Oslo") + 0.5 * X["flag"]
    return X, y.to_numpy()


X, NUMBERS = made(ROWS)
PLACES = np.digitize(NUMBERS, [-0.5, 0.8])
TWO = PLACES > 0
