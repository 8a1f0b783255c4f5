"""``cr.diagnose``: measures a network on its data and says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.inspect.diagnosis.curvature import WHOLE, Curvature, curvature, hessian_product
from chainrule.inspect.diagnosis.evidence import Evidence, weight_sizes
from chainrule.inspect.diagnosis.finding import Diagnosis, Figure
from chainrule.inspect.diagnosis.findings import find_all
from chainrule.inspect.diagnosis.findings.critical_point import kind_of_point
from chainrule.inspect.diagnosis.findings.noisy_steps import noise_scale
from chainrule.inspect.diagnosis.findings.step_too_small import path_length
from chainrule.inspect.diagnosis.neighbours import neighbours
from chainrule.inspect.diagnosis.outcome import adds_up, evaluate, labels_of, predicted_labels, some_of
from chainrule.inspect.diagnosis.probe import Probe, Probed
from chainrule.inspect.diagnosis.recorder import Recorder
from chainrule.inspect.diagnosis.slopes import dead, saturated_share
from chainrule.inspect.second_derivative import SecondDerivativeTest, second_derivative_test
from chainrule.nn.modes import at_inference
from chainrule.nn.module import Module
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.settings import check_count
from chainrule.tensor import Tensor
from chainrule.training.batches import Rows, as_rows
from chainrule.training.history import History
from chainrule.training.step import Loss, Penalty


def diagnose(
    model: Module,
    data: tuple[Any, Any],
    loss: Loss,
    history: History | None = None,
    *,
    validation: tuple[Any, Any] | None = None,
    optimizer: Optimizer | None = None,
    batch_size: int | None = None,
    penalty: Penalty | None = None,
    record: Recorder | None = None,
    rows: int = 512,
    seed: int = 0,
) -> Diagnosis:
    """What is wrong with a network, its run or its data: findings with evidence and remedy; none where all is well.

    ``data = (X, y)`` are the training rows, X [rows, features], y [rows] or [rows, outputs]; ``loss`` and
    ``penalty`` are those that were trained with. Without ``history`` (what ``cr.fit`` returned) only the
    network as it is and the data are looked at: first values before any training, for example. ``validation``
    rows are needed for overfitting, ``record`` (a ``cr.Recorder``) for statements about when something began;
    ``optimizer`` and ``batch_size`` stand in where there is no history to tell. Layers, gradient and curvature
    are measured on ``rows`` of the training rows, drawn by ``seed``. Nothing is changed, model and data included.

    Looked at are: saturated, dead and identical units; gradients and activations across depth; learning rates
    against curvature and weights; the gradient's noise; saddles and flat regions by the extreme eigenvalues of
    the Hessian; over- and underfitting; the scales of columns and target, contradictions and noise in the
    labels. Raises what ``cr.fit`` raises for data that cannot be trained on.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> model = nn.MLP([2, 8, 1], "tanh", seed=0)
    >>> model[0].weight.data[:] *= 1000
    >>> diagnosis = cr.diagnose(model, (x, x[:, :1] * x[:, 1:]), nn.squared_error)
    >>> diagnosis.kinds
    ['saturated units']
    >>> diagnosis.findings[0].remedy
    "smaller first weights (Glorot's), scaled columns, batch normalisation, or ReLU"
    """
    if not isinstance(model, Module):
        raise SettingError("diagnose: model is of the wrong kind", expected="an nn.Module", got=quoted(model))
    given = as_rows(data, model)
    held_out = None if validation is None else as_rows(validation, model, "validation ")
    evidence = _gather(
        model,
        given,
        held_out,
        loss,
        penalty,
        history,
        record,
        optimizer,
        batch_size,
        check_count("rows", rows),
        seed,
    )
    return Diagnosis(find_all(evidence), _figures(evidence), _layers(evidence), _not_measured(evidence))


def _gather(
    model: Module,
    given: Rows,
    held_out: Rows | None,
    loss: Loss,
    penalty: Penalty | None,
    history: History | None,
    record: Recorder | None,
    optimizer: Optimizer | None,
    batch_size: int | None,
    rows: int,
    seed: int,
) -> Evidence:
    training = evaluate(model, loss, given)
    chosen = np.random.default_rng(seed).permutation(len(given))[:rows]
    sample = Rows(given.x[chosen], given.y[chosen])
    some = some_of(given)
    outputs = model.predict(some.x)
    labels = labels_of(some.y, outputs)
    finite = all(np.isfinite(p.numpy()).all() for p in model.parameters()) and np.isfinite(training.loss)
    size = batch_size or (history.batch_size if history is not None else 0)
    part = outputs[:rows]
    return Evidence(
        model=model,
        rows=some,
        labels=labels,
        predicted=None if labels is None else predicted_labels(outputs, loss),
        training=training,
        validation=None if held_out is None else evaluate(model, loss, held_out),
        probed=Probe(model, loss, penalty, sample).read() if finite else None,
        curvature=_curvature(model, loss, penalty, sample, seed) if finite else None,
        neighbours=neighbours(some.x, some.y, labels, seed),
        history=history,
        record=record,
        optimizer=optimizer.describe() if optimizer is not None else history.optimizer if history else {},
        batch_size=size,
        whole=None if penalty is not None else _whole(model, loss, sample),
        curvature_of_step=size / len(sample) if size and adds_up(loss, part, some.y[: len(part)]) else 1.0,
    )


def _whole(model: Module, loss: Loss, sample: Rows) -> Callable[[float], SecondDerivativeTest] | None:
    """The second-derivative test of a small network, by its tolerance."""
    theta = nn.flatten_parameters(model).astype(np.float64)
    if not 0 < len(theta) <= WHOLE:
        return None
    function = nn.as_function(model)

    def objective(t: Tensor) -> Tensor:
        return loss(function(t, Tensor.leaf(sample.x)), Tensor.leaf(sample.y))

    def test(tolerance: float) -> SecondDerivativeTest:
        with at_inference(model):
            return second_derivative_test(
                objective,
                theta,
                tolerance=tolerance,
                gradient_tolerance=float("inf"),
                step_tolerance=float("inf"),
            )

    return test


def _curvature(
    model: Module, loss: Loss, penalty: Penalty | None, sample: Rows, seed: int
) -> Curvature | None:
    if not model.parameters():
        return None
    found = curvature(*hessian_product(model, loss, penalty, sample), seed)
    return found if np.isfinite([found.lowest, found.highest]).all() else None


def _figures(e: Evidence) -> dict[str, Figure]:
    figures: dict[str, Figure] = {
        "rows": len(e.rows),
        "parameters": sum(p.size for p in e.model.parameters()),
        "training loss": e.training.loss,
        "loss of a constant": e.training.baseline,
        "skill on training rows": e.training.skill,
    }
    if e.validation is not None:
        figures |= {"validation loss": e.validation.loss, "skill on validation rows": e.validation.skill}
    if e.neighbours is not None:
        figures["skill of nearest neighbours"] = e.neighbours.skill
    if e.probed is not None:
        figures |= {"gradient norm": e.probed.gradient_norm, "noise scale, rows": noise_scale(e)}
    if e.curvature is not None:
        c = e.curvature
        figures |= {
            "curvature along the gradient": c.along,
            "lowest eigenvalue of the Hessian": c.lowest,
            "highest eigenvalue of the Hessian": c.highest,
            "bounds on their errors": f"{c.lowest_error:.2g}, {c.highest_error:.2g}",
            "second-derivative test": kind_of_point(e),
        }
        if len(e.learning_rates):
            figures["last learning rate times curvature"] = (
                float(e.learning_rates[-1]) * c.highest * e.curvature_of_step
            )
    if e.replica is not None and len(e.learning_rates):
        size = float(np.sqrt(sum(w**2 for w in weight_sizes(e.model).values())))
        figures["path of all steps over weights' norm"] = path_length(e) / size if size > 0 else float("inf")
    return figures


def _layers(e: Evidence) -> tuple[dict[str, Figure], ...]:
    return tuple(_layer(e, e.probed, i) for i in range(len(e.readings)) if e.probed is not None)


def _layer(e: Evidence, probed: Probed, index: int) -> dict[str, Figure]:
    reading = probed.readings[index]
    with np.errstate(over="ignore"):
        row: dict[str, Figure] = {
            "layer": reading.layer.name,
            "units": reading.values.shape[1],
            "activation": float(np.sqrt(np.mean(np.square(reading.values)))),
            "message": float(np.sqrt(np.mean(np.square(reading.messages)))),
        }
    if reading.slope is not None:
        row |= {"saturated": saturated_share(reading), "dead": int(dead(reading).sum())}
    weights = [name for name in reading.layer.parameters if name.rsplit(".", 1)[-1] == "weight"]
    if weights:
        row |= {"gradient/weight": _ratio(e, probed, weights[0])}
        update = _update(e, weights[0], row["gradient/weight"])
        if update is not None:
            row["update/weight"] = update
    return row


def _ratio(e: Evidence, probed: Probed, name: str) -> float:
    size = weight_sizes(e.model)[name]
    return float(np.linalg.norm(probed.gradient[name])) / size if size > 0 else float("inf")


def _update(e: Evidence, name: str, ratio: Figure) -> float | None:
    """How far a step moves a weight, relative to its norm: recorded, or from the last learning rate."""
    if e.record is not None and e.history is not None:
        _, moved = e.record.series("update", name, e.history.best)
        if len(moved) and np.isfinite(moved[-1]) and e.steps_per_epoch:
            return float(moved[-1] / e.steps_per_epoch)
    if not len(e.learning_rates):
        return None
    lr = float(e.learning_rates[-1])
    if e.plain_steps:
        return lr * float(ratio) / (1 - e.momentum)
    parameter = dict(e.model.named_parameters())[name]
    size = weight_sizes(e.model)[name]
    return lr * float(np.sqrt(parameter.size)) / size if size > 0 else float("inf")


def _not_measured(e: Evidence) -> tuple[str, ...]:
    missing = []
    if e.probed is None:
        missing.append("layers, gradient and curvature: the network's numbers are not finite")
    if e.history is None:
        missing.append("the run: no history was given")
    if e.validation is None:
        missing.append("overfitting: no validation rows were given")
    if e.neighbours is None:
        missing.append("how predictable the data are: fewer than 30 rows, or no spread")
    return tuple(missing)
