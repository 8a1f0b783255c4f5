"""Per-layer statistics over a run: a callback for ``cr.fit`` that reads the network after each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.describe import list_some
from chainrule.errors import SettingError
from chainrule.foreign_text import clipped, quoted
from chainrule.inspect.diagnosis.probe import Probe, Reading, norm, root_mean_square
from chainrule.inspect.diagnosis.slopes import dead, saturated_share
from chainrule.optim.settings import check_count
from chainrule.training.batches import as_rows
from chainrule.training.progress import Epoch
from chainrule.training.step import Loss, Penalty

Floats = NDArray[np.float64]
BINS = 40


@dataclass(frozen=True)
class Snapshot:
    """A network after an epoch (counted from 1).

    ``layers`` holds statistics by layer: the root mean square of its values ("activation") and messages
    ("message"), the share of saturated ("saturated") and dead ("dead") units. ``parameters`` holds by
    parameter its norm ("weight"), its gradient's ("gradient"), and how far it moved since the snapshot before,
    relative to its norm ("update"; NaN for the first). Histograms are counts between edges.
    """

    epoch: int
    layers: dict[str, dict[str, float]]
    parameters: dict[str, dict[str, float]]
    activation_histograms: dict[str, tuple[Floats, Floats]]
    weight_histograms: dict[str, tuple[Floats, Floats]]


class Recorder:
    """Keeps per-layer statistics of a run: give it to ``cr.fit`` as a callback and to ``cr.diagnose`` as record.

    After every ``every``-th epoch it runs the network on the first ``rows`` of ``data = (X, y)`` at inference,
    forward and backward, without changing the run. ``snapshots`` [replica] lists what it saw (see
    :class:`Snapshot`), ``series`` gives one statistic over the epochs.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
    >>> recorder = cr.Recorder((x, x**2), nn.squared_error)
    >>> history = cr.fit(
    ...     nn.MLP([1, 4, 1], "tanh", seed=0),
    ...     (x, x**2),
    ...     loss=nn.squared_error,
    ...     optimizer=optim.Adam(0.01),
    ...     epochs=3,
    ...     callbacks=[recorder],
    ... )
    >>> recorder.series("saturated", "1: Tanh")
    (array([1, 2, 3]), array([0., 0., 0.]))
    """

    def __init__(
        self,
        data: tuple[Any, Any],
        loss: Loss,
        *,
        penalty: Penalty | None = None,
        rows: int = 64,
        every: int = 1,
    ) -> None:
        self._data, self._loss, self._penalty = data, loss, penalty
        self._rows, self._every = check_count("rows", rows), check_count("every", every)
        self._probe: Probe | None = None
        self._model: object = None
        self._before: dict[int, dict[str, Floats]] = {}
        self.snapshots: dict[int, list[Snapshot]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles hold: the network is looked at anew."""
        return vars(self) | {"_probe": None, "_model": None}

    def __call__(self, epoch: Epoch) -> None:
        """Read the network."""
        if (epoch.number - 1) % self._every:
            return
        if self._probe is None or self._model is not epoch.model:
            x, y = self._data
            sample = as_rows((x[: self._rows], y[: self._rows]), epoch.model)
            self._probe = Probe(epoch.model, self._loss, self._penalty, sample, parts=1)
            self._model = epoch.model
        probed = self._probe.read()
        weights = {name: p.numpy().astype(np.float64) for name, p in epoch.model.named_parameters()}
        before = self._before.get(epoch.replica, {})
        self._before[epoch.replica] = weights
        self.snapshots.setdefault(epoch.replica, []).append(
            Snapshot(
                epoch.number,
                {r.layer.name: _statistics(r) for r in probed.readings},
                {name: _movement(w, before.get(name), probed.gradient[name]) for name, w in weights.items()},
                {r.layer.name: _histogram(r.values) for r in probed.readings},
                {name: _histogram(w) for name, w in weights.items()},
            )
        )

    def series(self, statistic: str, name: str, replica: int = 0) -> tuple[NDArray[np.int64], Floats]:
        """Epochs and values of a statistic of a layer or a parameter.

        Raises SettingError where there is no such statistic, or none by that name.
        """
        snapshots = self.snapshots.get(replica, [])
        found = [{**s.layers, **s.parameters}.get(name, {}).get(statistic) for s in snapshots]
        if any(value is None for value in found):
            known = {**snapshots[0].layers, **snapshots[0].parameters}
            raise SettingError(
                f"the record has no {quoted(statistic)} of {quoted(name)}",
                expected="; ".join(
                    f"{clipped(part)}: {list_some(list(values))}" for part, values in known.items()
                ),
                got=f"{quoted(statistic)} of {quoted(name)}",
            )
        return np.array([s.epoch for s in snapshots], np.int64), np.array(found, np.float64)


def _statistics(reading: Reading) -> dict[str, float]:
    values = {
        "activation": root_mean_square(reading.values),
        "message": root_mean_square(reading.messages),
    }
    if reading.slope is not None:
        values["dead"] = float(np.mean(dead(reading)))
        values["saturated"] = saturated_share(reading)
    return values


def _movement(weight: Floats, before: Floats | None, gradient: Floats) -> dict[str, float]:
    size = norm([weight])
    moved = float("nan") if before is None else norm([weight - before]) / size if size > 0 else 0.0
    return {"weight": size, "gradient": norm([gradient]), "update": moved}


def _histogram(values: Floats) -> tuple[Floats, Floats]:
    """Counts [bins] between edges [bins + 1]; as np.histogram, in a third of its time."""
    flat = values.ravel()
    low, high = (float(flat.min()), float(flat.max())) if flat.size else (0.0, 0.0)
    if not np.isfinite(high - low):
        flat = flat[np.isfinite(flat)]
        low, high = (float(flat.min()), float(flat.max())) if flat.size else (0.0, 0.0)
    if high <= low:
        low, high = low - 0.5, low + 0.5
    place = np.minimum(((flat - low) * (BINS / (high - low))).astype(np.int64), BINS - 1)
    return np.bincount(place, minlength=BINS).astype(np.float64), np.linspace(low, high, BINS + 1)
