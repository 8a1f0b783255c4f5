"""The parameters of the network estimators: what each may be, and what is said of it, in one place for all classes.

A class has the entries that its ``__init__`` names; a test compares the two. ``documented`` writes them into the
class's docstring with the defaults of its signature.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from numbers import Integral, Real
from typing import Literal, TypeAlias, TypeVar

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from chainrule.tensor import Tensor
from chainrule.training.halving import Halving

Solver: TypeAlias = Literal["lbfgs", "sgd", "adam"]
Schedule: TypeAlias = Literal["constant", "invscaling", "adaptive", "cosine"]
Seed: TypeAlias = int | np.random.RandomState | None
#: by name, or a function of (prediction, target, reduction)
LossSetting: TypeAlias = str | Callable[..., Tensor]
#: a scorer, or a name of one
Scoring: TypeAlias = str | Callable[..., float] | None
#: of several labels, one mapping for each
ClassWeight: TypeAlias = (
    Mapping[Hashable, float] | Sequence[Mapping[Hashable, float]] | Literal["balanced"] | None
)

#: what scikit-learn's validation takes
Constraint: TypeAlias = list[object] | str
Class = TypeVar("Class", bound=type)


@dataclass(frozen=True)
class Parameter:
    """What a parameter may be, in scikit-learn's terms, and what it does, in words."""

    constraint: Constraint
    text: str


Parameters: TypeAlias = dict[str, Parameter]


def constraints(parameters: Parameters) -> dict[str, Constraint]:
    """For ``_parameter_constraints``."""
    return {name: parameter.constraint for name, parameter in parameters.items()}


def documented(parameters: Parameters) -> Callable[[Class], Class]:
    """Add the list of parameters to a class's docstring, in the order of its signature."""

    def add(cls: Class) -> Class:
        if cls.__doc__ is not None:  # there is none under python -OO
            lines = [
                _listed(name, parameters[name], given.default)
                for name, given in signature(cls).parameters.items()
            ]
            cls.__doc__ = f"{cls.__doc__.rstrip()}\n\n    Parameters:\n\n{''.join(lines)}    "
        return cls

    return add


def _listed(name: str, parameter: Parameter, default: object) -> str:
    text = f"- ``{name}`` (default {default!r}): {parameter.text}."
    return textwrap.fill(text, 110, initial_indent="    ", subsequent_indent="      ") + "\n"


def _from(least: float, *, kind: type = Real, included: bool = True) -> Interval:
    return Interval(kind, least, None, closed="left" if included else "neither")


_COUNT = _from(1, kind=Integral)
_FRACTION = Interval(Real, 0, 1, closed="left")

