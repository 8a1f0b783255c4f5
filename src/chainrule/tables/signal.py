"""Whether the network predicts better than a constant, and than a linear model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chainrule.data.splitting import FEWEST_ROWS_TO_SPLIT
from chainrule.inspect.diagnosis import Diagnosis
from chainrule.inspect.diagnosis.ranks import ranks_of
from chainrule.number_text import readable
from chainrule.tables.finding import ITS_ENSEMBLE, Draft, Remedy, change_of
from chainrule.tables.metrics import Floats, area_under_curve, row_losses
from chainrule.tables.recipe import usual_rate
from chainrule.tables.settings import TrainingSettings

if TYPE_CHECKING:
    from chainrule.tables.trained import Trained

MANY = 30  # rows that a judgement needs
SURE = 2.0  # standard errors
BEHIND = 0.15  # below the nearest neighbours' skill
CHECK_THE_TABLE = (
    "check that every row's target belongs to its other cells (sorted or joined wrongly?), or add columns"
)
LINEAR = Remedy(
    "--hidden none, which trains a linear model", "TrainingSettings(hidden=()), which trains a linear model"
)
LINEAR_ENSEMBLE = Remedy(
    "--hidden none --embedding none --scaling standard, which trains linear models",
    "Recipe({'hidden': (), 'embedding': 'none', 'scaling': 'standard'}), which trains linear models",
)
ENSEMBLE = Remedy(
    f"--ensemble, or {LINEAR.command}", f"train_table(table, target, Recipe()), or {LINEAR.python}"
)  # several networks, each kept by the rows of another fold, are less at the mercy of few rows
ALL_ROWS = Remedy(
    "--validation 0, by which all these rows train to the last epoch",
    "TrainingSettings(validation=0), by which all these rows train to the last epoch",
)
HOLD_SOME_OUT = Remedy(
    "leave out --held-out 0: a fifth of the rows then judges the model",
    "TrainingSettings() without held_out=0: a fifth of the rows then judges the model",
)
SLIGHT = 0.1  # of a constant's loss: what a network wins by chance where there is no signal
WORTH_IT = 0.03  # of the constant's loss: what a linear model must win to be worth a finding


@dataclass(frozen=True, eq=False)
class Losses:
    """The log loss or squared error of each scored row [rows]: the network's, a constant's, a linear model's."""

    network: Floats
    constant: Floats
    linear: Floats | None

    @property
    def better_than_constant(self) -> bool:
        """Whether the network beats the constant by more than chance."""
        return _surely_less(self.network, self.constant)

    @property
    def linear_is_better(self) -> bool:
        """Whether a linear model beats the network by more than chance, and by so much that it matters."""
        if self.linear is None or not _surely_less(self.linear, self.network):
            return False
        return float(self.network.mean() - self.linear.mean()) > WORTH_IT * float(self.constant.mean())

    @property
    def linear_has_signal(self) -> bool:
        """Whether the linear model beats the constant by more than chance."""
        return self.linear is not None and _surely_less(self.linear, self.constant)


def _surely_less(some: Floats, others: Floats) -> bool:
    difference = others - some
    error = float(difference.std()) / np.sqrt(len(difference))
    return float(difference.mean()) > SURE * error


def losses_of(trained: Trained) -> Losses:
    """The losses of the scored rows."""
    scored, linear = trained.scored, trained.linear
    if trained.model.task == "classification":
        network, constant = (row_losses(p, scored.actual) for p in (scored.predicted, trained.constant))
        return Losses(network, constant, None if linear is None else row_losses(linear, scored.actual))
    unit = trained.model.preprocessor.target.standard_deviation  # squares of large units leave the range
    squares = [
        np.square((values - scored.actual) / unit)
        for values in (scored.predicted, trained.constant, linear)
        if values is not None
    ]
    return Losses(squares[0], squares[1], squares[2] if linear is not None else None)


