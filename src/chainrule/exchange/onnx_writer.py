"""Writes an ONNX graph: names, constants, and lengths that depend on the number of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from chainrule.exchange.dynamic import Affine, Length, as_length
from chainrule.ops.record import Array

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto, ValueInfoProto

OPSET = 18
IR_VERSION = 8  # the oldest that has this opset
ROWS_NAME = "rows"  # name of the variable length


class Writer:
    """Collects the nodes and constants of one ONNX graph. Values are referred to by their names.

    ``reserved`` lists the names of the inputs, which no other value may take.
    """

    def __init__(self, reserved: Iterable[str]) -> None:
        self._taken = set(reserved)
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self.inputs: list[ValueInfoProto] = []
        self.rows_of = ""  # the input whose first axis counts the rows
        self._constants: dict[tuple[object, ...], str] = {}
        self._rows = ""

    def _free(self, name: str) -> str:
        """Reserve a name, with underscores appended if it is taken."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one result and return the result's name."""
        from onnx import helper

        name = self._free(f"{kind}_{len(self.nodes)}")
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, domain=domain, **attributes))
        return name

    def constant(self, value: ArrayLike, dtype: DTypeLike | None = None, name: str = "") -> str:
        """Add an array as a value and return its name. Equal arrays are stored once, unless ``name`` is given."""
        array = np.asarray(value, dtype)
        key = (
            name,
            array.dtype.str,
            array.shape,
            tuple(array.ravel()) if array.dtype == object else array.tobytes(),
        )
        if key not in self._constants:
            chosen = self._free(name or f"constant_{len(self.initializers)}")
            self.initializers[chosen] = _tensor(array, chosen)
            self._constants[key] = chosen
        return self._constants[key]

    def cast(self, name: str, old: DTypeLike, new: DTypeLike) -> str:
        """Convert a value from dtype ``old`` to ``new``, if they differ."""
        return name if np.dtype(old) == np.dtype(new) else self.op("Cast", name, to=element_type(new))

    def input(self, name: str, dtype: DTypeLike, shape: Sequence[str | int]) -> str:
        """Add an input to the graph; a text in ``shape`` names a variable length."""
        from onnx import helper

        self.inputs.append(helper.make_tensor_value_info(name, element_type(dtype), list(shape)))
        self.rows_of = self.rows_of or name
        return name

    # Lengths

    def rows(self) -> str:
        """The number of rows, int64 [1]."""
        if not self._rows:
            shape = self.op("Shape", self.rows_of)
            self._rows = self.op("Slice", shape, self.constant([0], np.int64), self.constant([1], np.int64))
        return self._rows

    def lengths(self, values: Sequence[int | Length]) -> str:
        """Lengths as one value, int64 [number of lengths]."""
        known = [as_length(value) for value in values]
        per_row, fixed = ([getattr(v, part) for v in known] for part in ("per_row", "fixed"))
        if not any(per_row):
            return self.constant(fixed, np.int64)
        return self._linear(np.array(per_row, np.int64), np.array(fixed, np.int64), self.rows())

    def affine(self, value: Affine, dtype: DTypeLike) -> str:
        """A constant that depends linearly on the number of rows."""
        rows = self.op("Reshape", self.rows(), self.constant([], np.int64))
        rows = self.cast(rows, np.int64, np.float64)
        return self.cast(self._linear(value.per_row, value.fixed, rows), np.float64, dtype)

    def _linear(self, per_row: Array, fixed: Array, rows: str) -> str:
        product = self.op("Mul", rows, self.constant(per_row))
        return self.op("Add", product, self.constant(fixed)) if fixed.any() else product

    # The whole

    def model(
        self, outputs: Sequence[tuple[str, str, DTypeLike, Sequence[str | int]]], facts: dict[str, str]
    ) -> bytes:
        """Return the file's bytes. ``outputs`` holds (name, value, dtype, shape), ``facts`` the model's metadata."""
        from onnx import checker, helper

        from chainrule._version import __version__

        results = []
        for wanted, value, dtype, shape in outputs:
            name = self._free(wanted)
            self.nodes.append(helper.make_node("Identity", [value], [name], name))
            results.append(helper.make_tensor_value_info(name, element_type(dtype), list(shape)))
        graph = helper.make_graph(
            self.nodes, "chainrule", self.inputs, results, list(self.initializers.values())
        )
        opsets = [helper.make_opsetid("", OPSET)]
        if any(node.domain for node in self.nodes):
            opsets.append(helper.make_opsetid("ai.onnx.ml", 3))
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name="chainrule",
            producer_version=__version__,
        )
        helper.set_model_props(model, facts)
        checker.check_model(model)
        return model.SerializeToString(deterministic=True)


def element_type(dtype: DTypeLike) -> int:
    """Return ONNX's number of a dtype; ``object`` stands for text."""
    from onnx import TensorProto, helper

    dtype = np.dtype(dtype)
    return TensorProto.STRING if dtype.kind == "O" else helper.np_dtype_to_tensor_dtype(dtype)


def _tensor(array: Array, name: str) -> TensorProto:
    from onnx import TensorProto, helper, numpy_helper

    if array.dtype.kind == "O":
        texts = [str(text).encode() for text in array.ravel()]
        return helper.make_tensor(name, TensorProto.STRING, array.shape, texts)  # type: ignore[arg-type]
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
