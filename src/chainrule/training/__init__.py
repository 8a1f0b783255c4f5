"""Training: the step as one graph, the loop over minibatches, restarts, stopping, checkpoints, progress."""

from chainrule.data.digits import DataWarning
from chainrule.training.callbacks import CSVLog, ReduceOnPlateau, TensorBoardLog
from chainrule.training.checkpoint import Checkpoint, CheckpointInUseError
from chainrule.training.ensemble import Ensemble
from chainrule.training.fit import fit
from chainrule.training.folds import Fold, folds
from chainrule.training.halving import Halving
from chainrule.training.history import History, Replica
from chainrule.training.progress import Epoch
from chainrule.training.rate_finder import RateCurve, find_lr
from chainrule.training.stopping import EarlyStopping, GradientNorm
from chainrule.training.training_warning import TrainingWarning

__all__ = [
    "CSVLog",
    "Checkpoint",
    "CheckpointInUseError",
    "DataWarning",
    "EarlyStopping",
    "Ensemble",
    "Epoch",
    "Fold",
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
    "folds",
]
