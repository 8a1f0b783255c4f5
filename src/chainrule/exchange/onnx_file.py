"""``cr.save_onnx``: a model, with its preprocessing if it has one, as an ONNX file."""

from __future__ import annotations

import json
from collections.abc import Callable
from os import PathLike
from typing import Any, Protocol, runtime_checkable

import numpy as np

from chainrule.data import Column, Preprocessor, Target
from chainrule.errors import ExchangeError, SettingError, describe_line
from chainrule.exchange.dynamic import Dynamic, Length, Part, trace_rows
from chainrule.exchange.onnx_ops import MAPPINGS
from chainrule.exchange.onnx_writer import ROWS_NAME, Writer
from chainrule.files import write_atomically
from chainrule.nn.inputs import row_form
from chainrule.nn.module import Module, at_inference
from chainrule.ops.record import Form
from chainrule.tensor import Tensor, as_tensor

LOCAL = "chainrule."  # prefix of what the file says about the model


@runtime_checkable
class HasPreprocessing(Protocol):
    """A network with the way from a table to its inputs and from its outputs to predictions."""

    @property
    def network(self) -> Module:
        """The network."""

    @property
    def preprocessor(self) -> Preprocessor:
        """What it was learned from the training table."""


def save_onnx(
    model: Module | HasPreprocessing | Callable[[Tensor], Tensor],
    path: str | PathLike[str],
    *,
    example: Any = None,
) -> None:
    """Write a model as ONNX (opset 18), for any number of rows; needs ``pip install 'chainrule[onnx]'``.

    What is written is the computation itself, at inference: any module exports, also one of your own, and so
    does a function of one tensor. ``example`` [rows, ...] shows what the input looks like, where the first layer
    does not say so; it is needed for a function.

    A module's file has the input ``x`` [rows, ...] and the output ``y``. The file of a model of a table has one
    input [rows] for each column: text for categories ("" where missing), float64 for numbers, booleans (0 or 1)
    and dates (seconds since 1970-01-01), NaN where missing. Its output is ``prediction`` [rows]: a class as it
    stood in the training table, or a number in the target's units; and ``probabilities`` [rows, classes]. Where a
    column has one of these names, the output's has "_" behind it.

    Raises ExchangeError, naming the line, for what ONNX cannot express; FileWriteError.

    >>> import tempfile
    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cr.save_onnx(nn.MLP([4, 8, 2]), f"{folder}/model.onnx")
    """
    write_atomically(path, to_onnx(model, example=example))


def to_onnx(model: Module | HasPreprocessing | Callable[[Tensor], Tensor], *, example: Any = None) -> bytes:
    """The bytes of the file that ``save_onnx`` writes."""
    _need_onnx()
    if isinstance(model, HasPreprocessing):
        return _table_model(model)
    function, form = _function_of(model, example)
    w = Writer(["x"])
    graph = _traced(model, function, form)
    given = w.input("x", form.dtype, [ROWS_NAME, *form.shape])
    result = write_graph(w, graph, given, model)
    output = graph.output
    return w.model([("y", result, output.dtype, _shown(output.shape))], {})


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise ExchangeError(
            "writing ONNX needs the package onnx", hint="pip install 'chainrule[onnx]'"
        ) from None


def _function_of(model: Any, example: Any) -> tuple[Callable[[Tensor], Tensor], Form]:
    if isinstance(model, Module):
        return model.forward, row_form(model, example)
    if not callable(model):
        raise SettingError(
            "save_onnx: nothing that can be exported",
            expected="an nn.Module, a model of a table, or a function of one tensor",
            got=repr(model)[:200],
        )
    if example is None:
        raise SettingError("save_onnx: a function does not say what it takes", hint="example=X[:1]")
    array = as_tensor(example)
    return model, Form(array.shape[1:], array.dtype)


def _traced(model: Any, function: Callable[[Tensor], Tensor], form: Form) -> Dynamic:
    if not isinstance(model, Module):
        return trace_rows(function, *form)
    with at_inference(model):
        return trace_rows(function, *form)


