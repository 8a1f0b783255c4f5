"""How many threads a fit may use where scikit-learn runs several fits at once."""

from __future__ import annotations

import os

from chainrule.compiler.host import available_cores


def threads_here(wanted: int | None) -> int:
    """The number asked for; without one all processors, but one alone inside a parallel grid search.

    joblib tells its worker processes their share of the processors in OMP_NUM_THREADS; inside its threads
    there is nothing to share out.
    """
    if wanted is not None:
        return wanted
    from joblib.parallel import get_active_backend  # type: ignore[import-untyped]

    backend, _ = get_active_backend()
    if not getattr(backend, "nesting_level", 0):
        return available_cores()
    share = os.environ.get("OMP_NUM_THREADS", "")
    in_worker = os.environ.get("LOKY_WORKER_ID") is not None or "LokyProcess" in _process_name()
    return max(1, min(int(share), available_cores())) if in_worker and share.isdigit() else 1


def _process_name() -> str:
    from multiprocessing import current_process

    return current_process().name
