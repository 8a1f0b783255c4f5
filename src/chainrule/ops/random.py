"""Random bits that depend on a seed and a counter alone, so every way of running a graph draws the same."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.dtypes import uint32
from chainrule.ops.notation import call
from chainrule.ops.operand import Operand
from chainrule.ops.record import (
    Array,
    Case,
    Form,
    OwnLoop,
    Primitive,
    Shape,
    Undefined,
    expect,
)

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def threefry(key: tuple[Array, Array], counter: tuple[Array, Array]) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011)."""
    keys = (*key, key[0] ^ key[1] ^ np.uint32(PARITY))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for turn in ROTATIONS[group % 2]:
            x = x + y
            y = ((y << np.uint32(turn)) | (y >> np.uint32(32 - turn))) ^ x
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def _form(seed: Operand, counter: Operand, shape: Shape) -> Form:
    expect(
        seed.shape == (2,) and counter.shape == () and seed.dtype == counter.dtype == uint32,
        ShapeError,
        "random_bits: the key does not fit",
        expected="a seed uint32[2] and a counter uint32[]",
        got=f"{seed.dtype}{list(seed.shape)} and {counter.dtype}{list(counter.shape)}",
    )
    return Form(shape, uint32)


def _value(seed: Array, counter: Array, shape: Shape) -> Array:
    index = np.arange(math.prod(shape), dtype=np.uint32)
    key = (seed[:1], seed[1:])
    return np.asarray(threefry(key, (index, np.broadcast_to(counter, index.shape)))[0].reshape(shape))


def _domain(rng: np.random.Generator) -> Iterator[Case]:
    for shape in ((), (5,), (3, 4)):
        seed = rng.integers(0, 2**32, size=2, dtype=np.uint32)
        yield Case((seed, np.asarray(rng.integers(0, 2**32, dtype=np.uint32))), {"shape": shape})


#: element i is the first word of Threefry(seed, (i, counter)): 32 uniform bits
random_bits: Primitive = Primitive(
    "random_bits",
    _form,
    _value,
    Undefined(),
    _domain,
    (Case((np.zeros(3, np.uint32), np.zeros((), np.uint32)), {"shape": (2,)}),),
    lowering=OwnLoop("random bits"),
    cost="long",
    written=lambda node, seed, counter: call(
        "random({0}, {1})", r"\operatorname{{random}}\left({0}, {1}\right)", seed, counter, shape=node.shape
    ),
)