TRAINING: Parameters = {
    "solver": Parameter(
        [StrOptions({"lbfgs", "sgd", "adam"})],
        '"adam", "sgd", or "lbfgs", which sees all rows at once and has no epochs',
    ),
    "alpha": Parameter(
        [_from(0)],
        "strength of the L2 penalty: alpha / 2 times the sum of squared weights, divided by the rows of the "
        "minibatch, is added to the loss; biases are not penalised",
    ),
    "batch_size": Parameter(
        [StrOptions({"auto"}), _COUNT],
        'rows in a minibatch; "auto" means 200, or all rows where there are fewer; lbfgs ignores it',
    ),
    "learning_rate": Parameter(
        [StrOptions({"constant", "invscaling", "adaptive", "cosine"})],
        'the schedule: "constant"; "invscaling", learning_rate_init / (rows seen + 1) ** power_t; "adaptive", '
        "divided by 5 whenever n_iter_no_change epochs in a row have brought no improvement (both for sgd only); "
        '"cosine", from learning_rate_init to 0 over max_iter epochs, all of which are run unless early stopping '
        "ends training",
    ),
    "learning_rate_init": Parameter([_from(0, included=False)], "the learning rate of the first epoch"),
    "power_t": Parameter([_from(0)], 'exponent of learning_rate="invscaling"'),
    "max_iter": Parameter([_COUNT], "epochs at most; with lbfgs, iterations"),
    "shuffle": Parameter(["boolean"], "visit the rows in a new order in every epoch"),
    "random_state": Parameter(
        ["random_state"],
        "seed, or generator, of the first weights, of the rows that early stopping sets aside, of the order of rows "
        "and of dropout",
    ),
    "tol": Parameter(
        [_from(0)],
        "the least improvement of the loss, or of the validation score, that counts; with lbfgs, the largest "
        "component of the gradient at which the search ends",
    ),
    "verbose": Parameter(["verbose"], "print a line for every epoch"),
    "warm_start": Parameter(
        ["boolean"], "let ``fit`` go on from the weights of the last call; not with restarts"
    ),
    "momentum": Parameter([Interval(Real, 0, 1, closed="both")], "momentum of sgd"),
    "nesterovs_momentum": Parameter(["boolean"], "use Nesterov's momentum in sgd"),
    "early_stopping": Parameter(
        ["boolean"],
        "end training when the validation score no longer improves, and keep the weights of the best epoch",
    ),
    "validation_fraction": Parameter(
        [_FRACTION],
        "fraction of the rows that early stopping sets aside, unless ``fit`` is given X_val and y_val",
    ),
    "beta_1": Parameter([_FRACTION], "decay of Adam's mean of gradients"),
    "beta_2": Parameter([_FRACTION], "decay of Adam's mean of squared gradients"),
    "epsilon": Parameter([_from(0, included=False)], "added to the denominator of Adam's step"),
    "n_iter_no_change": Parameter(
        [_COUNT, Options(Real, {np.inf})],
        "epochs in a row without an improvement of more than ``tol`` after which training ends",
    ),
    "max_fun": Parameter([_COUNT], "evaluations of the loss at most; lbfgs only"),
    "scoring": Parameter(
        [str, callable, None],
        'what early stopping watches: a scorer, the name of one, or "loss"; None means accuracy or R2',
    ),
    "restarts": Parameter(
        "no_validation",  # the estimator checks it
        "how many replicas to train, networks from different seeds; the best one is kept: the one with the highest "
        "score by a scorer given as ``scoring``, otherwise with the lowest validation loss, without validation rows "
        "with the lowest training loss. Replica r is bit for bit the network that restarts=1 trains with the seed "
        "(random_state + r * 2654435769) % 2**32, ``replica_seeds_[r]``, on the training and validation rows of "
        "replica 0. ``cr.Halving(R)`` drops the worse replicas on the way. Not with lbfgs or ``partial_fit``",
    ),
    "ensemble": Parameter(
        ["boolean"], "predict with the mean of all replicas but those that were dropped or that diverged"
    ),
    "clip_norm": Parameter(
        [_from(0, included=False), None],
        "scale down a minibatch's gradient where its norm is larger than this",
    ),
    "dtype": Parameter(
        [StrOptions({"auto", "float32", "float64"})],
        '"float32", "float64" or "auto": float32, with lbfgs the dtype of X',
    ),
    "threads": Parameter(
        [_COUNT, None],
        "threads at most that train replicas; None means one for each core, and in a parallel grid search its share "
        "of the cores. The number of threads changes no bit",
    ),
}
MLP: Parameters = TRAINING | {
    "hidden_layer_sizes": Parameter(
        ["array-like", _COUNT], "neurons of each hidden layer; a number is one layer"
    ),
    "activation": Parameter(
        [str, "array-like"],
        "name of an activation of ``nn.activations``, or a list with one for each hidden layer",
    ),
    "dropout": Parameter([_FRACTION], "probability with which each hidden unit is dropped in training"),
    "batch_norm": Parameter(["boolean"], "batch normalisation before every hidden activation"),
}
GRAPH: Parameters = TRAINING | {
    # nn.GraphNetwork checks the first three
    "edges": Parameter(
        "no_validation",
        "pairs (from, to), a networkx.DiGraph or a scipy.sparse adjacency matrix; None means 100 hidden neurons, each "
        "joined to all inputs and all outputs",
    ),
    "inputs": Parameter("no_validation", "names of the input neurons, one for each column of X"),
    "outputs": Parameter(
        "no_validation",
        "names of the output neurons, one for each target or class; for two classes one, for the second",
    ),
    "activation": Parameter([str, dict], "name of an activation, or {neuron: name}; outputs are linear"),
    "bias": Parameter(
        ["boolean", StrOptions({"constant"})],
        'a bias for each neuron; "constant" makes it the weight of an edge from a constant neuron',
    ),
}
CLASSIFIER: Parameters = {
    "loss": Parameter(
        [str, callable],
        '"log_loss", "focal", or a function of (logits, target, reduction) such as those of ``nn``',
    ),
    "class_weight": Parameter(
        [dict, list, StrOptions({"balanced"}), None],
        'weight of each class, {class: weight}; "balanced" gives every class the same total weight',
    ),
    "label_smoothing": Parameter([_FRACTION], "share of the target that is spread evenly over the classes"),
}
REGRESSOR: Parameters = {
    "loss": Parameter(
        [str, callable],
        '"squared_error" (half the squared error, as in scikit-learn), "poisson" (predicts through an exponential), '
        '"huber", "absolute_error", "quantile", or a function of (prediction, target, reduction) such as '
        "``functools.partial(nn.huber, delta=2.0)``",
    ),
    "quantile": Parameter(
        [Interval(Real, 0, 1, closed="neither")], 'which quantile loss="quantile" predicts'
    ),
}

