"""How many replicas train at the same time: as many as there are threads for, and as memory allows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from chainrule.compiler.host import available_cores
from chainrule.errors import SettingError
from chainrule.ops.record import Array
from chainrule.optim.lbfgs import LBFGS
from chainrule.optim.settings import check_count
from chainrule.training.trainer import MODEL, Trainer

#: bytes that fit may add to the process, or a share of those that are free
MemoryLimit = int | Literal["auto"] | None
SHARE = 0.5  # of what is available
SMALL = 64 * 2**20  # less than this is not worth asking how much is free


def check_memory_limit(limit: MemoryLimit) -> MemoryLimit:
    """The limit as given; SettingError unless it is a number of bytes, "auto" or None."""
    return limit if limit is None or limit == "auto" else check_count("memory_limit", limit)


def workers_and_threads(
    executor: str, threads: int | None, restarts: int, optimizer: object
) -> tuple[int, int]:
    """How many replicas may train at the same time, and how many threads may work on a step of each.

    Raises SettingError for a number of threads below 1.
    """
    cores = available_cores()
    # threads of a step wait for each other without sleeping, so more of them than cores would only take turns
    count = cores if threads is None else min(check_count("threads", threads), cores)
    # NumPy's interpreter and SciPy's L-BFGS hold Python's lock, so threads would only get in each other's way
    if executor == "interpreted" or isinstance(optimizer, LBFGS):
        return 1, 1
    workers = max(1, min(count, restarts))
    return workers, max(1, count // workers)


def at_a_time(trainer: Trainer, workers: int, limit: MemoryLimit, saved: bool) -> int:
    """How many of ``workers`` replicas may train at a time; the number changes no bit of them.

    Counted are the finished replicas' parameters, the state of those that wait for the next round of
    ``cr.Halving``, and for each that trains its state, the copy of its last epoch, gradients and activations.
    Raises SettingError where not even one fits into a number of bytes.
    """
    if limit is None:
        return workers
    state, parameters = _bytes(trainer.arrays), _bytes(trainer.arrays, MODEL)
    settings = trainer.settings
    waiting = 0 if settings.halving is None else settings.halving.survivors(settings.restarts)
    kept = settings.restarts * parameters + waiting * state
    (step,) = trainer.compile_steps(trainer.training_steps([settings.batch_size])).values()
    each = (3 if saved else 2) * state + step.scratch_bytes()
    if limit == "auto":
        free = available_memory() if kept + workers * each > SMALL else None
        return workers if free is None else max(1, min(workers, int(SHARE * free - kept) // each))
    if kept + each > limit:
        raise SettingError(
            "memory_limit is too small for even one replica at a time",
            expected=f"at least {kept + each} bytes: {kept} for all replicas and {each} for one in training",
            got=limit,
            hint="fewer restarts, smaller minibatches, or a larger limit",
        )
    return min(workers, (limit - kept) // each)


def _bytes(arrays: dict[str, Array], prefix: str = "") -> int:
    return sum(array.nbytes for name, array in arrays.items() if name.startswith(prefix))


def available_memory() -> int | None:
    """Bytes that this process could still take, by its container's limit as well; None if that is unknown."""
    found = [_from_meminfo(), _from_control_group()]
    known = [x for x in found if x is not None]
    if known:
        return min(known)
    if "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _from_meminfo(path: Path = Path("/proc/meminfo")) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _from_control_group(path: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container's limit leaves (control groups version 2)."""
    try:
        limit, used = ((path / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    return max(0, int(limit) - int(used)) if limit.isdigit() else None
