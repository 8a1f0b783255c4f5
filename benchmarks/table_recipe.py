"""A recipe for tables in all its ingredients: features, network, course; trained on every fold of a table.

``fit_folds`` gives, of one recipe, the outputs for every training row by the network that did not see it, and the
outputs of all networks for other rows. ``recipes.py`` measures with it what each ingredient is worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from table_contestants import Job

import chainrule as cr
from chainrule import nn, optim

JUDGED = 50  # epochs: how often the validation rows are asked


@dataclass(frozen=True)
class Recipe:
    """The ingredients; each is measured by changing it alone.

    ``numbers`` is how they are scaled: "robust" (median and quartiles, then v / sqrt(1 + (v / 3)^2)), "unclipped"
    (without the latter), "standard" (mean and deviation) or "normal" (normal scores of the ranks). ``embedding`` is
    what stands beside each number: "periodic", "quantile bins" or "target bins" (piecewise-linear codes), "steps"
    (which of the target bins' thresholds it exceeds) or "". ``length`` and ``batch`` multiply the usual number of
    steps and minibatch. With ``nearest`` there is no network: the answer is that of so many nearest training rows.
    """

    numbers: str = "robust"
    gaps: bool = True
    levels: int = 60
    rarest: int = 1
    words: bool = False
    embedding: str = "periodic"
    bins: int = 24
    cosines: int = 16
    spread: float = 0.2
    hidden: tuple[int, ...] = (128, 128)
    activation: str = "relu"
    batch_norm: bool = False
    dropout: float = 0.1
    optimizer: str = "adamw"
    lr: float = 5e-3
    weight_decay: float = 0.05
    cosine: bool = True
    smoothing: float = 0.0
    batch: float = 1.0
    length: float = 1.0
    target: str = "plain"
    keep_best: bool = True
    folds: int = 5
    seed: int = 0
    nearest: int = 0


def usual(rows: int) -> tuple[int, int]:
    """Minibatch and number of steps by the number of rows."""
    batch = 32 if rows < 1000 else 64 if rows < 4000 else 128 if rows < 15_000 else 256
    steps = 2000 if rows < 1000 else 4000 if rows < 5000 else 10_000 if rows < 20_000 else 14_000
    return batch, steps


class Numbers:
    """How numbers become features, learned from the training rows."""

    def __init__(self, frame: pd.DataFrame, names: list[str], recipe: Recipe) -> None:
        self.recipe = recipe
        raw = frame[names].to_numpy(float) if names else np.zeros((len(frame), 0))
        known = [np.isfinite(column).any() and np.nanmin(column) < np.nanmax(column) for column in raw.T]
        self.names = [name for name, keep in zip(names, known, strict=True) if keep]
        raw = frame[self.names].to_numpy(float)
        self.gaps = np.isnan(raw).any(0) if recipe.gaps else np.zeros(raw.shape[1], bool)
        self.median = np.nanmedian(raw, axis=0) if raw.size else np.zeros(0)
        self.sorted = [np.unique(column[np.isfinite(column)]) for column in raw.T]
        low, high = np.nanpercentile(raw, [25, 75], axis=0) if raw.size else (np.zeros(0), np.zeros(0))
        span = np.nanmax(raw, axis=0) - np.nanmin(raw, axis=0) if raw.size else np.zeros(0)
        self.centre, self.scale = self.median, np.where(high > low, high - low, span / 2)
        if recipe.numbers == "standard" and raw.size:
            self.centre, self.scale = np.nanmean(raw, axis=0), np.nanstd(raw, axis=0)

    def filled(self, frame: pd.DataFrame) -> np.ndarray:
        """Without gaps, in the columns' units."""
        raw = frame[self.names].to_numpy(float)
        return np.where(np.isfinite(raw), raw, self.median)

    def scaled(self, frame: pd.DataFrame) -> np.ndarray:
        """Features [rows, columns]."""
        raw = self.filled(frame)
        if self.recipe.numbers == "normal":
            return normal_scores(raw, self.sorted)
        v = (raw - self.centre) / self.scale
        return v / np.sqrt(1 + (v / 3) ** 2) if self.recipe.numbers == "robust" else v

    def missing(self, frame: pd.DataFrame) -> np.ndarray:
        """A feature for each column that had gaps: 1 where there is one."""
        return np.isnan(frame[self.names].to_numpy(float))[:, self.gaps].astype(float)


def normal_scores(raw: np.ndarray, known: list[np.ndarray]) -> np.ndarray:
    """The normal quantile of each value's place among the known ones."""
    from scipy.special import ndtri

    found = np.empty_like(raw)
    for i, values in enumerate(known):
        share = np.interp(raw[:, i], values, (np.arange(len(values)) + 0.5) / len(values))
        found[:, i] = ndtri(share)
    return found


class Categories:
    """One feature for each frequent level, one of -1, 0, 1 where there are two; also words of texts if asked for."""

    def __init__(self, frame: pd.DataFrame, names: list[str], recipe: Recipe) -> None:
        self.levels: dict[str, list[str]] = {}
        self.words: dict[str, list[str]] = {}
        for name in names:
            counts = frame[name].value_counts()
            if len(counts) < 0.9 * len(frame) or len(counts) < 20:
                frequent = list(counts.index[counts >= recipe.rarest][: recipe.levels])
                if len(frequent) > 1:
                    self.levels[name] = frequent
            if recipe.words and len(counts) > recipe.levels:
                words = frame[name].str.lower().str.findall(r"\w+").map(set).explode().value_counts()
                self.words[name] = list(words.index[(words >= 3) & (words < len(frame))][: recipe.levels])

    def __call__(self, frame: pd.DataFrame) -> np.ndarray:
        parts = [np.zeros((len(frame), 0))]
        for name, levels in self.levels.items():
            cells = frame[name].to_numpy()
            ones = np.stack([cells == level for level in levels], 1).astype(float)
            parts.append(ones[:, :1] - ones[:, 1:] if len(levels) == 2 else ones)
        for name, words in self.words.items():
            found = frame[name].str.lower().str.findall(r"\w+").map(set)
            parts.append(
                np.array([[word in cell for word in words] for cell in found], float).reshape(len(frame), -1)
            )
        return np.concatenate(parts, 1)


def edges_of(values: np.ndarray, y: np.ndarray, recipe: Recipe, classes: bool) -> np.ndarray:
    """The edges of a column's bins: quantiles, or the thresholds of a small tree that predicts the target."""
    if recipe.embedding == "quantile bins":
        return np.unique(np.quantile(values, np.linspace(0, 1, recipe.bins + 1)))
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeClassifier if classes else DecisionTreeRegressor
    least = max(4, len(values) // 200)
    tree = (
        kind(max_leaf_nodes=recipe.bins, min_samples_leaf=least, random_state=0).fit(values[:, None], y).tree_
    )
    inner = tree.threshold[tree.feature >= 0]
    return np.unique([values.min(), *inner, values.max()])


def codes(values: np.ndarray, edges: np.ndarray, recipe: Recipe) -> np.ndarray:
    """[rows, bins]: 1 for bins below the value, the share reached of its own bin, 0 above; zeros fill up."""
    found = np.zeros((len(values), recipe.bins))
    if recipe.embedding == "steps":
        found[:, : len(edges) - 1] = values[:, None] > edges[:-1]
    else:
        found[:, : len(edges) - 1] = np.clip((values[:, None] - edges[:-1]) / np.diff(edges), 0, 1)
    return found


class Network(nn.Module):
    """[rows, features] -> [rows, outputs]; the first ``count`` features may have a periodic embedding each."""

    def __init__(self, count: int, width: int, outputs: int, recipe: Recipe, seed: int, out: int = 3) -> None:
        self.count, self.out = count if recipe.embedding == "periodic" else 0, out
        if self.count:
            shape = (count, recipe.cosines)

            def drawn(shape: tuple[int, ...], draw: object, key: int) -> nn.Parameter:
                return nn.Parameter.drawn(shape, draw, (seed, 0, key), penalised=False)

            self.w1 = drawn(shape, lambda r, s: r.normal(0, recipe.spread * np.pi, s), 1)
            self.b1 = drawn(shape, lambda r, s: r.uniform(-np.pi, np.pi, s), 2)
            self.w2 = drawn((*shape, out), lambda r, s: r.uniform(-1, 1, s) / np.sqrt(recipe.cosines), 3)
            self.b2 = drawn((count, 1, out), lambda r, s: np.zeros(s), 4)
        self.mlp = nn.MLP(
            [width + self.count * out, *recipe.hidden, outputs],
            activation=recipe.activation,
            dropout=recipe.dropout,
            batch_norm=recipe.batch_norm,
            seed=seed,
        )

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        if self.count:
            cosines = cr.cos(x[:, : self.count][:, :, None] * self.w1 + self.b1)
            embedded = cr.matmul(cr.transpose(cosines, (1, 0, 2)), self.w2) + self.b2
            flat = cr.reshape(cr.transpose(embedded, (1, 0, 2)), (x.shape[0], self.count * self.out))
            x = cr.concat([x, flat], axis=1)
        return self.mlp(x)


@dataclass(frozen=True)
class Folded:
    """Outputs [rows, outputs] for each training row, by the network that did not see it, and by each network for
    other rows [folds, rows, outputs]: logits, or the target's standardised numbers."""

    out_of_fold: np.ndarray
    others: np.ndarray


def folds_of(y: np.ndarray, classes: bool, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows that train and that judge, of each fold."""
    from sklearn.model_selection import KFold, StratifiedKFold

    cut = (StratifiedKFold if classes else KFold)(count, shuffle=True, random_state=seed)
    return list(cut.split(np.zeros(len(y)), y))


def fit_folds(job: Job, recipe: Recipe) -> Folded:
    """Train the recipe on every fold of the training rows."""
    train, test = job.frames()
    numbers, categories = Numbers(train, job.numbers, recipe), Categories(train, job.categories, recipe)
    plain = [np.concatenate([numbers.scaled(f), numbers.missing(f), categories(f)], 1) for f in (train, test)]
    raw = [numbers.filled(train), numbers.filled(test)]
    y, back = encoded_target(job, recipe)
    outputs = int(y.max()) + 1 if job.classes else 1
    out_of_fold, others = np.zeros((len(y), outputs)), []
    for fold, (rows, judges) in enumerate(folds_of(y, job.classes, recipe.folds, recipe.seed)):
        x, new = plain
        if recipe.embedding in {"quantile bins", "target bins", "steps"}:
            edges = [edges_of(column[rows], y[rows].ravel(), recipe, job.classes) for column in raw[0].T]
            x, new = (
                np.concatenate([p, *(codes(c, e, recipe) for c, e in zip(r.T, edges, strict=True))], 1)
                for p, r in zip(plain, raw, strict=True)
            )
        x, new = x.astype(np.float32), new.astype(np.float32)
        if recipe.nearest:
            predict = nearest_rows(x[rows], y[rows], recipe.nearest, outputs)
        else:
            seed = recipe.seed * 1000 + fold
            predict = trained(x, y, rows, judges, len(numbers.names), outputs, recipe, seed).predict
        out_of_fold[judges] = back(np.asarray(predict(x[judges]), float))
        others.append(back(np.asarray(predict(new), float)))
    return Folded(out_of_fold, np.stack(others))


def nearest_rows(
    x: np.ndarray, y: np.ndarray, count: int, outputs: int
) -> Callable[[np.ndarray], np.ndarray]:
    """The mean target of the nearest rows, weighted by 1 / distance; of classes, the logarithms of shares.

    A fiftieth of the shares is that of all rows, so that none is zero.
    """
    from sklearn.neighbors import NearestNeighbors

    known = np.eye(outputs)[y] if y.dtype.kind == "i" else y
    index = NearestNeighbors(n_neighbors=min(count, len(x))).fit(x)

    def predict(new: np.ndarray) -> np.ndarray:
        distances, rows = index.kneighbors(new)
        weights = 1 / (distances + 1e-3 * np.median(distances) + 1e-9)
        weights /= weights.sum(1, keepdims=True)
        mean = (weights[:, :, None] * known[rows]).sum(1)
        return np.log(0.98 * mean + 0.02 * known.mean(0)) if y.dtype.kind == "i" else mean

    return predict


def trained(
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    judges: np.ndarray,
    count: int,
    outputs: int,
    recipe: Recipe,
    seed: int,
) -> Network:
    """A network trained on some rows; others choose its best epoch if the recipe says so."""
    batch, steps = usual(len(y))
    batch, steps = max(int(batch * recipe.batch), 8), int(steps * recipe.length)
    whole = len(rows) // batch * batch
    rows = np.random.default_rng(seed).permutation(rows)[: whole if whole > 10 * batch else None]
    # Small tables would have hundreds of epochs of a few steps, each with a pass over the validation rows:
    # rows are repeated so that there are about as many epochs as JUDGED.
    rows = np.tile(rows, max(round(steps * batch / len(rows) / JUDGED), 1))
    per_epoch = -(-len(rows) // batch)
    epochs = max(round(steps / per_epoch), 12)
    network = Network(count, x.shape[1], outputs, recipe, seed)
    rate = optim.CosineDecay(recipe.lr, epochs * per_epoch) if recipe.cosine else recipe.lr
    optimizer = (
        optim.AdamW(rate, weight_decay=recipe.weight_decay)
        if recipe.optimizer == "adamw"
        else optim.Adam(rate)
    )
    classes = y.dtype.kind == "i"
    cr.fit(
        network,
        (x[rows], y[rows]),
        loss=partial(nn.cross_entropy, label_smoothing=recipe.smoothing) if classes else nn.squared_error,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch,
        validation=(x[judges], y[judges]) if recipe.keep_best else None,
        stop=cr.EarlyStopping(max(epochs // 3, 10)) if recipe.keep_best else None,
        progress=False,
        seed=seed,
        threads=1,
    )
    return network


def encoded_target(job: Job, recipe: Recipe) -> tuple[np.ndarray, object]:
    """Class numbers, or standardised numbers [rows, 1]; and what brings outputs back to standardised numbers."""
    if job.classes:
        return np.unique(job.y, return_inverse=True)[1].astype(np.int64), lambda outputs: outputs
    mean, deviation = job.y.mean(), job.y.std()
    y = job.y
    if recipe.target == "log" and y.min() > 0:
        z = np.log(y)
        centre, scale = z.mean(), z.std()
        most = np.log(y.max())
        back = lambda o: (np.exp(np.minimum(o * scale + centre, most)) - mean) / deviation  # noqa: E731
        return ((z - centre) / scale).astype(np.float32)[:, None], back
    return ((y - mean) / deviation).astype(np.float32)[:, None], lambda outputs: outputs
