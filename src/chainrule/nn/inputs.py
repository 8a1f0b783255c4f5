"""What a network takes: the shape of one row, read off its first layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import SettingError
from chainrule.nn.module import Module
from chainrule.ops.record import Form


def row_form(model: Module, example: Any = None) -> Form:
    """Shape and dtype of one row of the input: those of ``example`` [rows, ...], else of the first layer.

    Raises SettingError where neither says how many features there are.

    >>> from chainrule import nn
    >>> row_form(nn.MLP([4, 8, 2])).shape
    (4,)
    """
    if example is not None:
        array = np.asarray(example)
        if array.ndim == 0:
            raise SettingError(
                "example: a single number", expected="rows such as the model gets", got=repr(example)
            )
        floating = array.dtype.kind == "f"
        return Form(array.shape[1:], model.dtype if floating else array.dtype)
    for _, module in model.named_modules():
        features = _features(module)
        if features is not None:
            return Form((features,), model.dtype)
    raise SettingError(
        "no layer of this model says how many features its input has",
        expected="rows such as the model gets, as an example",
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
