"""What all plots have in common: matplotlib, imported on demand, a style for print, colours, curves of restarts.

The colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart; lines differ by their dashes
too, so that they remain distinct in grey.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import SettingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED)
DASHES = ("-", "--", "-.", ":")
GREY = "#6b6b6b"
DECADES = 1.5  # span of the values from which a logarithmic axis is used

STYLE: dict[Any, Any] = {  # matplotlib's rcParams
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "savefig.bbox": "tight",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "pdf.fonttype": 42,  # text stays text in a PDF
}


@contextmanager
def canvas(ax: Axes | None = None, size: tuple[float, float] = (4.6, 3.2)) -> Iterator[Axes]:
    """Yield the axes to draw on: ``ax``, or those of a new pyplot figure of this size in inches, in the print style.

    ``plt.show()`` and notebooks show a new figure, ``plt.close()`` closes it. Raises SettingError if matplotlib is not
    installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise SettingError("plots need matplotlib", hint="pip install 'chainrule[plot]'") from None
    with plt.rc_context(STYLE):
        yield plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def plot_curves(
    ax: Axes,
    curves: Floats,
    kept: int,
    *,
    colour: str = BLUE,
    dashes: str = "-",
    label: str = "",
) -> None:
    """Plot each row of ``curves`` [restarts, epochs] over the epochs from 1: the kept one bold, the others thin."""
    epochs = np.arange(1, curves.shape[1] + 1)
    single = len(epochs) == 1
    for index, curve in enumerate(curves):
        if index != kept:
            ax.plot(
                epochs, curve, dashes, color=colour, alpha=0.35, linewidth=0.8, marker="." if single else ""
            )
    ax.plot(
        epochs, curves[kept], dashes, color=colour, linewidth=2.2, label=label, marker="o" if single else ""
    )


def plot_run(
    ax: Axes | None,
    title: str,
    curves: Sequence[tuple[str, Floats]],
    kept: int,
    kept_epochs: Sequence[int] = (),
) -> Axes:
    """Plot named curves [restarts, epochs] of a run, with a mark at each kept epoch from 0 on.

    The first curve is blue, the second orange and dashed.
    """
    with canvas(ax) as axes:
        for (name, values), colour, dashes in zip(curves, COLOURS, DASHES, strict=False):
            plot_curves(axes, values, kept, colour=colour, dashes=dashes, label=name)
        last = curves[-1][1]
        marks = np.array([epoch for epoch in kept_epochs if 0 <= epoch < last.shape[1]], np.int64)
        if marks.size:
            axes.plot(marks + 1, last[kept, marks], "o", color="black", markersize=5, label="kept")
        logarithmic_where_wide(axes, np.concatenate([values.ravel() for _, values in curves]))
        axes.set(xlabel="epoch", ylabel=title)
        if len(curves) > 1 or marks.size:
            axes.legend(loc="best", fontsize="small")
        return axes


def logarithmic_where_wide(ax: Axes, values: Floats) -> None:
    """Use a logarithmic y axis if all values are positive and span more than 1.5 decades."""
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() > 0 and np.log10(finite.max() / finite.min()) >= DECADES:
        ax.set_yscale("log")
