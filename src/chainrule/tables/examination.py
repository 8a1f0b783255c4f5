"""What is measured of a trained model, its run and its table, and what was found by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainrule.inspect.diagnosis import Diagnosis, diagnose
from chainrule.system.blas import one_blas_thread
from chainrule.tables.copies import find_copies
from chainrule.tables.course import find_still_improving
from chainrule.tables.deciding_columns import find_deciding_columns
from chainrule.tables.finding import SEVERITIES, Draft
from chainrule.tables.network_findings import find_in_network
from chainrule.tables.objective import loss_of, penalty_of
from chainrule.tables.order import find_dates, find_identifiers, find_rows_in_order
from chainrule.tables.rare_classes import find_missed_classes, find_rare_classes
from chainrule.tables.signal import find_few_rows, find_linear_better, find_without_signal, losses_of

if TYPE_CHECKING:
    from chainrule.tables.prepared import Encoded
    from chainrule.tables.trained import Trained

VERY_MANY, OUTPUTS = 1000, 8_000_000  # classes, and outputs of all rows that are then looked at
ROWS = 256  # on which layers and curvature are measured, so that the report takes little time


@dataclass(frozen=True, eq=False)
class Examination:
    """The diagnosis of the network, and everything that was found, the worst first."""

    diagnosis: Diagnosis
    found: tuple[Draft, ...]


def examine(trained: Trained) -> Examination:
    """Look at the table, the run and the network of a model that finished an epoch at least."""
    with one_blas_thread():
        return _examine(trained)


def _some(rows: Encoded, classes: int) -> Encoded:
    """The rows; of very many classes, each of whose outputs is a number a row, so many as memory has room for."""
    step = -(-len(rows.target) * classes // OUTPUTS) if classes > VERY_MANY else 1
    return rows.every(step)


def _examine(trained: Trained) -> Examination:
    prepared, settings, single = trained.prepared, trained.prepared.settings, trained.single
    classes = len(prepared.preprocessor.target.classes)
    diagnosis = diagnose(
        single.network,
        _some(single.training, classes),
        loss_of(prepared.preprocessor.target, settings),
        trained.history_of_single,
        validation=_some(single.unseen, classes) if len(single.unseen.target) else None,
        penalty=penalty_of(settings),
        rows=ROWS,
    )
    losses = losses_of(trained)
    worthless = list(find_without_signal(trained, losses))
    found = [
        *find_deciding_columns(trained),
        *find_copies(trained, losses),
        *find_rows_in_order(trained),
        *worthless,
        *find_in_network(trained, diagnosis, losses),
        *([] if worthless else find_linear_better(trained, losses)),
        *([] if worthless else find_still_improving(trained, losses)),
        *([] if worthless else find_missed_classes(trained)),
        *find_identifiers(trained),
        *find_few_rows(trained),
        *find_rare_classes(trained),
        *find_dates(trained),
    ]
    return Examination(diagnosis, tuple(sorted(found, key=lambda draft: SEVERITIES.index(draft.severity))))
