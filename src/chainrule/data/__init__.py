"""Tables: reading them, the bundled problems, and the way from a table to arrays and back."""

from chainrule.data.bundled import Problem, bundled_names, load_bundled
from chainrule.data.checks import check_finite
from chainrule.data.columns import Column
from chainrule.data.halfspaces import Halfspaces, halfspaces
from chainrule.data.preprocessing import Preprocessor, fit_preprocessor
from chainrule.data.ranges import Ranges, fit_ranges
from chainrule.data.splitting import split_rows
from chainrule.data.tables import read_table
from chainrule.data.target import Target, find_task, rows_with_target

__all__ = [
    "Column",
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
