"""How the loss curves: along the gradient, and the extreme eigenvalues of its Hessian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chainrule.backward import backward
from chainrule.graph import new_leaf
from chainrule.inspect.diagnosis.anatomy import anatomy, ones
from chainrule.interpret import Interpreted
from chainrule.nn.module import Module
from chainrule.training.batches import Rows
from chainrule.training.step import Loss, Penalty

Floats = NDArray[np.float64]
Product = Callable[[Floats], Floats]
WHOLE = 48  # parameters up to which the whole Hessian is formed, column by column
STEPS = 24  # of the Lanczos iteration otherwise
SETTLED = 0.01  # an eigenvalue is known once its residual is this share of the largest


@dataclass(frozen=True)
class Curvature:
    """Second derivatives of the loss at the network's parameters.

    ``along`` is g' H g / g' g for the gradient g, NaN where g is 0. ``lowest`` and ``highest`` are the extreme
    eigenvalues of the Hessian H, with ``lowest_error`` and ``highest_error`` as bounds on their errors.
    """

    along: float
    lowest: float
    highest: float
    lowest_error: float
    highest_error: float


def hessian_product(model: Module, loss: Loss, penalty: Penalty | None, rows: Rows) -> tuple[Product, Floats]:
    """The function v -> H v of the loss over these rows, traced once, and the gradient [parameters].

    One reverse sweep over another, as ``cr.hvp`` does it; vectors hold the parameters in the order of
    ``nn.flatten_parameters``.
    """
    a = anatomy(model, loss, penalty, rows.forms(len(rows)))
    parameters = list(a.parameters.values())
    gradient = backward([a.loss], [ones(a.loss)], parameters)
    reached = [(p, g) for p, g in zip(parameters, gradient, strict=True) if g is not None]
    directions = {p: new_leaf(p.shape, p.dtype, "v") for p in parameters}
    swept = backward([g for _, g in reached], [directions[p] for p, _ in reached], parameters)
    zeros = [ones(p) * 0.0 for p in parameters]
    filled = [z if node is None else node for node, z in zip(swept, zeros, strict=True)]
    known = [z if node is None else node for node, z in zip(gradient, zeros, strict=True)]
    program = Interpreted([a.x, a.y, *directions.values()], filled)
    start = _flat(Interpreted([a.x, a.y], known)(rows.x, rows.y))
    ends = np.cumsum([int(np.prod(p.shape)) for p in parameters])

    def product(v: Floats) -> Floats:
        pieces = np.split(v, ends[:-1])
        given = [piece.reshape(p.shape).astype(p.dtype) for piece, p in zip(pieces, parameters, strict=True)]
        return _flat(program(rows.x, rows.y, *given))

    return product, start


def curvature(product: Product, gradient: Floats, seed: int = 0) -> Curvature:
    """The curvature along the gradient and the extreme eigenvalues of a symmetric matrix given by its product.

    Up to 48 parameters the matrix is formed; beyond, 24 steps of the Lanczos iteration with full
    reorthogonalisation, whose error bounds are the residuals (Golub and Van Loan, section 10.1).
    """
    size, n = float(np.linalg.norm(gradient)), len(gradient)
    unit = gradient / size if size > 0 else gradient
    along = float(unit @ product(unit)) if size > 0 else float("nan")
    if n <= WHOLE:
        matrix = np.stack([product(row) for row in np.eye(n)])
        values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
        return Curvature(along, float(values[0]), float(values[-1]), 0.0, 0.0)
    return Curvature(along, *_lanczos(product, n, seed))


def _lanczos(product: Product, n: int, seed: int) -> tuple[float, float, float, float]:
    """Lowest and highest eigenvalue, and bounds on their errors."""
    v = np.random.default_rng(seed).normal(size=n)
    basis = np.zeros((STEPS, n))
    diagonal, beside = [], [0.0]
    for k in range(STEPS):
        basis[k] = v / np.linalg.norm(v)
        v = product(basis[k])
        diagonal.append(float(basis[k] @ v))
        for _ in range(2):  # twice is enough (Parlett, 1980)
            v = v - basis[: k + 1].T @ (basis[: k + 1] @ v)
        beside.append(float(np.linalg.norm(v)))
        values, vectors = np.linalg.eigh(
            np.diag(diagonal) + np.diag(beside[1:-1], 1) + np.diag(beside[1:-1], -1)
        )
        errors = beside[-1] * np.abs(vectors[-1])
        largest = float(np.abs(values).max())
        if max(errors[0], errors[-1]) <= SETTLED * largest or beside[-1] <= 1e-12 * largest:
            break
    return float(values[0]), float(values[-1]), float(errors[0]), float(errors[-1])


def _flat(arrays: list[NDArray[np.float64]]) -> Floats:
    return np.concatenate([np.asarray(a, np.float64).ravel() for a in arrays] or [np.zeros(0)])
