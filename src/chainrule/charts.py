"""What all plots share: matplotlib when it is asked for, a style for print, curves of several restarts.

Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart; lines differ by dashes too, so that
they can be told apart in grey.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import SettingError

Floats = NDArray[np.float64]

BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED)
DASHES = ("-", "--", "-.", ":")
GREY = "#6b6b6b"
DECADES = 1.5  # from which on a logarithmic axis is clearer

STYLE: dict[Any, Any] = {  # names as matplotlib has them
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
def canvas(ax: Any = None, size: tuple[float, float] = (4.6, 3.2)) -> Iterator[Any]:
    """The axes to draw on: those given, or those of a new figure of this size in inches; in the style for print.

    A new figure is one of ``matplotlib.pyplot``'s: ``plt.show()`` and notebooks show it, ``plt.close()`` closes it.
    Raises SettingError where matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise SettingError("plots need matplotlib", hint="pip install 'chainrule[plot]'") from None
    with plt.rc_context(STYLE):
        yield plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def plot_curves(
    ax: Any,
    curves: Floats,
    kept: int,
    *,
    colour: str = BLUE,
    dashes: str = "-",
    label: str = "",
) -> None:
    """A line for each row of ``curves`` [restarts, epochs] against the epoch from 1: the kept one bold, others thin."""
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
    ax: Any,
    title: str,
    curves: Sequence[tuple[str, Floats]],
    kept: int,
    kept_epoch: int = -1,
) -> Any:
    """Named curves [restarts, epochs] of a run by epoch; a mark at the epoch that is kept, if there is one.

    The first is blue, the second orange and dashed.
    """
    with canvas(ax) as axes:
        for (name, values), colour, dashes in zip(curves, COLOURS, DASHES, strict=False):
            plot_curves(axes, values, kept, colour=colour, dashes=dashes, label=name)
        last = curves[-1][1]
        if 0 <= kept_epoch < last.shape[1]:
            axes.plot(kept_epoch + 1, last[kept, kept_epoch], "o", color="black", markersize=5, label="kept")
        logarithmic_where_wide(axes, np.concatenate([values.ravel() for _, values in curves]))
        axes.set(xlabel="epoch", ylabel=title)
        if len(curves) > 1 or kept_epoch >= 0:
            axes.legend(loc="best", fontsize="small")
        return axes


def logarithmic_where_wide(ax: Any, values: Floats) -> None:
    """A logarithmic axis for values above 0 that span more than 1.5 decades."""
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() > 0 and np.log10(finite.max() / finite.min()) >= DECADES:
        ax.set_yscale("log")
