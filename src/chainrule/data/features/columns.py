"""What is learned from one column of a table: all that is needed to encode it again."""

from __future__ import annotations

from dataclasses import dataclass

from chainrule.data.features.calendar import HARMONICS, calendar_names
from chainrule.data.features.readings import LARGEST, Reading
from chainrule.foreign_text import short_repr

KINDS = ("numeric", "boolean", "categorical", "words", "time", "ignored")
PLAIN = Reading("number")


@dataclass(frozen=True, repr=False)
class Column:
    """What was learned from one column of the training rows: all that is needed to encode it again.

    ``reading`` says how its cells become values. ``kind``: "numeric" (standardised), "time" (dates as seconds since
    1970-01-01, standardised, and ``parts`` of the calendar), "boolean" (0 or 1), "categorical", "words" or "ignored".

    ``mean`` and ``standard_deviation`` are of the filled training values, in the column's units; ``fill`` stands for a
    missing value (numbers: the median; booleans: the more frequent value). ``low`` and ``high`` are the smallest and
    the largest training value: what lies further outside than they lie apart is clipped.

    Of categories, each of ``categories`` is a feature, and one more is a missing value if training had any. Where
    there are ``others``, too many for a feature each, all that is none of ``categories`` shares one feature, and each
    of ``categories`` and ``others`` has ``effects``: how far the target's mean is from usual there, shrunk towards 0,
    as many numbers as there are ``effect_names``. Of words, ``categories`` are the words and ``weights`` their inverse
    document frequencies.

    >>> import polars as pl
    >>> from chainrule import data
    >>> frame = pl.DataFrame({"size": [1.0, 3.0], "kind": ["a", "b"], "y": [0.5, 2.5]})
    >>> fitted, notices = data.fit_preprocessor(frame, "y")
    >>> fitted.columns[0].mean, fitted.columns[0].standard_deviation
    (2.0, 1.0)
    >>> fitted.columns[1].feature_names
    ('kind=a', 'kind=b')
    """

    name: str
    kind: str
    mean: float = 0.0
    standard_deviation: float = 1.0
    fill: float = 0.0
    categories: tuple[str, ...] = ()
    missing_category: bool = False
    reading: Reading = PLAIN
    low: float = -LARGEST
    high: float = LARGEST
    others: tuple[str, ...] = ()
    effect_names: tuple[str, ...] = ()
    effects: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    parts: tuple[str, ...] = ()

    __repr__ = short_repr

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features that this column becomes, in order."""
        if self.kind == "ignored":
            return ()
        if self.kind == "words":
            return tuple(f"{self.name}: {word}" for word in self.categories)
        if self.kind == "categorical":
            missing = (f"{self.name}=(missing)",) if self.missing_category else ()
            many = (f"{self.name}=(other)", *self.effect_names) if self.has_effects else ()
            return (*(f"{self.name}={category}" for category in self.categories), *missing, *many)
        return (self.name, *calendar_names(self.name, self.parts))

    @property
    def has_effects(self) -> bool:
        """Whether there are more categories than have a feature each."""
        return bool(self.effect_names)

    @property
    def width(self) -> int:
        """The number of its features."""
        if self.kind in {"ignored", "words"}:
            return len(self.categories) if self.kind == "words" else 0
        if self.kind == "categorical":
            many = 1 + len(self.effect_names) if self.has_effects else 0
            return len(self.categories) + self.missing_category + many
        return 1 + 2 * sum(HARMONICS[part] for part in self.parts)

    @property
    def bounds(self) -> tuple[float, float]:
        """What values are clipped to: the training rows' range, and as much again on either side."""
        margin = self.high - self.low
        return max(self.low - margin, -LARGEST), min(self.high + margin, LARGEST)
