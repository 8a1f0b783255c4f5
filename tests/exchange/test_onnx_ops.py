"""Every primitive, written in ONNX, gives in onnxruntime what its record says."""

import zlib

import numpy as np
import onnxruntime
import pytest

from chainrule.compiler.expand import expand
from chainrule.errors import ChainruleError
from chainrule.exchange.dynamic import Part
from chainrule.exchange.onnx_file import _write
from chainrule.exchange.onnx_ops import MAPPINGS
from chainrule.exchange.onnx_writer import Writer
from chainrule.graph import emit, new_leaf, topological
from chainrule.interpret import evaluate
from chainrule.ops import PRIMITIVES
from chainrule.ops.record import Formula, is_float

#: their records lower by a formula, and it is the formula that is written
BY_FORMULA = {name for name, record in PRIMITIVES.items() if isinstance(record.lowering, Formula)}
#: ONNX has no such random numbers, and nothing is random at inference
WITHOUT = {"random_bits"}


def test_no_record_lacks_a_counterpart():
    assert set(PRIMITIVES) == MAPPINGS.keys() | BY_FORMULA | WITHOUT
    assert not MAPPINGS.keys() & (BY_FORMULA | WITHOUT)


def run(node, leaves, arrays):
    """The node's value as onnxruntime computes it."""
    writer, values, parts = Writer(f"x{i}" for i in range(9)), {}, {}
    for n in topological([node]):
        given = n.op.name in ("leaf", "constant")
        params = {"value": n.value} if given else n.params
        parts[n] = part = Part(n.op.name, tuple(parts[x] for x in n.inputs), params, n.shape, n.dtype, n)
        if n in leaves:
            values[part] = writer.input(f"x{leaves.index(n)}", n.dtype, n.shape)
        else:
            values[part] = _write(writer, part, values)
    model = writer.model([("y", values[parts[node]], node.dtype, node.shape)], {})
    session = onnxruntime.InferenceSession(model)
    return session.run(None, {f"x{i}": x for i, x in enumerate(arrays)})[0]


CASES = [
    (name, dtype)
    for name in sorted({*MAPPINGS, *BY_FORMULA} - {"leaf", "constant"})
    for dtype in ("float32", "float64", "int64", "int32", "uint8", "bool")
    if dtype.startswith("float") or not name.startswith("edge_")  # weights of edges are floats
]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_a_record_and_its_counterpart_agree(name, dtype):
    record, tried = PRIMITIVES[name], 0
    for case in record.domain(np.random.default_rng(zlib.crc32(name.encode()))):
        arrays = [np.asarray(x) for x in case.inputs]
        if not dtype.startswith("float"):
            arrays = [np.floor(np.abs(x) * 3) if is_float(x.dtype) else x for x in arrays]
        arrays = [np.asarray(x, dtype) if is_float(x.dtype) else x for x in arrays]
        leaves = [new_leaf(x.shape, x.dtype) for x in arrays]
        try:
            node = emit(record, leaves, case.params)
            expected = evaluate([node], dict(zip(leaves, arrays, strict=True)))[0]
        except ChainruleError:  # not for this dtype
            continue
        found = run(expand([node])[0], leaves, arrays)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        tried += 1
    assert tried or dtype == "bool" or (name.startswith("logical") and dtype != "bool") or name == "where"


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("expm1", [-np.inf, -100, -1e-6, 0, 1e-6, 100, np.inf]),
        ("log1p", [-1, -0.5, -1e-6, 0, 1e-6, 1e30, np.inf]),
        ("softplus", [-np.inf, -100, -30, 0, 30, 100, np.inf]),
        ("logistic", [-np.inf, -100, 0, 100, np.inf]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_keep_their_digits_at_the_ends(name, points, dtype):
    x = np.array(points, dtype)
    leaf = new_leaf(x.shape, x.dtype)
    node = emit(PRIMITIVES[name], [leaf], {})
    np.testing.assert_allclose(run(node, [leaf], [x]), evaluate([node], {leaf: x})[0], rtol=1e-5, atol=1e-37)
