"""The settings of a training run on a table, and what is chosen where they say nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from chainrule.errors import SettingError
from chainrule.foreign_text import nearest, quoted
from chainrule.nn.activations import ACTIVATIONS
from chainrule.optim.settings import check_count, check_flag, check_number
from chainrule.tables.decision import AIMS

STEPS = 4_000  # about as many as a small table needs
NOT_HIDDEN = (
    "sign",
    "step",
    "softmax",
)  # derivative 0, or one output's share of all: hidden layers learn nothing
HIDDEN = ("relu", "tanh", "logistic", "gelu", "silu", "elu", "leaky_relu", "softplus")
SCALINGS = ("standard", "robust")
EMBEDDINGS = ("none", "periodic", "bins", "mixed")
UNSAID = (
    "group",
    "time_order",
    "sample_weight",
    "class_weight",
    "aim",
    "distil",
    "budget",
)  # that are listed only if said
EPOCHS = (20, 500)  # at least and at most, where their number is not given


def check_activation(name: str) -> None:
    """SettingError for what is no activation, and for one through which hidden layers do not learn."""
    if name in ACTIVATIONS and name not in NOT_HIDDEN:
        return
    near = nearest(str(name).lower(), HIDDEN)
    raise SettingError(
        f"hidden layers do not learn through the activation {quoted(name)}"
        if name in NOT_HIDDEN
        else f"there is no activation {quoted(name)}",
        expected=f"one of {', '.join(HIDDEN)}",
        got=quoted(name),
        hint=" or ".join(map(repr, near)),
    )


def check_word(name: str, value: object, known: tuple[str, ...]) -> None:
    """SettingError for what is none of the known words; None is nothing said."""
    if value is not None and value not in known:
        near = nearest(str(value).lower(), known)
        raise SettingError(
            f"there is no such {name.replace('_', ' ')}",
            expected=" or ".join(known),
            got=quoted(value),
            hint=" or ".join(f"{name}={word!r}" for word in near),
        )


def check_roles(settings: TrainingSettings) -> None:
    """SettingError for what names no column, and for roles of columns that exclude each other."""
    for name in ("group", "time_order", "sample_weight"):
        value = getattr(settings, name)
        if value is not None and not (isinstance(value, str) and value):
            raise SettingError(f"{name} is the name of a column", expected="a text", got=quoted(value))
    if settings.group is not None and settings.time_order is not None:
        raise SettingError(
            "rows are judged by groups or by time, not by both",
            expected="one of the two",
            got=f"the group {quoted(settings.group)} and the time {quoted(settings.time_order)}",
            hint="leave out one of them",
        )
    if settings.time_order is not None and not settings.held_out:
        raise SettingError(
            "later rows judge where there is a time, so some are held out",
            expected="held_out above 0",
            got="held_out=0",
            hint="held_out=0.2",
        )


@dataclass(frozen=True)
class TrainingSettings:
    """How to train on a table. The defaults suit tables of a hundred to a hundred thousand rows.

    ``task`` is "classification", "regression", or None to find it out from the target. ``held_out`` is the
    share of all rows that training never sees and that the score is of, ``validation`` the share of the other
    rows by which the best epoch and the best restart are chosen. A table of fewer than 10 rows is not split.

    The loss is the squared error or, for classes, the cross-entropy with ``label_smoothing``, without which
    the validation loss punishes sure mistakes so much that training ends too early (the probabilities that a model
    gives have no smoothing in them). ``penalty`` is the
    strength of an L2 penalty (the sum of all squared weights, times this), ``weight_decay`` that of AdamW, the
    optimizer, whose rate falls from ``lr`` to 0 along half a cosine. ``epochs`` None means as many as make
    about 4000 steps, from 20 to 500; ``patience`` None means a quarter of the epochs, 10 at least.

    With ``ensemble`` no rows are kept for validation: the rows are dealt into ``folds``, and for each a network is
    trained on all the others, so that every row trains and every row judges; they answer together. ``restarts`` then
    repeats this with other folds. ``scaling`` "robust" scales numbers by their median and quartiles, and clips them;
    ``embedding`` "periodic" joins a vector of cosines to each of them.

    Three settings name a column. Rows of one ``group`` (such as all visits of a patient) are never on both sides: of
    training and judging. By ``time_order`` the latest rows judge, those before them train. ``sample_weight`` says how
    much each row counts, in the loss and in the score.

    ``aim`` is what a model of classes is judged by: "accuracy", "balanced-accuracy", "f1" (macro F1), "log-loss" or
    "auc". For the first three the predicted class is the best one for the aim by rows that training did not see, and
    not always the likeliest. With ``class_weight`` "balanced" all classes count alike in the loss; the probabilities
    are those of the classes as frequent as they are, and the predicted class that of classes equally frequent.

    With ``distil`` one network of two hidden layers of 64 units learns to answer like the ensemble, and is what is
    kept, scored by held-out rows; all other settings are of the ensemble.

    Raises SettingError for values out of range.

    >>> from chainrule import tables
    >>> tables.TrainingSettings(hidden=(16,), restarts=3).epochs_for(rows=640)
    400
    """

    task: str | None = None
    hidden: tuple[int, ...] = (64, 64)
    activation: str = "relu"
    dropout: float = 0.0
    batch_norm: bool = False
    restarts: int = 1
    epochs: int | None = None
    batch_size: int = 64
    lr: float = 1e-2
    weight_decay: float = 0.3
    penalty: float = 0.0
    label_smoothing: float = 0.05
    validation: float = 0.15
    held_out: float = 0.2
    patience: int | None = None
    seed: int = 0
    ensemble: bool = False
    folds: int = 8
    scaling: str = "standard"
    embedding: str = "none"
    group: str | None = None
    time_order: str | None = None
    sample_weight: str | None = None
    class_weight: str | None = None
    aim: str | None = None
    distil: bool = False
    budget: float | None = None

    def __post_init__(self) -> None:
        if self.task not in {None, "classification", "regression"}:
            raise SettingError(
                "there is no such task", expected="classification or regression", got=quoted(self.task)
            )
        if isinstance(self.hidden, str | bytes) or not isinstance(self.hidden, Iterable):
            raise SettingError(
                "hidden is a tuple of numbers, such as (64, 64)",
                got=quoted(self.hidden),
            )
        for width in self.hidden:
            check_count("the width of a hidden layer", width)
        check_activation(self.activation)
        for name in ("restarts", "batch_size"):
            check_count(name, getattr(self, name))
        for name in ("epochs", "patience"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        for name in ("dropout", "label_smoothing", "validation", "held_out"):
            check_number(name, getattr(self, name), least=0, below=1)
        for name in ("weight_decay", "penalty"):
            check_number(name, getattr(self, name), least=0)
        check_number("lr", self.lr, above=0)
        if self.budget is not None:
            check_number("budget", self.budget, above=0)
        check_count("seed", self.seed, least=0)
        check_flag("batch_norm", self.batch_norm)
        check_flag("ensemble", self.ensemble)
        check_flag("distil", self.distil)
        check_count("folds", self.folds, least=2)
        check_roles(self)
        check_word("class_weight", self.class_weight, ("balanced",))
        check_word("aim", self.aim, tuple(AIMS))
        for name, known in (("scaling", SCALINGS), ("embedding", EMBEDDINGS)):
            if getattr(self, name) not in known:
                raise SettingError(
                    f"there is no such {name}", expected=" or ".join(known), got=quoted(getattr(self, name))
                )

    @property
    def needs_numbers(self) -> bool:
        """Whether the network must know which of its inputs are numbers."""
        return self.scaling == "robust" or self.embedding != "none"

    def epochs_for(self, rows: int) -> int:
        """The number of epochs for this many training rows.

        >>> TrainingSettings().epochs_for(640), TrainingSettings(epochs=7).epochs_for(640)
        (400, 7)
        """
        least, most = EPOCHS
        steps = -(-rows // self.batch_size)
        return self.epochs or min(max(STEPS // steps, least), most)

    def patience_for(self, epochs: int) -> int:
        """After how many epochs without a better validation loss training stops.

        >>> TrainingSettings().patience_for(200)
        50
        """
        return self.patience or max(epochs // 4, 10)

    def listed(self) -> dict[str, str | int | float | bool | None]:
        """All settings by name, as a model file and a report list them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values = {name: value for name, value in values.items() if value or name not in UNSAID}
        return {**values, "hidden": ",".join(map(str, self.hidden)) or "none"}
