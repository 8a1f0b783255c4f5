"""Rows that stand on both sides of the split: a score on them says how well the network remembers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.inspect.diagnosis.neighbours import nearest_rows
from chainrule.number_text import readable
from chainrule.tables.finding import Draft, Remedy, Severity
from chainrule.tables.metrics import measure
from chainrule.tables.signal import Losses

if TYPE_CHECKING:
    from chainrule.tables.trained import Trained

Flags = NDArray[np.bool_]
SHARE, FEWEST = 0.01, 5  # of the scored rows, below which copies change no score
ALL = 0.9  # from which on hardly a row is left to judge by
HARM = 0.02, 0.2  # of a constant's loss, by which rows without copies are worse: for a warning, for worse
AGREE = 0.98  # of the copies have the same target: rows that are merely alike differ more often
NEAR = 0.01  # of the usual distance between rows
SAMPLE, AMONG = 500, 20_000  # scored rows, and training rows near which they may lie
ENOUGH_COLUMNS = 4  # with fewer, rows are near one another by chance
SAME_NUMBER = 0.05  # of the target's deviation


@dataclass(frozen=True, eq=False)
class Copies:
    """Which of some scored rows have a copy among the rows that train, and how often its target is the same."""

    rows: NDArray[np.int64]
    is_copy: Flags
    agreement: float
    how: str

    @property
    def share(self) -> float:
        """The share of the rows that have a copy."""
        return float(self.is_copy.mean()) if len(self.rows) else 0.0

    @property
    def matters(self) -> bool:
        """Whether there are so many that are no coincidence."""
        return self.share >= SHARE and self.is_copy.sum() >= FEWEST and self.agreement >= AGREE


def find_copies(trained: Trained, losses: Losses) -> Iterator[Draft]:
    """Scored rows whose cells, or nearly the same ones, stand in a training row with the same target."""
    if trained.prepared.split.scored_on == "training":
        return
    for found in (exact_copies(trained), near_copies(trained)):
        if found.matters:
            yield _draft(trained, found, losses)
            return


def exact_copies(trained: Trained) -> Copies:
    """Scored rows with the very cells of a training row, the target apart."""
    import polars as pl

    prepared, split = trained.prepared, trained.prepared.split
    used = [column.name for column in trained.model.preprocessor.used]
    target = prepared.frame[trained.model.preprocessor.target.name]
    hashes = prepared.frame[used].hash_rows()
    cells = hashes.to_numpy()
    trains, judged = trained.apart
    training, scored = split.training[trains], split.scored[judged]
    alike = _counts(cells[training], cells[scored])
    is_copy, agreement = alike > 0, 0.0
    if is_copy.any():
        with_target = pl.DataFrame([hashes.alias("cells"), target.alias("target")]).hash_rows().to_numpy()
        same = _counts(with_target[training], with_target[scored[is_copy]])
        agreement = float(np.mean(same / alike[is_copy]))
    return Copies(judged, is_copy, agreement, "the same cells as")


def _counts(among: NDArray[np.uint64], of: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How often each of some numbers occurs among others."""
    ordered = np.sort(among)
    different, place = np.unique(of, return_inverse=True)  # in order, they are looked up much faster
    first = np.searchsorted(ordered, different, side="left")
    counts = np.zeros(len(different), np.int64)
    there = first < len(ordered)
    there[there] = ordered[first[there]] == different[there]
    counts[there] = np.searchsorted(ordered, different[there], side="right") - first[there]
    return counts[place]


def near_copies(trained: Trained) -> Copies:
    """Of some scored rows, those far nearer to a training row than rows usually are to each other."""
    (x, y), (scored, truth) = trained.prepared.training, trained.prepared.scored
    rng = np.random.default_rng(0)
    trains, judged = trained.apart
    rows = np.sort(judged[rng.permutation(len(judged))[:SAMPLE]])
    among = np.sort(trains[rng.permutation(len(trains))[:AMONG]])
    how = "nearly the same cells as"
    if len(trained.model.preprocessor.used) < ENOUGH_COLUMNS or len(among) < 2:
        return Copies(rows, np.zeros(len(rows), np.bool_), 0.0, how)
    distance, place = nearest_rows(x[among], scored[rows])
    other = x[among[rng.integers(0, len(among), len(rows))]]
    usual = float(np.median(np.linalg.norm(scored[rows] - other, axis=1)))
    is_copy = distance < NEAR * usual
    difference = np.abs(y[among[place]].reshape(len(rows)) - truth[rows].reshape(len(rows)))
    same = difference <= (0 if trained.model.task == "classification" else SAME_NUMBER)
    return Copies(rows, is_copy, float(same[is_copy].mean()) if is_copy.any() else 0.0, how)


def _severity(found: Copies, losses: Losses) -> Severity:
    """By how much worse the other rows are predicted."""
    others = losses.network[found.rows[~found.is_copy]]
    if found.share >= ALL:
        return "severe"
    harm = float(others.mean() - losses.network[found.rows].mean()) / float(losses.constant.mean())
    return "note" if harm < HARM[0] else "warning" if harm < HARM[1] else "severe"


def _draft(trained: Trained, found: Copies, losses: Losses) -> Draft:
    copies, rows = int(found.is_copy.sum()), len(found.rows)
    return Draft(
        "copies across the split",
        _severity(found, losses),
        f"Rows of the table repeat: {copies} of {rows} rows that the score is of have {found.how} a row that "
        "trained the network, which may simply remember them.",
        f"{found.agreement:.0%} of them have the target of their copy; {_score_of_the_others(trained, found)}",
        Remedy(
            "one row of each group of copies in the file, and train again",
            "table.unique() where rows are equal, or one row of each group, and train again",
        ),
        ("The score is meant for rows that the network has never seen.",),
    )


def _score_of_the_others(trained: Trained, found: Copies) -> str:
    others, scored = found.rows[~found.is_copy], trained.scored
    if len(others) < 2:
        return "no rows without a copy are left to judge by"
    name, value = next(
        iter(
            measure(
                trained.model.preprocessor.target,
                scored.predicted[others],
                scored.actual[others],
                said=None if scored.said is None else scored.said[others],
            ).items()
        )
    )
    apart, whole = "not defined" if value is None else readable(value), readable(trained.score.value)
    return f"{name} {apart} on the {readable(len(others))} rows without a copy, {whole} on all"
