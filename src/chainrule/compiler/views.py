"""Views: nodes that only read another node's memory in another order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chainrule.graph import Node
from chainrule.ops import movement
from chainrule.ops.record import Shape

Strides = tuple[int, ...]


class View(NamedTuple):
    """Where the elements of a node lie: in the memory of ``root``, from ``offset`` on, in elements."""

    root: Node
    offset: int
    shape: Shape
    strides: Strides


def contiguous(shape: Shape, order: tuple[int, ...] | None = None) -> Strides:
    """Strides of an array without gaps whose axes lie in memory in ``order`` (the last one closest together)."""
    strides = [0] * len(shape)
    step = 1
    for axis in reversed(order if order is not None else range(len(shape))):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def is_dense(shape: Shape, strides: Strides) -> bool:
    """Whether the elements fill their memory without gaps, in any order of the axes, from the first one on."""
    step = 1
    for stride, length in sorted((s, n) for n, s in zip(shape, strides, strict=True) if n != 1):
        if stride != step:
            return False
        step *= length
    return True


def through(node: Node, view: View) -> View | None:
    """The view that a view primitive makes of its input's view; None where the elements must move."""
    p = node.params
    if node.op is movement.transpose:
        return view._replace(shape=node.shape, strides=tuple(view.strides[a] for a in p["axes"]))
    if node.op is movement.slice:
        offset = view.offset + sum(a * s for a, s in zip(p["start"], view.strides, strict=True))
        strides = tuple(s * t for s, t in zip(view.strides, p["step"], strict=True))
        return View(view.root, offset, node.shape, strides)
    if node.op is movement.broadcast:
        lead = len(node.shape) - len(view.shape)
        kept = tuple(0 if n == 1 else s for n, s in zip(view.shape, view.strides, strict=True))
        return view._replace(shape=node.shape, strides=(0,) * lead + kept)
    return reshaped(view, node.shape)


def reshaped(view: View, shape: Shape) -> View | None:
    """The view in another shape, if strides can say it."""
    if np.prod(shape) <= 1:
        return view._replace(shape=shape, strides=(0,) * len(shape))
    old = [(n, s) for n, s in zip(view.shape, view.strides, strict=True) if n != 1]
    strides = [0] * len(shape)
    i, j = len(old) - 1, len(shape) - 1
    while j >= 0:
        if shape[j] == 1:
            j -= 1
            continue
        # the shortest run of old axes and of new axes with the same number of elements
        count, step = old[i]
        new_count = 1
        i -= 1
        while True:
            if new_count * shape[j] <= count and new_count < count:
                strides[j] = step * new_count
                new_count *= shape[j]
                j -= 1
            elif new_count == count:
                break
            else:  # take in the next old axis, which must continue this one
                n, s = old[i]
                if s != step * count:
                    return None
                count *= n
                i -= 1
    return view._replace(shape=shape, strides=tuple(strides))
