"""``cr.save_onnx``: a model, with its preprocessing if it has one, as an ONNX file."""

from __future__ import annotations

import json
from collections.abc import Callable
from os import PathLike
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from chainrule.data import Column, Preprocessor, Target
from chainrule.data.features.column_options import said_as
from chainrule.errors import ExchangeError, SettingError, describe_line
from chainrule.exchange.dynamic import Dynamic, Length, Part, trace_rows
from chainrule.exchange.onnx_calendar import calendar_features
from chainrule.exchange.onnx_ops import MAPPINGS
from chainrule.exchange.onnx_writer import ROWS_NAME, Writer
from chainrule.files import USUAL, write_atomically
from chainrule.foreign_text import quoted
from chainrule.nn.inputs import row_form
from chainrule.nn.modes import at_inference
from chainrule.nn.module import Module
from chainrule.nn.unsmoothing import Unsmoothing
from chainrule.ops.record import Array, Form
from chainrule.tensor import Tensor, TensorLike, as_tensor

LOCAL = "chainrule."  # prefix of what the file says about the model


@runtime_checkable
class HasPreprocessing(Protocol):
    """A network together with the preprocessing of its table, such as a ``TableModel``."""

    @property
    def network(self) -> Module:
        """The network."""

    @property
    def preprocessor(self) -> Preprocessor:
        """The preprocessing, as learned from the training table."""

    @property
    def unsmoothing(self) -> Unsmoothing:
        """How probabilities follow from the softmax of the network's outputs."""

    @property
    def decision(self) -> tuple[float, ...]:
        """What the probabilities are multiplied by before the largest says the class; nothing if they are not."""


def save_onnx(
    model: Module | HasPreprocessing | Callable[[Tensor], Tensor],
    path: str | PathLike[str],
    *,
    example: TensorLike | None = None,
    mode: int = USUAL,
) -> None:
    """Write a model to an ONNX file (opset 18) that accepts any number of rows. Needs ``chainrule[onnx]``.

    The traced computation at inference is exported, so any module can be, including your own, and so can a function
    of one tensor. ``example`` [rows, ...] is an example of the input; it is needed for a function, and if the first
    layer does not fix the input's shape. ``mode`` holds the permissions of a new file, before the umask.

    A module's file has the input ``x`` [rows, ...] and the output ``y``. The file of a model of a table has one
    input [rows] for each column: text for categories ("" where missing, without spaces around it), float64 for
    numbers, booleans (0 or 1) and dates (seconds since 1970-01-01), NaN where missing. Its output is ``prediction``
    [rows]: a class as it stood in the training table, or a number in the target's units; and ``probabilities``
    [rows, classes]. Where a column has one of these names, the output's has "_" behind it.

    Raises ExchangeError, naming the line, for what ONNX cannot express, and for columns without a name and names of
    columns, categories and classes that hold a NUL; FileWriteError.

    >>> import tempfile
    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cr.save_onnx(nn.MLP([4, 8, 2]), f"{folder}/model.onnx")
    """
    write_atomically(path, to_onnx(model, example=example), mode=mode)


def to_onnx(
    model: Module | HasPreprocessing | Callable[[Tensor], Tensor], *, example: TensorLike | None = None
) -> bytes:
    """Return the bytes of the file that ``save_onnx`` would write."""
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
            "writing ONNX files needs the package onnx", hint="pip install 'chainrule[onnx]'"
        ) from None


def _function_of(model: object, example: TensorLike | None) -> tuple[Callable[[Tensor], Tensor], Form]:
    if isinstance(model, Module):
        return model.forward, row_form(model, example)
    if not callable(model):
        raise SettingError(
            "save_onnx: this cannot be exported",
            expected="an nn.Module, a model of a table, or a function of one tensor",
            got=repr(model)[:200],
        )
    if example is None:
        raise SettingError("save_onnx: a function needs an example of its input", hint="example=X[:1]")
    array = as_tensor(example)
    return model, Form(array.shape[1:], array.dtype)


def _traced(model: object, function: Callable[[Tensor], Tensor], form: Form) -> Dynamic:
    if not isinstance(model, Module):
        return trace_rows(function, *form)
    with at_inference(model):
        return trace_rows(function, *form)


def write_graph(w: Writer, graph: Dynamic, given: str, model: object = None) -> str:
    """Write a traced graph whose input is the value ``given``. Parameters keep their names."""
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


def _shown(shape: tuple[int | Length, ...]) -> list[str | int]:
    """Lengths for ONNX's shapes: numbers, "rows", or a name for a function of the number of rows."""
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
    _need_names(preprocessor)
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
    probabilities = _unsmoothed(w, model.unsmoothing, w.op("Softmax", outputs, axis=1), len(names))
    told = w.op("Mul", probabilities, w.constant(model.decision, np.float32)) if model.decision else outputs
    label = w.op("ArgMax", told, axis=1, keepdims=0)
    prediction = w.op("Gather", w.constant(names), label, axis=0)
    return w.model(
        [
            ("prediction", prediction, names.dtype, [ROWS_NAME]),
            ("probabilities", probabilities, np.float32, [ROWS_NAME, len(target.classes)]),
        ],
        facts,
    )


