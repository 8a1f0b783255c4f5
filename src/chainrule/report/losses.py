"""Loss curves: the kept restart bold, the others faint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chainrule.markup import Markup, element
from chainrule.number_text import readable
from chainrule.report.contents import Curves
from chainrule.report.pieces import WIDTH, legend, section
from chainrule.svg import Scale, axes, curve, label_room, picture, scale_over, thin

Floats = NDArray[np.float64]

CURVE_POINTS = 400
OTHER_RESTARTS = 30
DECADES_FOR_LOGARITHMIC = 1.5


def loss_section(curves: Curves, loss: str = "") -> Markup:
    """Training and validation loss by epoch: the kept restart bold, the others faint; ``loss`` says what it is."""
    restarts = len(curves.training)
    kinds = [("training", curves.training)]
    if curves.validation is not None:
        kinds.append(("validation", curves.validation))
    values = np.concatenate([losses for _, losses in kinds])
    text = _which_is_kept(curves)
    text += f" {loss}" if loss else ""
    if np.isinf(values).any():
        text += " Losses that became infinite are not drawn."
    if restarts - 1 > OTHER_RESTARTS:
        text += f" Of the others, the first {OTHER_RESTARTS} are drawn."
    finite = np.where(np.isfinite(values), values, np.nan)
    if np.isnan(finite).all():
        return section("Loss", element("p", "No epoch ended with a finite loss."))
    figure = element(
        "figure",
        meanings(
            [kind for kind, _ in kinds],
            "" if restarts == 1 else "other folds" if curves.together else "other restarts",
        ),
        loss_chart(kinds, finite, curves),
        element("figcaption", text),
    )
    return section("Loss", figure)


def _which_is_kept(curves: Curves) -> str:
    """Which network the curves in bold are of, and of which epoch it is."""
    restarts, epoch = len(curves.training), curves.best_epoch + 1
    if curves.together:
        mean, whose = ("mean loss", "its own lowest") if curves.kept_epochs else ("loss", "the lowest")
        was = f"its epoch was {epoch}"
        if curves.kept_epochs:
            was = f"the epochs of its networks were {', '.join(str(kept + 1) for kept in curves.kept_epochs)}"
        return (
            f"There is a curve for each of {restarts} folds of the rows: the {mean} of the networks that were trained "
            f"on all other rows, on these and on the fold itself. All answer together, each as it was after the epoch "
            f"with {whose} loss on its fold; fold {curves.kept + 1} is drawn bold, {was}."
        )
    text = f"Restart {curves.kept + 1} of {restarts} is kept. " if restarts > 1 else ""
    return text + f"The network is the one after epoch {epoch}."


def loss_chart(kinds: Sequence[tuple[str, Floats]], finite: Floats, curves: Curves) -> Markup:
    """The chart itself; ``finite`` holds all losses that can be drawn, NaN elsewhere."""
    top, bottom, right = 36.0, 290.0, WIDTH - 16
    epochs = int(np.flatnonzero(~np.isnan(finite).all(axis=0))[-1]) + 1
    logarithmic = spans_decades(finite)
    y = scale_over(finite, bottom, top, logarithmic=logarithmic)
    room = 0.5 if epochs == 1 else 0.02 * (epochs - 1)
    x = Scale(1 - min(room, 0.9), epochs + room, label_room(y), right, whole=True)
    drawn = [r for r in range(len(curves.training)) if r != curves.kept][:OTHER_RESTARTS]
    lines = []
    for restart in [*drawn, curves.kept]:
        for kind, losses in kinds:
            name = (
                f"{'fold' if curves.together else 'restart'} {restart + 1}, {kind} loss"
                if len(curves.training) > 1
                else f"{kind} loss"
            )
            style = f"curve {kind}" + (" kept" if restart == curves.kept else "")
            lines.append(loss_curve(losses[restart, :epochs], x, y, name, style))
    kind, losses = kinds[-1]
    marked = sorted({*(curves.kept_epochs or (curves.best_epoch,))})
    for epoch in marked:
        if np.isfinite(loss := losses[curves.kept, epoch]):
            said = f"epoch {epoch + 1}: {readable(loss)}" if len(marked) == 1 else ""
            lines.append(best_mark(x, y, epoch + 1, loss, kind, said))
    title = "Loss" + (" (logarithmic)" if logarithmic else "")
    kept = f"lowest kept: {readable(losses[curves.kept, marked[0]])}"
    if len(marked) > 1:
        kept = f"kept are epochs {', '.join(str(epoch + 1) for epoch in marked)}"
    description = f"{' and '.join(kind for kind, _ in kinds)} loss over {epochs} epochs; {kept}."
    return picture(WIDTH, 345, "Loss by epoch", description, axes(x, y, "Epoch", title), *lines)


def spans_decades(values: Floats) -> bool:
    """Whether a logarithmic axis shows the values better."""
    low, high = np.nanmin(values), np.nanmax(values)
    return bool(low > 0 and np.log10(high) - np.log10(low) >= DECADES_FOR_LOGARITHMIC)


def loss_curve(losses: Floats, x: Scale, y: Scale, name: str, style: str) -> Markup:
    """One restart's losses."""
    drawable = np.where(np.isfinite(losses), losses, np.nan)
    points = thin(drawable, CURVE_POINTS)
    return curve(x(points + 1), y(drawable[points]), element("title", name), class_=style)


def best_mark(x: Scale, y: Scale, epoch: int, loss: float, kind: str, said: str) -> Markup:
    """A line and a dot at an epoch whose parameters are kept, and what is said of it."""
    across, up = float(x(epoch)), float(y(loss))
    left = across > (x.start + x.end) / 2
    return element(
        "g",
        element("line", x1=f"{across:.1f}", x2=f"{across:.1f}", y1=y.end, y2=y.start, class_="best"),
        element("circle", cx=f"{across:.1f}", cy=f"{up:.1f}", r=5, class_=f"mark {kind}"),
        element(
            "text",
            said,
            x=f"{across + (-8 if left else 8):.1f}",
            y=y.end + 4,
            dy="0.6em",
            text_anchor="end" if left else "start",
            class_="best",
        ),
    )


def meanings(kinds: Sequence[str], others: str) -> Markup:
    """What the lines of the loss chart mean."""
    entries = [(kind, f"curve {kind} kept") for kind in kinds]
    return legend([*entries, *([(others, "curve training")] if others else [])])
