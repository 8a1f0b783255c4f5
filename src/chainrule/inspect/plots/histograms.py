"""Plots the distribution of weights or activations over the epochs of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from chainrule.charts import canvas
from chainrule.data.describe import list_some
from chainrule.errors import SettingError
from chainrule.foreign_text import clipped, quoted
from chainrule.inspect.diagnosis.recorder import Recorder, Snapshot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
BINS = 80


def plot_histograms(
    recorder: Recorder,
    name: str | None = None,
    *,
    of: Literal["weights", "activations"] = "weights",
    replica: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Plot the distribution of a parameter or of a layer's activations after every recorded epoch; dark is dense.

    ``name`` is the name of a parameter such as "0.weight", or of a layer such as "1: Tanh"; by default the first.
    Lines mark the median and the 5% and 95% quantiles. Returns matplotlib's axes; draws on ``ax`` if given. Raises
    SettingError if nothing was recorded under that name, or if matplotlib is not installed.

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
        raise SettingError("plot_histograms: of", expected="'weights' or 'activations'", got=quoted(of))
    snapshots = recorder.snapshots.get(replica, [])
    first = _kept(snapshots[0], of) if snapshots else {}
    chosen = name or next(iter(first), "")
    if chosen not in first:
        raise SettingError(
            "nothing was recorded under that name", expected=list_some(list(first)), got=quoted(chosen)
        )
    found = [_kept(s, of)[chosen] for s in snapshots]
    low, high = min(e[0] for _, e in found), max(e[-1] for _, e in found)
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    density = np.stack([_rebinned(counts, own, edges) for counts, own in found], 1)
    epochs = np.array([s.epoch for s in snapshots], np.float64)
    with canvas(ax) as axes:
        across = np.append(epochs, 2 * epochs[-1] - epochs[-2] if len(epochs) > 1 else epochs[-1] + 1) - 0.5
        axes.pcolormesh(across, edges, np.sqrt(density), cmap="Blues", rasterized=True)
        for q, dashes in ((0.05, ":"), (0.5, "-"), (0.95, ":")):
            line = [_quantile(counts, own, q) for counts, own in found]
            axes.plot(epochs, line, dashes, color="black", linewidth=1.0)
        axes.set(xlabel="epoch", ylabel="value")
        axes.set_title(clipped(chosen), parse_math=False)
        return axes


def _kept(snapshot: Snapshot, of: str) -> dict[str, tuple[Floats, Floats]]:
    return snapshot.weight_histograms if of == "weights" else snapshot.activation_histograms


def _rebinned(counts: Floats, own: Floats, edges: Floats) -> Floats:
    """The fraction of values in each of the common bins, assuming they are uniform within their own bins."""
    total = np.concatenate([[0.0], np.cumsum(counts)]) / max(counts.sum(), 1.0)
    return np.diff(np.interp(edges, own, total))


def _quantile(counts: Floats, own: Floats, q: float) -> float:
    total = np.concatenate([[0.0], np.cumsum(counts)]) / max(counts.sum(), 1.0)
    return float(np.interp(q, total, own))
