"""Computes the outputs of a network's hidden layers for some rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chainrule import functions as f
from chainrule.data.describe import list_some
from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.inspect.diagnosis.anatomy import anatomy
from chainrule.interpret import Interpreted
from chainrule.nn.module import Module
from chainrule.ops.record import Array
from chainrule.tensor import Tensor
from chainrule.training.batches import as_rows

Floats = NDArray[np.float64]


def hidden_layers(model: Module, x: Array) -> tuple[dict[str, Floats], Floats]:
    """Return the outputs [rows, units] of every hidden activation by name, in order, and the network's outputs."""
    rows = as_rows((x, np.zeros(len(x))), model)
    a = anatomy(model, _sum, None, rows.forms(len(rows)))
    chosen = [layer for layer in a.layers if layer.activation and layer.output is not a.output]
    *values, outputs = Interpreted([a.x], [*(layer.output for layer in chosen), a.output])(rows.x)
    named = {s.name: np.asarray(v, np.float64) for s, v in zip(chosen, values, strict=True)}
    return named, np.asarray(outputs, np.float64).reshape(len(rows), -1)


def hidden_layer(model: Module, x: Array, layer: str | None) -> tuple[str, Floats]:
    """Return name and outputs of a hidden activation, by default the last. Raises SettingError if there is none."""
    values, _ = hidden_layers(model, x)
    if not values or (layer is not None and layer not in values):
        raise SettingError(
            "the network has no such hidden layer",
            expected=list_some(list(values)) or "a network with a hidden activation",
            got=quoted(layer) if layer is not None else "none",
        )
    name = layer or list(values)[-1]
    return name, values[name]


def _sum(prediction: Tensor, target: Tensor) -> Tensor:
    return f.sum(prediction) + 0.0 * f.sum(target)