def orders_rows(trained: Trained) -> bool:
    """Whether the probabilities put the rows of a class before others by more than chance."""
    ranks = ranks_of(trained.scored.predicted, trained.scored.actual)
    return ranks.gini > SURE * ranks.chance


def falls_short(trained: Trained, diagnosis: Diagnosis, losses: Losses) -> bool:
    """Whether a constant, a linear model or nearest neighbours do as well: then the network's oddities matter."""
    skill, neighbours = (
        float(diagnosis.figures.get(name, float("nan")))
        for name in ("skill on validation rows", "skill of nearest neighbours")
    )
    return not losses.better_than_constant or losses.linear_is_better or skill < neighbours - BEHIND


def find_without_signal(trained: Trained, losses: Losses) -> Iterator[Draft]:
    """The network predicts no better than a constant."""
    rows, is_classes = len(losses.network), trained.model.task == "classification"
    if rows < MANY or losses.better_than_constant:
        return
    if is_classes and orders_rows(trained):
        if losses.network.mean() > losses.constant.mean():
            yield _unreliable(trained, losses)
        return
    evidence = _advantage(losses)
    if losses.linear_has_signal:
        yield Draft(
            "nothing learned", "severe", _compared(trained, losses), evidence, _other_training(trained)
        )
        return
    slight = float(losses.network.mean()) > (1 - SLIGHT) * float(losses.constant.mean())
    enough = slight and _enough(trained)
    yield Draft(
        "no signal",
        "severe" if enough else "warning",
        _compared(trained, losses),
        evidence,
        Remedy(*[CHECK_THE_TABLE] * 2)
        if enough
        else _judged_by_more(trained, f" ({rows} cannot tell a weak signal from none)"),
        ("A network learns what its columns tell of the target; new rows show no trace of that here.",),
    )


def _compared(trained: Trained, losses: Losses) -> str:
    """By which measure the network is no better than a constant, and whether a linear model is, in a sentence."""
    measure, constant = "RMSE", "the mean"
    if trained.model.task == "classification":
        measure, constant = "log loss", "the class shares"
    network, always, linear = (
        "" if values is None else f" ({_figure(trained, values)})"
        for values in (losses.network, losses.constant, losses.linear)
    )
    than = f"better than always predicting {constant}{always} by more than chance would give on "
    than += f"{readable(len(losses.network))} rows"
    if losses.linear is None:
        return f"By {measure}, the network{network} is not {than}."
    if losses.linear_has_signal:
        return f"By {measure}, the network{network} is not {than}, but a linear model{linear} is."
    return f"By {measure}, neither the network{network} nor a linear model{linear} is {than}."


def _figure(trained: Trained, losses: Floats) -> str:
    """The mean log loss, or the RMSE in the target's units, as the measures above show it."""
    mean = float(losses.mean())
    if trained.model.task == "classification":
        return readable(mean)
    return readable(trained.model.preprocessor.target.standard_deviation * float(np.sqrt(mean)))


def _advantage(losses: Losses) -> str:
    """How much less a row's loss is than a constant's, and how much of that is chance."""
    gained = losses.constant - losses.network
    error = float(gained.std()) / np.sqrt(len(gained))
    return (
        f"a row's loss is {readable(float(gained.mean()))} less than the constant's on average, "
        f"with a standard error of {readable(error)}"
    )


def _judged_by_more(trained: Trained, why: str) -> Remedy:
    """More rows to judge by: all of the table's, each judged by a network that has not seen it, or else new ones."""
    rows = sum(len(part) for part in trained.prepared.split.parts)
    if trained.prepared.settings.ensemble or trained.teacher is not None:
        return Remedy(*[f"more rows{why}"] * 2)
    all_of_them = f"by which each of the {rows} rows judges networks that have not seen it{why}"
    return Remedy(f"--ensemble, {all_of_them}", f"train_table(table, target, Recipe()), {all_of_them}")


