"""chainrule trains neural networks by back-propagation: readable, fast, and honest about what it computes."""

from importlib import import_module
from typing import TYPE_CHECKING

from chainrule import errors
from chainrule._version import __version__
from chainrule.compiled import compile
from chainrule.gradient_check import check_gradients
from chainrule.namespace import (
    abs,
    argmax,
    astype,
    broadcast_to,
    clip,
    concat,
    cos,
    equal,
    erf,
    exp,
    expand_dims,
    expm1,
    flip,
    floor,
    log,
    log1p,
    log_softmax,
    logistic,
    logsumexp,
    matmul,
    max,
    maximum,
    mean,
    min,
    minimum,
    norm,
    not_equal,
    one_hot,
    pad,
    prod,
    relu,
    reshape,
    sign,
    sin,
    softmax,
    softplus,
    sqrt,
    square,
    squeeze,
    stack,
    std,
    sum,
    take,
    tanh,
    transpose,
    var,
    where,
)
from chainrule.ops.dtypes import (
    bool_,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from chainrule.tensor import Tensor, from_dlpack, no_grad, tensor
from chainrule.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

if TYPE_CHECKING:
    from chainrule import classic, estimators
    from chainrule.exchange import from_torch, save_onnx, to_torch
    from chainrule.inspect import second_derivative_test
    from chainrule.inspect.diagnosis import Diagnosis, Finding, Recorder, diagnose
    from chainrule.inspect.drawing import Drawing, draw
    from chainrule.inspect.explanation import Explanation, explain
    from chainrule.inspect.plots import (
        plot_decision_regions,
        plot_fit,
        plot_histograms,
        plot_loss_surface,
        plot_recoding,
    )
    from chainrule.tables import TableModel, load_model
    from chainrule.training import (
        Checkpoint,
        CSVLog,
        DataWarning,
        EarlyStopping,
        Epoch,
        GradientNorm,
        Halving,
        History,
        ReduceOnPlateau,
        TensorBoardLog,
        TrainingWarning,
        find_lr,
    )
    from chainrule.training.fit import fit
else:
    # What most programs do not need at once is imported when its name is first used: most of the time to import.
    _ROOMS = {
        "CSVLog": "training",
        "Checkpoint": "training",
        "DataWarning": "training",
        "Diagnosis": "inspect.diagnosis",
        "Drawing": "inspect.drawing",
        "EarlyStopping": "training",
        "Epoch": "training",
        "Explanation": "inspect.explanation",
        "Finding": "inspect.diagnosis",
        "GradientNorm": "training",
        "Halving": "training",
        "History": "training",
        "Recorder": "inspect.diagnosis",
        "ReduceOnPlateau": "training",
        "TableModel": "tables",
        "TensorBoardLog": "training",
        "TrainingWarning": "training",
        "diagnose": "inspect.diagnosis",
        "draw": "inspect.drawing",
        "explain": "inspect.explanation",
        "find_lr": "training",
        "fit": "training",
        "from_torch": "exchange",
        "load_model": "tables",
        "plot_decision_regions": "inspect.plots",
        "plot_fit": "inspect.plots",
        "plot_histograms": "inspect.plots",
        "plot_loss_surface": "inspect.plots",
        "plot_recoding": "inspect.plots",
        "save_onnx": "exchange",
        "second_derivative_test": "inspect",
        "to_torch": "exchange",
    }
    _ROOMS_THEMSELVES = {"classic", "estimators"}

    def __getattr__(name: str) -> object:
        """The object of that name, from the room that has it."""
        if name in _ROOMS_THEMSELVES:
            return import_module(f"chainrule.{name}")
        if name not in _ROOMS:
            raise AttributeError(f"module 'chainrule' has no attribute {name!r}")
        value = getattr(import_module(f"chainrule.{_ROOMS[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """The public names, those that are not imported yet included."""
    return sorted({*globals(), *__all__})


__all__ = [
    "CSVLog",
    "Checkpoint",
    "DataWarning",
    "Diagnosis",
    "Drawing",
    "EarlyStopping",
    "Epoch",
    "Explanation",
    "Finding",
    "GradientNorm",
    "Halving",
    "History",
    "Recorder",
    "ReduceOnPlateau",
    "TableModel",
    "Tensor",
    "TensorBoardLog",
    "TrainingWarning",
    "__version__",
    "abs",
    "argmax",
    "astype",
    "bool_",
    "broadcast_to",
    "check_gradients",
    "classic",
    "clip",
    "compile",
    "concat",
    "cos",
    "diagnose",
    "draw",
    "equal",
    "erf",
    "errors",
    "estimators",
    "exp",
    "expand_dims",
    "explain",
    "expm1",
    "find_lr",
    "fit",
    "flip",
    "float32",
    "float64",
    "floor",
    "from_dlpack",
    "from_torch",
    "grad",
    "hessian",
    "hvp",
    "int8",
    "int16",
    "int32",
    "int64",
    "jacobian",
    "jvp",
    "load_model",
    "log",
    "log1p",
    "log_softmax",
    "logistic",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "no_grad",
    "norm",
    "not_equal",
    "one_hot",
    "pad",
    "plot_decision_regions",
    "plot_fit",
    "plot_histograms",
    "plot_loss_surface",
    "plot_recoding",
    "prod",
    "relu",
    "reshape",
    "save_onnx",
    "second_derivative_test",
    "sign",
    "sin",
    "softmax",
    "softplus",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sum",
    "take",
    "tanh",
    "tensor",
    "to_torch",
    "transpose",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "value_and_grad",
    "var",
    "vjp",
    "where",
]
