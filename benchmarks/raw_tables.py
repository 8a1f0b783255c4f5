"""The estimators for raw tables beside scikit-learn's network in a pipeline that prepares the columns.

``python benchmarks/raw_tables.py FOLDER [TABLE ...]``: FOLDER holds TABLE.csv, whose column ``y`` is to be predicted,
and splits.json with the task and the test rows of each split. Prints error (for numbers RMSE over the deviation of the
test rows), log loss and seconds, the mean over the splits.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from chainrule.estimators import TableClassifier, TableRegressor

TABLES = ("titanic", "german", "pima", "glass", "yacht", "mpg", "autos")


def by_hand(network):
    """scikit-learn's network behind medians, standardised numbers and one column for each category."""
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include=["number"])),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude=["number"])),
    )
    return make_pipeline(columns, network)


def contestants(task):
    if task == "classification":
        network = MLPClassifier(max_iter=500, random_state=0)
        return {"chainrule": TableClassifier(random_state=0), "scikit-learn": by_hand(network)}
    network = TransformedTargetRegressor(
        MLPRegressor(max_iter=500, random_state=0), transformer=StandardScaler()
    )
    return {"chainrule": TableRegressor(random_state=0), "scikit-learn": by_hand(network)}


def measured(model, task, train, test):
    """Error, log loss (NaN for numbers), and the seconds of the fit."""
    (X, y), (unseen, truth) = ((frame.drop(columns="y"), frame["y"]) for frame in (train, test))
    began = time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - began
    if task == "classification":
        loss = log_loss(truth, model.predict_proba(unseen), labels=model.classes_)
        return 1 - model.score(unseen, truth), loss, seconds
    off = np.sqrt(np.mean((model.predict(unseen) - truth) ** 2))
    return off / truth.std(ddof=0), np.nan, seconds


def main(folder, *names):
    splits = json.loads((Path(folder) / "splits.json").read_text())
    for name in names or TABLES:
        frame, task = pd.read_csv(Path(folder) / f"{name}.csv"), splits[name]["task"]
        for who, model in contestants(task).items():
            found = []
            for rows in splits[name]["test"]:
                is_test = np.isin(np.arange(len(frame)), rows)
                found.append(measured(model, task, frame[~is_test], frame[is_test]))
            error, loss, seconds = np.mean(found, 0)
            print(f"{name:12} {who:12} error {error:.3f}  log loss {loss:.3f}  {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of epochs that were too few for scikit-learn
    main(*sys.argv[1:])
