"""What a network does on some rows: every layer's values, derivatives and messages, and the gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chainrule.backward import backward
from chainrule.graph import Node
from chainrule.inspect.diagnosis.anatomy import Anatomy, Layer, anatomy, ones
from chainrule.interpret import Interpreted
from chainrule.nn.module import Module
from chainrule.ops.record import Array
from chainrule.training.batches import Rows
from chainrule.training.step import Loss, Penalty

Floats = NDArray[np.float64]
PARTS = 8  # into which the rows are cut, to see how much the gradient varies


@dataclass(frozen=True)
class Reading:
    """One layer on the rows: values [rows, units], messages dL/dvalue [rows, units].

    ``slope`` [rows, units] is the derivative of an elementwise activation at its input, None otherwise.
    """

    layer: Layer
    values: Floats
    messages: Floats
    slope: Floats | None


@dataclass(frozen=True)
class Probed:
    """The loss, the outputs, every layer, the mean gradient by parameter, and how it varies.

    ``noise`` is the trace of the covariance of one row's gradient, NaN where there are too few rows.
    """

    loss: float
    outputs: Array
    readings: tuple[Reading, ...]
    gradient: dict[str, Floats]
    noise: float
    rows: int

    @property
    def gradient_norm(self) -> float:
        """The Euclidean norm of all of the gradient."""
        return norm(list(self.gradient.values()))


class Probe:
    """Reads one network again and again, on the same rows, after its parameters have changed."""

    def __init__(
        self, model: Module, loss: Loss, penalty: Penalty | None, rows: Rows, parts: int = PARTS
    ) -> None:
        parts = parts if len(rows) >= 2 * parts else 1
        size = len(rows) // parts
        self._parts = [
            (rows.x[i * size : (i + 1) * size], rows.y[i * size : (i + 1) * size]) for i in range(parts)
        ]
        self._size = size
        self._anatomy = anatomy(model, loss, penalty, rows.forms(size))
        self._program = self._trace(self._anatomy)

    def _trace(self, a: Anatomy) -> Interpreted:
        layers = [layer.output for layer in a.layers]
        parameters = list(a.parameters.values())
        swept = backward([a.loss], [ones(a.loss)], [*layers, *parameters])
        slopes = [backward([s.output], [ones(s.output)], [s.input])[0] for s in a.layers if s.activation]
        filled = [_or_zero(node, like) for node, like in zip(swept, [*layers, *parameters], strict=True)]
        sloped = [
            _or_zero(node, s.input)
            for node, s in zip(slopes, [s for s in a.layers if s.activation], strict=True)
        ]
        return Interpreted([a.x, a.y], [a.loss, a.output, *layers, *filled, *sloped])

    def read(self) -> Probed:
        """The network as it is now."""
        parts = [self._program(x, y) for x, y in self._parts]
        layers, count = self._anatomy.layers, len(self._anatomy.layers)
        losses = [float(part[0]) for part in parts]
        outputs = np.concatenate([part[1] for part in parts])
        values = [_joined(parts, 2 + i) for i in range(count)]
        messages = [_joined(parts, 2 + count + i) for i in range(count)]
        start = 2 + 2 * count
        names = list(self._anatomy.parameters)
        gradients = [[np.asarray(part[start + i], np.float64) for i in range(len(names))] for part in parts]
        mean = [_mean([g[i] for g in gradients]) for i in range(len(names))]
        slopes = iter([_joined(parts, i) for i in range(start + len(names), len(parts[0]))])
        return Probed(
            float(np.mean(losses)),
            outputs,
            tuple(
                Reading(s, v, m, next(slopes) if s.activation else None)
                for s, v, m in zip(layers, values, messages, strict=True)
            ),
            dict(zip(names, mean, strict=True)),
            self._noise(gradients, mean),
            self._size * len(parts),
        )

    def _noise(self, gradients: list[list[Floats]], mean: list[Floats]) -> float:
        if len(gradients) < 2:
            return float("nan")
        spread = sum(norm([a - b for a, b in zip(g, mean, strict=True)]) ** 2 for g in gradients)
        return self._size * spread / (len(gradients) - 1)


def _mean(arrays: list[Floats]) -> Floats:
    """The mean of arrays of one shape, which are not copied next to each other: they may be large."""
    total = arrays[0].copy()
    for more in arrays[1:]:
        total += more
    return total / len(arrays)


def norm(arrays: list[Floats]) -> float:
    """The Euclidean norm of all arrays together; infinite where it overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(sum(float(np.sum(np.square(a))) for a in arrays)))


def root_mean_square(values: Floats) -> float:
    """The root mean square of all elements; infinite where it overflows."""
    with np.errstate(over="ignore"):
        return float(np.sqrt(np.mean(np.square(values))))


def _or_zero(node: Node | None, like: Node) -> Node:
    """A message, or zeros where there is none."""
    return ones(like) * 0.0 if node is None else node


def _joined(parts: list[list[Array]], index: int) -> Floats:
    """One output of all parts, [rows, units]."""
    arrays = [np.asarray(part[index], np.float64) for part in parts]
    return np.concatenate([a.reshape(len(a), -1) if a.ndim else a.reshape(1, 1) for a in arrays])