def _enough(trained: Trained) -> bool:
    """Whether so many rows differ from the usual answer that a signal would have shown."""
    actual = trained.scored.actual
    if trained.model.task == "classification":
        return len(actual) - int(np.bincount(actual).max()) >= MANY
    return len(actual) >= 2 * MANY


def _other_training(trained: Trained) -> Remedy:
    """The usual learning rate where another was asked for; else the linear model itself."""
    usual = usual_rate(trained.prepared.settings)
    if trained.prepared.settings.lr > usual:
        return change_of(trained.prepared.settings, lr=usual)
    return linear_or_ensemble(trained.prepared.settings)


def linear_or_ensemble(settings: TrainingSettings) -> Remedy:
    """What helps a network that has too few rows: several of them, or a linear model."""
    if settings.distil and not settings.ensemble:
        return ITS_ENSEMBLE
    return LINEAR_ENSEMBLE if settings.ensemble else ENSEMBLE


def _unreliable(trained: Trained, losses: Losses) -> Draft:
    area = area_under_curve(trained.scored.predicted, trained.scored.actual)
    linear = losses.linear_is_better
    return Draft(
        "unreliable probabilities",
        "warning",
        "The model puts the rows in a useful order, but its probabilities are worse than the classes' shares.",
        f"log loss {_figure(trained, losses.network)} on {readable(len(losses.network))} rows, of the class shares "
        f"{_figure(trained, losses.constant)}" + ("" if area is None else f"; AUC {readable(area)}"),
        linear_or_ensemble(trained.prepared.settings) if linear else _more_dropout(trained.prepared.settings),
    )


def _more_dropout(settings: TrainingSettings) -> Remedy:
    more = change_of(settings, dropout=0.2 if settings.dropout < 0.2 else 0.5)
    return Remedy(f"{more.command} or more rows", f"{more.python} or more rows")


def find_few_rows(trained: Trained) -> Iterator[Draft]:
    """No rows are held out, or so few that their score is mostly chance."""
    split, trains = trained.prepared.split, len(trained.prepared.training.target)
    judge, settings = len(split.scored), trained.prepared.settings
    if split.scored_on == "training":
        yield Draft(
            "score of training rows",
            "warning",
            "The score is of the rows that trained the network: it says nothing about new rows.",
            f"{readable(trains)} rows trained it, none is held out",
            Remedy("more rows", "more rows")
            if settings.held_out or trains < FEWEST_ROWS_TO_SPLIT
            else HOLD_SOME_OUT,
        )
    elif judge < MANY:
        yield Draft(
            "few rows",
            "note",
            f"Only {judge} rows judge the model: on others its score may be far from this one.",
            f"{readable(trains)} rows trained it",
            _judged_by_more(trained, ""),
        )


def find_linear_better(trained: Trained, losses: Losses) -> Iterator[Draft]:
    """A linear model of the same rows does better, beyond chance."""
    if len(losses.network) < MANY or losses.linear is None or not losses.linear_is_better:
        return
    if not losses.better_than_constant:
        return  # said already
    name = "log loss" if trained.model.task == "classification" else "RMSE"
    settings = trained.prepared.settings
    has_units = bool(settings.hidden) or settings.ensemble  # whose embeddings have room for noise, too
    yield Draft(
        "linear model is better",
        "warning",
        "A linear model of the same rows predicts better than the network: "
        + (
            "there are too few rows for more."
            if has_units
            else "few validation rows ended its training too early."
        ),
        f"{name} {_figure(trained, losses.linear)} instead of {_figure(trained, losses.network)}, of a constant "
        f"{_figure(trained, losses.constant)}, on {readable(len(losses.network))} rows",
        linear_or_ensemble(settings) if has_units else ALL_ROWS,
        ("Hidden units can learn the noise of the training rows, which a linear model has less room for.",)
        if has_units
        else (),
    )
