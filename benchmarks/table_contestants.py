"""The contestants of ``tables.py``: each fits a table by its library's defaults and predicts other rows.

A contestant is a function of the training rows' features (a pandas frame as the file has it: text, missing cells,
numbers of any scale), their target, the features of the rows to predict, the task, and the number of threads. It
returns the numbers predicted, [rows], or the probabilities, [rows, classes] in the order of ``np.unique(y)``.

Each works in a process of its own, which ``serve`` runs. Libraries are imported where they are used: thread settings
come first. The target of a regression is standardised for scikit-learn's network, which does not do so itself.
"""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TARGET = "y"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """What a contestant is given; the target of the rows to predict is not among it."""

    train: pd.DataFrame
    y: np.ndarray
    test: pd.DataFrame
    task: str
    threads: int

    @property
    def classes(self) -> bool:
        """Whether classes are to be predicted."""
        return self.task == "classification"

    @property
    def numbers(self) -> list[str]:
        """The columns of numbers; truth values are numbers."""
        return [name for name in self.train.columns if pd.api.types.is_numeric_dtype(self.train[name])]

    @property
    def categories(self) -> list[str]:
        """All other columns."""
        return [name for name in self.train.columns if name not in self.numbers]

    def frames(self, fill: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Numbers as float64, a missing category as one of its own; ``fill``: missing numbers are the median."""
        return self._plain(self.train, fill), self._plain(self.test, fill)

    def _plain(self, frame: pd.DataFrame, fill: bool) -> pd.DataFrame:
        columns: dict[str, Any] = {}
        for name in frame.columns:
            if name in self.numbers:
                column = frame[name].astype(float)
                columns[name] = column.fillna(self.train[name].median()) if fill else column
            else:
                columns[name] = frame[name].astype(object).where(frame[name].notna(), "missing").map(str)
        return pd.DataFrame(columns, index=frame.index)


def answer(model: Any, test: Any, job: Job) -> np.ndarray:
    """What a fitted model of scikit-learn's kind says of the rows."""
    return np.asarray(model.predict_proba(test) if job.classes else model.predict(test), float)


def with_categories(job: Job) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Frames whose categories have pandas' type; one that training did not show is missing."""
    train, test = job.frames()
    for name in job.categories:
        kind = pd.CategoricalDtype(sorted(train[name].unique()))
        train[name], test[name] = train[name].astype(kind), test[name].astype(kind)
    return train, test


def fit_chainrule(job: Job) -> np.ndarray:
    from chainrule.tables import Recipe, train_table

    table = job.train.assign(**{TARGET: job.y})
    model = train_table(table, TARGET, Recipe({"task": job.task} if job.task else {})).model
    found = model.predict(job.test)
    if found.probabilities is None:
        return np.asarray(found.values.to_numpy(), float)
    return found.probabilities[:, [found.classes.index(name) for name in np.unique(job.y)]]


def fit_lightgbm(job: Job) -> np.ndarray:
    from lightgbm import LGBMClassifier, LGBMRegressor

    train, test = with_categories(job)
    kind = LGBMClassifier if job.classes else LGBMRegressor
    return answer(kind(n_jobs=job.threads, random_state=0, verbose=-1).fit(train, job.y), test, job)


def fit_xgboost(job: Job) -> np.ndarray:
    from xgboost import XGBClassifier, XGBRegressor

    train, test = with_categories(job)
    kind = XGBClassifier if job.classes else XGBRegressor
    y = np.unique(job.y, return_inverse=True)[1] if job.classes else job.y
    model = kind(n_jobs=job.threads, random_state=0, enable_categorical=True)
    return answer(model.fit(train, y), test, job)


def fit_catboost(job: Job) -> np.ndarray:
    from catboost import CatBoostClassifier, CatBoostRegressor

    train, test = job.frames()
    model = (CatBoostClassifier if job.classes else CatBoostRegressor)(
        cat_features=job.categories,
        thread_count=job.threads,
        random_seed=0,
        verbose=0,
        allow_writing_files=False,
    )
    return answer(model.fit(train, job.y), test, job)


def fit_sklearn(job: Job) -> np.ndarray:
    from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    train, test = job.frames()
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), job.numbers),
            ("categories", OneHotEncoder(handle_unknown="ignore"), job.categories),
        ]
    )
    network = (MLPClassifier if job.classes else MLPRegressor)(random_state=0)
    model = make_pipeline(columns, network)
    if not job.classes:
        model = TransformedTargetRegressor(model, transformer=StandardScaler())
    return answer(model.fit(train, job.y), test, job)


def fit_pytabkit(name: str) -> Callable[[Job], np.ndarray]:
    """RealMLP-TD or TabM-D; they refuse missing numbers, which are the column's median here."""

    def fit(job: Job) -> np.ndarray:
        import pytabkit

        train, test = job.frames(fill=True)
        kind = getattr(pytabkit, f"{name}_{'Classifier' if job.classes else 'Regressor'}")
        model = kind(device="cpu", n_threads=job.threads, random_state=0)
        return answer(model.fit(train, job.y, cat_col_names=job.categories), test, job)

    return fit


@dataclass(frozen=True)
class Contestant:
    """How it is called in tables, the package that it needs, and what it does."""

    title: str
    package: str
    fit: Callable[[Job], np.ndarray]


CONTESTANTS = {
    "chainrule": Contestant("chainrule", "chainrule", fit_chainrule),
    "lightgbm": Contestant("LightGBM", "lightgbm", fit_lightgbm),
    "xgboost": Contestant("XGBoost", "xgboost", fit_xgboost),
    "catboost": Contestant("CatBoost", "catboost", fit_catboost),
    "sklearn": Contestant("sklearn MLP", "scikit-learn", fit_sklearn),
    "realmlp": Contestant("RealMLP-TD", "pytabkit", fit_pytabkit("RealMLP_TD")),
    "tabm": Contestant("TabM-D", "pytabkit", fit_pytabkit("TabM_D")),
}


def tiny(task: str, threads: int) -> Job:
    """A job that brings in what a library loads at its first use, so that no table pays for it."""
    rows = np.arange(60)
    frame = pd.DataFrame({"a": rows * 0.1, "b": np.where(rows % 3, "u", "v")})
    y = np.where(rows % 2, "no", "yes") if task == "classification" else np.sin(rows)
    return Job(frame, y, frame, task, threads)


def processor_seconds() -> float:
    """Of this process, all its threads, and the processes that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def serve(pipe: Connection, name: str, threads: int) -> None:
    """Answer jobs until None comes: predictions and seconds (processors, wall), or the text of an error.

    Machine code that chainrule compiles is kept in a folder of this process's own, so that compiling it counts.
    """
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["CHAINRULE_CACHE"] = str(Path(folder, "cache"))
        warm: set[str] = set()
        while (job := pipe.recv()) is not None:
            if job.task not in warm:
                attempt(name, tiny(job.task, threads))
                warm.add(job.task)
            pipe.send(attempt(name, job))


def attempt(name: str, job: Job) -> tuple[np.ndarray, float, float] | str:
    """Fit and predict, timed."""
    used, began = processor_seconds(), time.perf_counter()
    try:
        with warnings.catch_warnings(), Path(os.devnull).open("w") as nowhere:
            warnings.simplefilter("ignore")  # such as that scikit-learn's last epoch was reached
            with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                predicted = CONTESTANTS[name].fit(job)
    except Exception:
        return traceback.format_exc()
    return predicted, processor_seconds() - used, time.perf_counter() - began
