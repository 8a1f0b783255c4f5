"""What is made of the outputs that ``recipes.py`` keeps: losses, effects, temperatures, averages, mixtures.

A loss is the log loss, or the root mean square error of standardised numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp
from table_recipe import Folded

LEAST = 1e-7
ROUNDS = 20  # of a greedy mixture
START = 4  # times each network is in it at first
TEMPERATURES = (-1.5, 1.5)  # least and greatest logarithm


@dataclass(frozen=True)
class Task:
    """The training rows' target and the held-out rows': class numbers, or numbers standardised by the training rows."""

    y: np.ndarray
    held_out: np.ndarray
    classes: bool

    @classmethod
    def of(cls, y: np.ndarray, held_out: np.ndarray, classes: bool) -> Task:
        """From a target as the table has it."""
        if not classes:
            return cls((y - y.mean()) / y.std(), (held_out - y.mean()) / y.std(), classes)
        names = np.unique(y)
        return cls(np.searchsorted(names, y), np.searchsorted(names, held_out), classes)

    def of_rows(self, outputs: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Each row's log loss, or squared error."""
        if not self.classes:
            return (outputs[:, 0] - y) ** 2
        own = log_softmax(outputs, -1)[np.arange(len(y)), y]
        return -np.maximum(own, np.log(LEAST))

    def loss(self, outputs: np.ndarray, y: np.ndarray) -> float:
        """Log loss, or root mean square error."""
        mean = float(self.of_rows(outputs, y).mean())
        return mean if self.classes else mean**0.5

    def error(self, outputs: np.ndarray, y: np.ndarray) -> float:
        """Share of wrong classes, or root mean square error over the deviation of y."""
        if self.classes:
            return float((outputs.argmax(1) != y).mean())
        return self.loss(outputs, y) / float(y.std(ddof=1))


@dataclass(frozen=True)
class Answer:
    """Outputs for the training rows, each by networks that did not see it, and for the held-out rows.

    Of classes they are logarithms of probabilities, [rows, classes], up to a constant in each row; else numbers,
    [rows, 1].
    """

    out_of_fold: np.ndarray
    held_out: np.ndarray


def averaged(task: Task, folded: Folded, probabilities: bool = False) -> Answer:
    """The mean over the folds: of the logarithms of probabilities, or if asked for of the probabilities; of numbers."""
    if not task.classes:
        return Answer(folded.out_of_fold, folded.others.mean(0))
    logs = log_softmax(folded.others, -1)
    mean = logsumexp(logs, 0) - np.log(len(logs)) if probabilities else logs.mean(0)
    return Answer(log_softmax(folded.out_of_fold, -1), mean)


def weighted(members: Mapping[str, Answer], weights: Mapping[str, float]) -> Answer:
    """The weighted mean of members."""
    return Answer(
        sum(w * members[name].out_of_fold for name, w in weights.items()),
        sum(w * members[name].held_out for name, w in weights.items()),
    )


def mean_of(members: Mapping[str, Answer]) -> Answer:
    """All with the same weight."""
    return weighted(members, dict.fromkeys(members, 1 / len(members)))


def mixture(
    task: Task, members: Mapping[str, Answer], start: Mapping[str, int] | None = None
) -> dict[str, float]:
    """Weights: members are added one by one, with repetition, to those of ``start``, as the out-of-fold loss falls.

    Source: Caruana and others, Ensemble selection from libraries of models, 2004.
    """
    counts = {name: (start or {}).get(name, 0) for name in members}
    sums = sum(count * members[name].out_of_fold for name, count in counts.items())
    found = []
    for total in range(sum(counts.values()), sum(counts.values()) + ROUNDS):
        if total:
            found.append((task.loss(sums / total, task.y), dict(counts)))
        losses = {n: task.loss((sums + m.out_of_fold) / (total + 1), task.y) for n, m in members.items()}
        best = min(losses, key=losses.__getitem__)
        counts[best] += 1
        sums = sums + members[best].out_of_fold
    chosen = min(found, key=lambda pair: pair[0])[1]
    return {name: count / sum(chosen.values()) for name, count in chosen.items() if count}


def tempered(task: Task, answer: Answer) -> tuple[Answer, float]:
    """The answer divided by the temperature that is best out of fold; and it."""

    def loss(log_temperature: float) -> float:
        return task.loss(answer.out_of_fold / np.exp(log_temperature), task.y)

    temperature = float(np.exp(minimize_scalar(loss, bounds=TEMPERATURES, method="bounded").x))
    return Answer(answer.out_of_fold / temperature, answer.held_out / temperature), temperature


def better(task: Task, new: Answer, old: Answer) -> bool:
    """Whether the out-of-fold loss of the rows falls by more than one standard error, row by row."""
    fall = task.of_rows(old.out_of_fold, task.y) - task.of_rows(new.out_of_fold, task.y)
    return bool(fall.mean() > fall.std(ddof=1) / np.sqrt(len(fall)))


def by_the_rule(task: Task, networks: Mapping[str, Answer], nearest: Answer | None = None) -> Answer:
    """Equal weights; then greedy ones, nearest rows beside the networks, a temperature, each only if it is better."""
    answer, start = mean_of(networks), dict.fromkeys(networks, START)
    greedy = weighted(networks, mixture(task, networks, start))
    answer = greedy if better(task, greedy, answer) else answer
    if nearest is not None:
        every = {**networks, "nearest rows": nearest}
        more = weighted(every, mixture(task, every, start))
        answer = more if better(task, more, answer) else answer
    if task.classes:
        other = tempered(task, answer)[0]
        answer = other if better(task, other, answer) else answer
    return answer


def geometric_mean(ratios: Sequence[float]) -> float:
    """Of ratios; NaN of none."""
    return float(np.exp(np.mean(np.log(ratios)))) if len(ratios) else float("nan")
