"""Whose memory a value lies in, and copies that lie in memory as their original does."""

from __future__ import annotations

import numpy as np

from chainrule.graph import Node
from chainrule.ops.record import Array

#: whose memory a tensor's value lies in. What a recorded graph holds is never written to: its derivatives are taken
#: later, and need the values that were computed with.
OWN = 0  # nobody else's; graphs may hold it, so a new value gets new memory then
LENT = 1  # also somebody's outside, who may write into it at any time; graphs get copies
BORROWED = 2  # a graph's, or a part of another tensor's; outside sees copies


def memory_of(node: Node, value: Array) -> int:
    """Whose memory a value lies in: that of an input where it is a view of it, or the input itself."""
    shared = value.base is not None or any(x.value is value for x in node.inputs)
    return BORROWED if shared else OWN


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays of one form are equal, NaN for NaN."""
    bits = f"u{a.itemsize}"
    return bool((a.view(bits) == b.view(bits)).all())


def copied(array: Array) -> Array:
    """A copy that lies in memory as the array does, in every stride."""
    return with_strides(np.array(array), array.strides)


def with_strides(array: Array, strides: tuple[int, ...]) -> Array:
    """The array with these strides on its axes of one element.

    Nothing is read by them, but the keys of machine code, and hashes such as joblib's, tell them apart.
    """
    wanted = tuple(
        [s if n == 1 else own for n, own, s in zip(array.shape, array.strides, strides, strict=True)]
    )
    return array if wanted == array.strides else np.lib.stride_tricks.as_strided(array, strides=wanted)