def write_graph(w: Writer, graph: Dynamic, given: str, model: object = None) -> str:
    """Write a traced graph; ``given`` is the value of its input. Parameters keep their names."""
    names = {}
    if isinstance(model, Module):
        names = {id(tensor.node): name for name, tensor in model.named_state()}
    values: dict[Part, str] = {}
    for part in graph.parts:
        if part is graph.input:
            values[part] = given
        elif id(part.node) in names:
            values[part] = w.constant(part.params["value"], name=names[id(part.node)])
        else:
            values[part] = _write(w, part, values)
    return values[graph.output]


def _write(w: Writer, part: Part, values: dict[Part, str]) -> str:
    if part.name not in MAPPINGS:
        raise ExchangeError(
            f"{part.name} cannot be written in ONNX",
            where=describe_line(part.node.line),
            hint="random numbers belong to training: switch the model to inference with model.eval()"
            if part.name == "random_bits"
            else "compute it with other operations",
        )
    return MAPPINGS[part.name](w, part, *(values[x] for x in part.inputs))


def _shown(shape: tuple[Any, ...]) -> list[str | int]:
    """Lengths as ONNX shows them: numbers, "rows", or a name for any other that follows the rows."""
    rows = Length(1, 0)
    return [
        length
        if isinstance(length, int)
        else ROWS_NAME
        if length == rows
        else f"{length.per_row}*rows+{length.fixed}"
        for length in shape
    ]


# Tables


def _table_model(model: HasPreprocessing) -> bytes:
    network, preprocessor, target = model.network, model.preprocessor, model.preprocessor.target
    w = Writer(column.name for column in preprocessor.used)
    features = [_features(w, column) for column in preprocessor.used]
    encoded = w.op("Concat", *features, axis=1)
    graph = _traced(network, network.forward, Form((len(preprocessor.feature_names),), np.dtype(np.float32)))
    outputs = write_graph(w, graph, encoded, network)
    facts = {
        LOCAL + "target": target.name,
        LOCAL + "features": json.dumps(preprocessor.feature_names),
        LOCAL + "classes": json.dumps(target.classes),
    }
    if target.task == "regression":
        return w.model([("prediction", _in_units(w, target, outputs), np.float64, [ROWS_NAME])], facts)
    names = _class_names(target)
    label = w.op("ArgMax", outputs, axis=1, keepdims=0)
    prediction = w.op("Gather", w.constant(names), label, axis=0)
    softmax = w.op("Softmax", outputs, axis=1)
    return w.model(
        [
            ("prediction", prediction, names.dtype, [ROWS_NAME]),
            ("probabilities", softmax, np.float32, [ROWS_NAME, len(target.classes)]),
        ],
        facts,
    )


def _features(w: Writer, column: Column) -> str:
    """The features of a column, float32 [rows, features], from an input of its name."""
    behind = w.constant([1], np.int64)
    if column.kind == "categorical":
        return _one_hot(w, column, w.input(column.name, object, [ROWS_NAME]), behind)
    values = w.input(column.name, np.float64, [ROWS_NAME])
    filled = w.op("Where", w.op("IsNaN", values), w.constant(column.fill, np.float64), values)
    centred = w.op("Sub", filled, w.constant(column.mean, np.float64))
    scaled = w.op("Div", centred, w.constant(column.standard_deviation, np.float64))
    return w.op("Unsqueeze", w.cast(scaled, np.float64, np.float32), behind)


def _one_hot(w: Writer, column: Column, texts: str, behind: str) -> str:
    keys = [*column.categories, *[""] * column.missing_category]
    codes = w.op(
        "LabelEncoder",
        texts,
        domain="ai.onnx.ml",
        keys_strings=keys,
        values_int64s=list(range(len(keys))),
        default_int64=-1,  # a category that training did not have is none of them
    )
    equal = w.op("Equal", w.op("Unsqueeze", codes, behind), w.constant(range(len(keys)), np.int64))
    return w.cast(equal, np.bool_, np.float32)


def _in_units(w: Writer, target: Target, outputs: str) -> str:
    wide = w.cast(w.op("Reshape", outputs, w.constant([-1], np.int64)), np.float32, np.float64)
    scaled = w.op("Mul", wide, w.constant(target.standard_deviation, np.float64))
    return w.op("Add", scaled, w.constant(target.mean, np.float64))


def _class_names(target: Target) -> Any:
    if target.class_type == "integer":
        return np.array([int(name) for name in target.classes], np.int64)
    if target.class_type == "boolean":
        return np.array([name == "true" for name in target.classes])
    return np.array(target.classes, object)
