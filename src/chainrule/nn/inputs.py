"""Finds out the shape of a network's input from its first layer or from an example."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.errors import SettingError
from chainrule.missing import as_array
from chainrule.ops.record import Form
from chainrule.tensor import TensorLike

if TYPE_CHECKING:
    from chainrule.nn.module import Module


def row_form(model: Module, example: TensorLike | None = None) -> Form:
    """Return shape and dtype of one input row, from ``example`` [rows, ...] or else from the first layer.

    Raises SettingError if neither says how many features there are.

    >>> from chainrule import nn
    >>> row_form(nn.MLP([4, 8, 2])).shape
    (4,)
    """
    if example is not None:
        array = as_array(example, name="example")
        if array.ndim == 0:
            raise SettingError(
                "example must be a batch of input rows", expected="[rows, ...]", got=f"a number: {example!r}"
            )
        floating = array.dtype.kind == "f"
        return Form(array.shape[1:], model.dtype if floating else array.dtype)
    for _, module in model.named_modules():
        if getattr(module, "in_features", 0) is None:  # it takes any number, so a later layer's says nothing
            break
        features = _features(module)
        if features is not None:
            return Form((features,), model.dtype)
    raise SettingError(
        "the number of input features cannot be read from this model's layers",
        expected="an example of its input [rows, ...]",
        got=repr(model)[:200],
        hint="example=X[:1]",
    )


def _features(module: Module) -> int | None:
    for name in ("in_features", "features"):
        value = getattr(module, name, None)
        if isinstance(value, int):
            return value
    names = getattr(module, "inputs", None)  # of a network on a graph
    return len(names) if isinstance(names, list | tuple) else None
