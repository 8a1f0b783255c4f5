"""Plots with matplotlib: each draws on ``ax`` or on a new figure and returns the axes."""

from chainrule.inspect.plots.decision import plot_decision_regions
from chainrule.inspect.plots.fit import plot_fit
from chainrule.inspect.plots.histograms import plot_histograms
from chainrule.inspect.plots.recoding import plot_recoding
from chainrule.inspect.plots.surface import plot_loss_surface

__all__ = [
    "plot_decision_regions",
    "plot_fit",
    "plot_histograms",
    "plot_loss_surface",
    "plot_recoding",
]
