"""Every primitive can be drawn in every view and explained in every form, empty arrays included."""

import re
import xml.etree.ElementTree as ElementTree
import zlib

import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser

import chainrule as cr
from chainrule.ops import PRIMITIVES
from chainrule.ops.record import Primitive, is_float

WITH_CASES = [p for p in PRIMITIVES.values() if p.name not in ("leaf", "constant")]


@pytest.mark.parametrize("primitive", WITH_CASES, ids=lambda p: p.name)
def test_it_is_drawn_and_explained(primitive: Primitive) -> None:
    for case in primitive.domain(np.random.default_rng(zlib.crc32(primitive.name.encode()))):

        def apply(*operands, params=case.params):
            return primitive(*operands, **params)

        for view in ("nodes", "components", "groups"):
            ElementTree.fromstring(cr.draw(apply, *map(np.asarray, case.inputs), view=view).svg)
        operands = [cr.tensor(x, requires_grad=is_float(np.asarray(x).dtype)) for x in case.inputs]
        y = apply(*operands)
        if not (is_float(y.dtype) and y.requires_grad and callable(primitive.derivative)):
            continue
        loss = (y * np.cos(np.arange(y.size, dtype=y.dtype)).reshape(y.shape)).sum()
        told = cr.explain(loss, names={f"x{i}": x for i, x in enumerate(operands)})
        assert str(told).count("\n\n") == 2
        assert told.markdown().count("$$") == 6
        loss.backward()
        for i, x in enumerate(operands):
            if x.grad is not None:
                np.testing.assert_allclose(told[f"x{i}"].gradient, x.grad.numpy(), rtol=1e-12)


def test_latex_is_latex() -> None:
    parser = MathTextParser("path")  # fails on what is none
    lines: set[str] = set()
    for primitive in WITH_CASES:
        case = next(iter(primitive.domain(np.random.default_rng(0))))
        x, *others = (cr.tensor(x, requires_grad=is_float(np.asarray(x).dtype)) for x in case.inputs)
        y = primitive(x, *others, **case.params)
        if y.requires_grad and callable(primitive.derivative):
            lines |= {line for line in cr.explain(y.sum()).markdown().splitlines() if " &= " in line}
    formulas = {re.sub(r" = (?!.* = ).*", "", line.replace("&", "")) for line in lines}  # less the values
    assert len(formulas) > 80
    for formula in formulas:
        parser.parse(f"${formula}$")
