"""chainrule trains neural networks by back-propagation: readable, fast, and honest about what it computes.

A docstring's last line, such as "Lectures: A26; erratum 7.", names the rows of the lectures that a function implements,
listed in docs/lectures/rows.md, and the errata that it follows, in docs/errata.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from chainrule import _quiet_start as _quiet_start  # before all others
from chainrule import errors, namespace
from chainrule._version import __version__
from chainrule.compiled import compile
from chainrule.gradient_check import check_gradients
from chainrule.namespace import *  # noqa: F403 - what users call, by its __all__
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
    from chainrule.tables.one_line import train
    from chainrule.training import (
        Checkpoint,
        CSVLog,
        DataWarning,
        EarlyStopping,
        Epoch,
        Fold,
        GradientNorm,
        Halving,
        History,
        ReduceOnPlateau,
        TensorBoardLog,
        TrainingWarning,
        find_lr,
    )
    from chainrule.training.fit import fit
    from chainrule.training.folds import folds
else:
    from chainrule.torch_names import missing

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
        "Fold": "training",
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
        "folds": "training",
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
        "train": "tables.one_line",
    }
    _ROOMS_THEMSELVES = {"classic", "estimators", "exchange", "inspect", "nn", "optim", "tables", "training"}

    def __getattr__(name: str) -> object:
        """The object of that name, from the room that has it."""
        if name in _ROOMS_THEMSELVES:
            return import_module(f"chainrule.{name}")
        if name not in _ROOMS:
            raise missing(__name__, name)
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
    "Fold",
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
    "bool_",
    "check_gradients",
    "classic",
    "compile",
    "diagnose",
    "draw",
    "errors",
    "estimators",
    "explain",
    "find_lr",
    "fit",
    "float32",
    "float64",
    "folds",
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
    "no_grad",
    "plot_decision_regions",
    "plot_fit",
    "plot_histograms",
    "plot_loss_surface",
    "plot_recoding",
    "save_onnx",
    "second_derivative_test",
    "tensor",
    "to_torch",
    "train",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "value_and_grad",
    "vjp",
]
__all__ += namespace.__all__