def _need_names(preprocessor: Preprocessor) -> None:
    """Raise ExchangeError for columns without a name, no input in ONNX, and texts with NUL, which runtimes cut off."""
    if any(column.name == "" for column in preprocessor.used):
        raise ExchangeError(
            "a column without a name cannot be an input in ONNX, where an empty name stands for none",
            expected="a name for every column that the model uses",
            hint="rename the column and train again: frame.rename({'': 'id'})",
        )
    texts = {"class": preprocessor.target.classes, "column": [column.name for column in preprocessor.used]}
    texts |= {
        f"category of column {column.name[:60]!r}": (*column.categories, *column.others)
        for column in preprocessor.used
    }
    for what, names in texts.items():
        for name in names:
            if "\0" in name:
                raise ExchangeError(
                    f"a {what} has a NUL in its name, where readers of ONNX end a text",
                    expected="names without NUL",
                    got=repr(name[:60]),
                    hint="replace the NUL in the table and train again",
                )


def _features(w: Writer, column: Column) -> str:
    """The features of a column, float32 [rows, features], from an input of its name.

    The input is in the column's canonical form: a number, or a text as the table has it.
    """
    if column.kind == "words":
        raise ExchangeError(
            f"column {quoted(column.name)} is free text, whose words ONNX cannot find",
            expected="columns of numbers, dates, truth values or categories",
            hint=f"train without it: {said_as('ignore', column.name)}",
        )
    behind = w.constant([1], np.int64)
    if column.kind == "categorical":
        return _one_hot(w, column, w.input(column.name, object, [ROWS_NAME]), behind)
    values = w.input(column.name, np.float64, [ROWS_NAME])
    low, high = (w.constant(bound, np.float64) for bound in column.bounds)
    clipped = w.op("Clip", values, low, high)
    filled = w.op("Where", w.op("IsNaN", values), w.constant(column.fill, np.float64), clipped)
    centred = w.op("Sub", filled, w.constant(column.mean, np.float64))
    scaled = w.op("Div", centred, w.constant(column.standard_deviation, np.float64))
    feature = w.op("Unsqueeze", w.cast(scaled, np.float64, np.float32), behind)
    return (
        w.op("Concat", feature, calendar_features(w, column.parts, values), axis=1)
        if column.parts
        else feature
    )


def _one_hot(w: Writer, column: Column, texts: str, behind: str) -> str:
    keys = [*column.categories, *[""] * column.missing_category]
    count = len(keys)
    known = [*keys, *column.others, *[""] * (column.has_effects and not column.missing_category)]
    place = {key: number for number, key in enumerate(known)}
    codes = w.op(
        "LabelEncoder",
        texts,
        domain="ai.onnx.ml",
        keys_strings=list(place),
        values_int64s=list(place.values()),
        # a category that training did not have is none of them, or one of the others, of which nothing is known
        default_int64=count + len(column.others) + 1 if column.has_effects else -1,
    )
    deep = w.op("Unsqueeze", codes, behind)
    equal = w.cast(w.op("Equal", deep, w.constant(range(count), np.int64)), np.bool_, np.float32)
    if not column.has_effects:
        return equal
    return w.op("Concat", equal, w.op("Gather", w.constant(_shared_features(column)), codes, axis=0), axis=1)


def _shared_features(column: Column) -> NDArray[np.float32]:
    """Whether it is no frequent category, and the effects, for each code, [codes, 1 + outputs].

    The codes: the frequent categories, missing if training had it, the others, missing if it had not, unknown.
    """
    frequent, others, outputs = len(column.categories), len(column.others), len(column.effect_names)
    count = frequent + column.missing_category
    known = np.array(column.effects, np.float32).reshape(-1, outputs) / np.float32(column.standard_deviation)
    features = np.zeros((count + others + 2, 1 + outputs), np.float32)
    features[count : count + others, 0] = features[-1, 0] = 1
    features[:frequent, 1:], features[count : count + others, 1:] = known[:frequent], known[frequent:]
    return features


def _in_units(w: Writer, target: Target, outputs: str) -> str:
    wide = w.cast(w.op("Reshape", outputs, w.constant([-1], np.int64)), np.float32, np.float64)
    scaled = w.op("Mul", wide, w.constant(target.standard_deviation, np.float64))
    return w.op("Add", scaled, w.constant(target.mean, np.float64))


def _unsmoothed(w: Writer, rule: Unsmoothing, softmax: str, classes: int) -> str:
    """As ``Unsmoothing.probabilities``."""
    less = w.op("Sub", softmax, w.constant(rule.share / classes, np.float32))
    scaled = w.op("Div", less, w.constant(1.0 - rule.share, np.float32))
    raised = w.op("Clip", scaled, w.constant(rule.least, np.float32), w.constant(1.0, np.float32))
    return w.op("Div", raised, w.op("ReduceSum", raised, w.constant([-1], np.int64), keepdims=1))


def _class_names(target: Target) -> Array:
    if target.class_type == "integer":
        return np.array([int(name) for name in target.classes], np.int64)
    if target.class_type == "boolean":
        return np.array([name == "true" for name in target.classes])
    return np.array(target.classes, object)