TABLES: Parameters = {
    # tables.TrainingSettings checks what is "no_validation" here
    "hidden": Parameter(
        ["array-like", _COUNT, None],
        "neurons of each hidden layer; a number is one layer; None means (64, 64)",
    ),
    "dropout": Parameter(
        [_FRACTION, None],
        "probability with which each hidden unit is dropped in training; None means 0.1, for a single network 0",
    ),
    "epochs": Parameter([_COUNT, None], "epochs of each network at most; None: as many as suit the rows"),
    "batch_size": Parameter(
        [_COUNT, None], "rows in a minibatch; None: 32 to 256, by the number of rows, for a single network 64"
    ),
    "lr": Parameter(
        [_from(0, included=False), None],
        "the first learning rate, which falls to 0 along half a cosine; None means 0.005, for a single network 0.01",
    ),
    "weight_decay": Parameter([_from(0), None], "weight decay of AdamW; None means 0.3"),
    "folds": Parameter(
        [Interval(Integral, 2, None, closed="left"), None],
        "folds of the rows, for each of which networks are trained on all the others, of an ensemble; None means 8",
    ),
    "restarts": Parameter(
        [_COUNT],
        "how often an ensemble is trained, each time with other folds, all of which answer together; of single "
        "networks the best one is kept",
    ),
    "scaling": Parameter(
        "no_validation",
        '"robust" scales numbers by their median and quartiles and clips them, "standard" by mean and deviation; None '
        'means "robust", for a single network "standard"',
    ),
    "embedding": Parameter(
        "no_validation",
        'what joins each number: "none", "periodic", "bins", or "mixed", three kinds of network side by side; None '
        'means "mixed", for a single network "none"',
    ),
    "ensemble": Parameter(
        ["boolean"], "train on folds of the rows, or a single network with 15% of the rows for validation"
    ),
    "group": Parameter(
        [str, None],
        "a column of X whose rows with the same value are never trained on and judged with at once; it is no feature",
    ),
    "columns": Parameter(
        "no_validation", "what is known about the columns of X: a ``tables.Columns``; None: found out"
    ),
    "random_state": Parameter(
        ["random_state"], "seed, or generator, of the folds, the first weights, the order of rows and dropout"
    ),
    "verbose": Parameter(["verbose"], "print what was decided about the columns, and show a progress bar"),
    "threads": Parameter(
        [_COUNT, None],
        "threads on which networks are trained; None: all processors, in a parallel grid search one's share of them",
    ),
}


class SetByName:
    """What keeps the parameters that ``__init__`` was given as attributes."""

    def _set_parameters(self, given: Mapping[str, object]) -> None:
        """Keep what ``__init__`` was given, by name: its local variables."""
        for name, value in given.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)


class Parameterised(SetByName):
    """The parameters that all network estimators have, as attributes; some classes fix a few of them."""

    solver: Solver
    alpha: float
    batch_size: int | Literal["auto"]
    learning_rate: Schedule
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Seed
    tol: float
    verbose: bool | int
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    loss: LossSetting
    scoring: Scoring
    restarts: int | Halving
    ensemble: bool
    dropout: float
    batch_norm: bool
    clip_norm: float | None
    dtype: Literal["auto", "float32", "float64"]
    threads: int | None
