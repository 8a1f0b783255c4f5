"""Networks for tables: from a data frame to a trained, scored, saved model, and back to predictions."""

from chainrule.tables.architecture import Architecture
from chainrule.tables.loading import load_model
from chainrule.tables.model import Facts, Predictions, TableModel
from chainrule.tables.scores import Score
from chainrule.tables.settings import TrainingSettings
from chainrule.tables.training import Prepared, Split, Trained, prepare, train, train_table

__all__ = [
    "Architecture",
    "Facts",
    "Predictions",
    "Prepared",
    "Score",
    "Split",
    "TableModel",
    "Trained",
    "TrainingSettings",
    "load_model",
    "prepare",
    "train",
    "train_table",
]
