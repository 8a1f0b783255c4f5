"""Training: the step as one graph, the loop over minibatches, restarts, stopping, checkpoints, progress."""

from chainrule.data.digits import DataWarning
from chainrule.training.callbacks import CSVLog, ReduceOnPlateau, TensorBoardLog
from chainrule.training.checkpoint import Checkpoint
from chainrule.training.fit import fit
from chainrule.training.halving import Halving
from chainrule.training.history import Ensemble, History, Replica
from chainrule.training.life import TrainingWarning
from chainrule.training.progress import Epoch
from chainrule.training.rate_finder import RateCurve, find_lr
from chainrule.training.stopping import EarlyStopping, GradientNorm

__all__ = [
    "CSVLog",
    "Checkpoint",
    "DataWarning",
    "EarlyStopping",
    "Ensemble",
    "Epoch",
    "GradientNorm",
    "Halving",
    "History",
    "RateCurve",
    "ReduceOnPlateau",
    "Replica",
    "TensorBoardLog",
    "TrainingWarning",
    "find_lr",
    "fit",
]
