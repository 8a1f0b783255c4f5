"""How weights or activations are spread, over the epochs of a run."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from chainrule.charts import canvas
from chainrule.errors import SettingError
from chainrule.inspect.diagnosis.recorder import Recorder, Snapshot

Floats = NDArray[np.float64]
BINS = 80


def plot_histograms(
    recorder: Recorder,
    name: str | None = None,
    *,
    of: Literal["weights", "activations"] = "weights",
    replica: int = 0,
    ax: Any = None,
) -> Any:
    """The distribution of a parameter or of a layer's activations after every recorded epoch, dark where dense.

    ``name`` is that of a parameter such as "0.weight", or of a layer such as "1: Tanh"; by default the first. Lines
    mark the median and the middle 90%. Returns the axes. Raises SettingError where nothing was recorded by that name.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
    >>> recorder, model = cr.Recorder((x, x**2), nn.squared_error), nn.MLP([1, 4, 1], "tanh", seed=0)
    >>> run = {"loss": nn.squared_error, "optimizer": optim.Adam(0.01), "epochs": 3}
    >>> history = cr.fit(model, (x, x**2), callbacks=[recorder], **run)
    >>> cr.plot_histograms(recorder, "1: Tanh", of="activations").get_title()
    '1: Tanh'
    """
    if of not in ("weights", "activations"):
        raise SettingError("plot_histograms: of", expected="'weights' or 'activations'", got=repr(of))
    snapshots = recorder.snapshots.get(replica, [])
    first = _kept(snapshots[0], of) if snapshots else {}
    chosen = name or next(iter(first), "")
    if chosen not in first:
        raise SettingError("nothing was recorded by that name", expected=", ".join(first), got=repr(chosen))
    found = [_kept(s, of)[chosen] for s in snapshots]
    low, high = min(e[0] for _, e in found), max(e[-1] for _, e in found)
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    density = np.stack([_rebinned(counts, own, edges) for counts, own in found], 1)
    epochs = np.array([s.epoch for s in snapshots], np.float64)
    with canvas(ax) as axes:
        across = np.append(epochs, 2 * epochs[-1] - epochs[-2] if len(epochs) > 1 else epochs[-1] + 1) - 0.5
        axes.pcolormesh(across, edges, np.sqrt(density), cmap="Blues", rasterized=True)
        for share, dashes in ((0.05, ":"), (0.5, "-"), (0.95, ":")):
            line = [_quantile(counts, own, share) for counts, own in found]
            axes.plot(epochs, line, dashes, color="black", linewidth=1.0)
        axes.set(xlabel="epoch", ylabel="value", title=chosen)
        return axes


def _kept(snapshot: Snapshot, of: str) -> dict[str, tuple[Floats, Floats]]:
    return snapshot.weight_histograms if of == "weights" else snapshot.activation_histograms


def _rebinned(counts: Floats, own: Floats, edges: Floats) -> Floats:
    """The share of all values in each of the common bins, as if spread evenly over each of its own."""
    total = np.concatenate([[0.0], np.cumsum(counts)]) / max(counts.sum(), 1.0)
    return np.diff(np.interp(edges, own, total))


def _quantile(counts: Floats, own: Floats, share: float) -> float:
    total = np.concatenate([[0.0], np.cumsum(counts)]) / max(counts.sum(), 1.0)
    return float(np.interp(share, total, own))
