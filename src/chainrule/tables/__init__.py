"""Networks for tables: from a data frame to a trained, scored, saved model, and back to predictions."""

from chainrule.data.features.column_options import Columns
from chainrule.tables.architecture import Architecture
from chainrule.tables.facts import Facts
from chainrule.tables.finding import Finding
from chainrule.tables.findings import findings_of
from chainrule.tables.loading import load_model
from chainrule.tables.metrics import Metric
from chainrule.tables.model import TableModel
from chainrule.tables.predictions import Predictions
from chainrule.tables.prepared import Prepared, Split
from chainrule.tables.recipe import Recipe
from chainrule.tables.scored import Scored
from chainrule.tables.scores import Score
from chainrule.tables.settings import TrainingSettings
from chainrule.tables.trained import Trained
from chainrule.tables.training import prepare, train, train_table

__all__ = [
    "Architecture",
    "Columns",
    "Facts",
    "Finding",
    "Metric",
    "Predictions",
    "Prepared",
    "Recipe",
    "Score",
    "Scored",
    "Split",
    "TableModel",
    "Trained",
    "TrainingSettings",
    "findings_of",
    "load_model",
    "prepare",
    "train",
    "train_table",
]
