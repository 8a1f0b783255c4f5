"""How a model came about, as plain values that its file keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from chainrule.foreign_text import short_repr

Setting = str | int | float | bool | None


@dataclass(frozen=True, repr=False)
class Facts:
    """How a model came about: the same training gives the same facts.

    ``version`` is chainrule's, ``data`` the name of the file or bundled problem. ``scored_on`` says which
    rows the score is of, "held-out", "out-of-fold" or "training". ``most_frequent`` is the label of the training rows'
    most frequent class, 0 for a regression. ``best_epoch`` is the one that is kept; where networks of several kinds
    train side by side, each keeps its own, and this is the latest. ``stopped`` says why training ended. ``errors`` are
    sizes of errors on rows that did not train, in ascending order: of numbers in the target's units and, if there is an
    ``error_scale`` (see ``error_scale.py``), divided by the row's scale; of classes 1 - the probability that the right
    class was given. ``decision`` holds a weight for each class, which its probability is multiplied by before the
    largest is predicted; none where the likeliest class is. ``score_low`` and ``score_high`` are the ends of the
    score's 95% interval, as in ``Score``.

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> model = tables.train_table(wine.frame, wine.target, tables.TrainingSettings(epochs=10)).model
    >>> model.facts.scored_on, model.facts.training_rows, model.facts.epochs
    ('held-out', 121, 10)
    """

    version: str
    data: str
    metric: str
    score: float
    baseline: float
    scored_on: str
    training_rows: int
    validation_rows: int
    held_out_rows: int
    epochs: int
    best_epoch: int
    stopped: str
    most_frequent: int
    settings: dict[str, Setting] = field(default_factory=dict)
    errors: tuple[float, ...] = ()
    error_scale: tuple[float, ...] = ()
    decision: tuple[float, ...] = ()
    score_low: float | None = None
    score_high: float | None = None

    __repr__ = short_repr
