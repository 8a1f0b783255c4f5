"""The settings of an ensemble where nothing is said: they follow from the number of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

from chainrule.errors import SettingError
from chainrule.foreign_text import nearest, quoted
from chainrule.tables.settings import TrainingSettings


class Size(NamedTuple):
    """What follows from the number of rows of a table: what holds ``below`` so many.

    Small tables need a strong weight decay; it would not let networks follow the structure of large ones.
    """

    below: int
    batch_size: int
    steps: int
    hidden: tuple[int, ...]
    weight_decay: float


SIZES = (
    Size(1_000, 32, 1_000, (64, 64), 0.3),
    Size(2_000, 64, 2_500, (64, 64), 0.1),
    Size(20_000, 128, 4_000, (128, 128), 0.1),
    Size(200_000, 256, 4_000, (128, 128), 0.1),
    Size(2**63, 1_024, 6_000, (128, 128), 0.1),
)
EPOCHS = 3, 300  # at least and at most
EPOCHS_OF_WIDE = 30  # at most, of tables with more features than rows: a network then fits its rows in few
FOLDS = 8
LATER = 0.2  # share of the rows that judge where there is a time, or where one network imitates the ensemble
LEARNING_RATE = 5e-3


def usual_rate(settings: TrainingSettings) -> float:
    """The learning rate where none is said: of an ensemble, or of a single network.

    >>> usual_rate(TrainingSettings()), usual_rate(TrainingSettings(ensemble=True))
    (0.01, 0.005)
    """
    return LEARNING_RATE if settings.ensemble else TrainingSettings().lr


def setting_names() -> list[str]:
    """The names of all settings but the one that an ensemble is wanted."""
    return sorted({one.name for one in fields(TrainingSettings)} - {"ensemble"})


@dataclass(frozen=True)
class Recipe:
    """How to train an ensemble on a table: ``changes`` are settings that are said, all others follow from its rows.

    Every row trains and every row judges: a network is trained for each of eight folds of the rows, on all the others.
    Raises SettingError for settings that there are not, or that are out of range.

    >>> from chainrule import tables
    >>> settings = tables.Recipe({"hidden": (32,)}).settings(rows=800)
    >>> settings.ensemble, settings.hidden, settings.batch_size, settings.epochs
    (True, (32,), 32, 45)
    """

    changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.changes:
            if name not in setting_names():
                near = nearest(str(name), setting_names())
                raise SettingError(f"there is no setting {quoted(name)}", hint=" or ".join(near))
        if self.changes.get("validation"):
            raise SettingError(
                "an ensemble keeps no rows for validation: each network is validated on the fold that it leaves out",
                hint="leave out validation",
            )
        chosen = [name for name in ("epochs", "restarts") if self.changes.get(name) is not None]
        if self.changes.get("budget") is not None and chosen:
            raise SettingError(
                f"a budget chooses {' and '.join(chosen)} itself",
                got="both",
                hint="leave out one of the two",
            )
        TrainingSettings(**self.changes)

    @property
    def task(self) -> str | None:
        """The task, if it is said."""
        return self.changes.get("task")

    @property
    def _holds_out(self) -> bool:
        """Whether rows must be held out, because others cannot judge."""
        return bool(self.changes.get("time_order") or self.changes.get("distil"))

    def settings(self, rows: int) -> TrainingSettings:
        """The settings for a table of so many rows with a target."""
        held_out = self.changes.get("held_out", LATER if self._holds_out else 0.0)
        folds = self.changes.get("folds", FOLDS)
        trained = rows * (1 - held_out) * (1 - 1 / folds)
        size = next(size for size in SIZES if rows < size.below)
        batch_size = self.changes.get("batch_size", size.batch_size)
        least, most = EPOCHS
        epochs = self.changes.get("epochs") or min(
            max(int(size.steps * batch_size / max(trained, 1)), least), most
        )
        chosen: dict[str, Any] = {
            "hidden": size.hidden,
            "dropout": 0.1,
            "epochs": epochs,
            "batch_size": batch_size,
            "lr": LEARNING_RATE,
            "weight_decay": size.weight_decay,
            "label_smoothing": 0.0,
            "held_out": held_out,
            "validation": 0.0,
            "patience": max(epochs // 3, 10),
            "ensemble": True,
            "folds": FOLDS,
            "scaling": "robust",
            "embedding": "mixed",
        }
        return TrainingSettings(**{**chosen, **self.changes})

    def for_features(self, settings: TrainingSettings, rows: int, features: int) -> TrainingSettings:
        """The settings, where nothing else is said, once it is known how many features there are.

        >>> recipe = Recipe()
        >>> recipe.for_features(recipe.settings(200), rows=200, features=5_000).epochs
        30
        """
        if features <= rows or settings.epochs is None or self.changes.get("epochs") is not None:
            return settings
        epochs = min(settings.epochs, EPOCHS_OF_WIDE)
        return replace(settings, epochs=epochs, patience=self.changes.get("patience") or max(epochs // 3, 10))
