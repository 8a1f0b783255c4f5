"""Who does what: the kernels of a program divided among threads.

How they are divided changes no bit, so this may be as simple as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from chainrule.compiler.emit import Share
from chainrule.graph import Node, topological
from chainrule.ops import contract, edges
from chainrule.ops.record import Array

WORTH_SHARING = 1500  # cycles; less is done sooner by one thread than divided


def about_cycles(nodes: Sequence[Node]) -> float:
    """About how long a graph takes once, before it is compiled."""
    total = 0.0
    for node in topological(nodes):
        size = math.prod(node.shape)
        if node.op in edges.EDGES:
            size = edges.products(node) * 3
        total += size * node.inputs[0].shape[-1] / 2 if node.op is contract.matmul else size
    return total / 8


def divided(kernels: Sequence[tuple[int, Share]], threads: int) -> Array:
    """For each thread (rank, threads, then from the first to before the last unit of each kernel), int64.

    ``kernels`` are (phase, share), in the order of their phases. In each phase what is large is cut so that all
    threads are busy for about as long; what is small goes to whoever has least to do.
    """
    rows = np.zeros((threads, 2 + 2 * len(kernels)), np.int64)
    rows[:, 0], rows[:, 1] = range(threads), threads
    numbered = [(phase, number, share) for number, (phase, share) in enumerate(kernels)]
    for _, phase in groupby(numbered, key=lambda item: item[0]):
        work = [0.0] * threads
        members = [(number, share) for _, number, share in phase]
        for number, share in sorted(members, key=lambda item: (_can_be_cut(item[1]), -item[1].cycles)):
            if threads > 1 and _can_be_cut(share):
                _cut(rows, number, share, work)
            else:
                rank = work.index(min(work))
                rows[rank, 2 + 2 * number : 4 + 2 * number] = 0, share.units
                work[rank] += share.cycles
    return rows


def _can_be_cut(share: Share) -> bool:
    return share.units > share.step and share.cycles > WORTH_SHARING


def _cut(rows: Array, number: int, share: Share, work: list[float]) -> None:
    """Give each thread neighbouring units, so many that all have then done about as much."""
    steps = -(-share.units // share.step)
    each, done = share.cycles / steps, 0
    for rank in range(len(work)):
        left = len(work) - rank
        level = (sum(work[rank:]) + (steps - done) * each) / left
        take = steps - done if left == 1 else min(max(round((level - work[rank]) / each), 0), steps - done)
        first, last = done * share.step, min((done + take) * share.step, share.units)
        if take:
            rows[rank, 2 + 2 * number : 4 + 2 * number] = first, last
        work[rank] += take * each
        done += take
