"""Partitions the kernels of a program among threads. How they are divided does not change a bit of the result."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from chainrule.compiler import verify
from chainrule.compiler.kernels import OuterLoop
from chainrule.ops.record import Array

WORTH_SHARING = 1500  # cycles; less is done sooner by one thread than divided


def partition_kernels(kernels: Sequence[tuple[int, OuterLoop]], threads: int) -> Array:
    """For each thread (rank, threads, then from the first to before the last unit of each kernel), int64.

    ``kernels`` are (phase, loop), in the order of their phases. In each phase large loops are split so that all
    threads are busy for about equally long; a small one goes to the thread with the least work so far.
    """
    rows = np.zeros((threads, 2 + 2 * len(kernels)), np.int64)
    rows[:, 0], rows[:, 1] = range(threads), threads
    numbered = [(phase, number, loop) for number, (phase, loop) in enumerate(kernels)]
    for _, phase in groupby(numbered, key=lambda item: item[0]):
        work = [0.0] * threads
        members = [(number, loop) for _, number, loop in phase]
        for number, loop in sorted(members, key=lambda item: (_can_be_cut(item[1]), -item[1].cycles)):
            if threads > 1 and _can_be_cut(loop):
                _cut(rows, number, loop, work)
            else:
                rank = work.index(min(work))
                rows[rank, 2 + 2 * number : 4 + 2 * number] = 0, loop.units
                work[rank] += loop.cycles
    if verify.enabled():
        verify.verify_partition(rows, [(loop.units, loop.step) for _, loop in kernels])
    return rows


def _can_be_cut(loop: OuterLoop) -> bool:
    return loop.units > loop.step and loop.cycles > WORTH_SHARING


def _cut(rows: Array, number: int, loop: OuterLoop, work: list[float]) -> None:
    """Split the units into one contiguous range per thread, of about equal cost."""
    steps = -(-loop.units // loop.step)
    each, done = loop.cycles / steps, 0
    for rank in range(len(work)):
        left = len(work) - rank
        target = (sum(work[rank:]) + (steps - done) * each) / left
        count = steps - done if left == 1 else min(max(round((target - work[rank]) / each), 0), steps - done)
        first, last = done * loop.step, min((done + count) * loop.step, loop.units)
        if count:
            rows[rank, 2 + 2 * number : 4 + 2 * number] = first, last
        work[rank] += count * each
        done += count
