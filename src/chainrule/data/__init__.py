"""Tables: reading them, the bundled problems, and the way from a table to arrays and back."""

from chainrule.data.bundled import Problem, bundled_names, load_bundled
from chainrule.data.checks import check_finite
from chainrule.data.features.column_options import Columns
from chainrule.data.features.columns import Column
from chainrule.data.features.preprocessing import Preprocessor
from chainrule.data.features.target import Target, find_task, rows_with_target
from chainrule.data.features.training_table import fit_preprocessor
from chainrule.data.halfspaces import Halfspaces, halfspaces
from chainrule.data.ranges import Ranges, fit_ranges
from chainrule.data.splitting import split_rows
from chainrule.data.tables import read_table

__all__ = [
    "Column",
    "Columns",
    "Halfspaces",
    "Preprocessor",
    "Problem",
    "Ranges",
    "Target",
    "bundled_names",
    "check_finite",
    "find_task",
    "fit_preprocessor",
    "fit_ranges",
    "halfspaces",
    "load_bundled",
    "read_table",
    "rows_with_target",
    "split_rows",
]
