"""Scales, ticks and elements of the pictures."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chainrule.markup import Markup, element
from chainrule.number_text import tick_label
from chainrule.svg import curve, scale_over, thin

anything = st.floats(allow_nan=False, allow_infinity=False)
drawable = st.floats(-1e250, 1e250)
positive = st.floats(min_value=5e-324, allow_infinity=False)


@given(st.lists(anything, min_size=1))
def test_linear_scale_holds_all_values_and_has_ticks(values: list[float]) -> None:
    scale = scale_over(values, 0, 100)
    pixels = scale(values)
    assert (pixels >= 0).all()
    assert (pixels <= 100).all()
    assert (np.diff(scale(np.sort(values))) >= 0).all()
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 12
    room = 1e-6 * (scale.high - scale.low)
    assert all(scale.low - room <= tick <= scale.high + room for tick in ticks)


@given(st.lists(positive, min_size=1))
def test_logarithmic_scale_holds_all_values_and_has_ticks(values: list[float]) -> None:
    scale = scale_over(values, 0, 100, logarithmic=True)
    pixels = scale(values)
    assert (pixels >= 0).all()
    assert (pixels <= 100).all()
    assert len(scale.ticks()) <= 12
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks())


@given(drawable)
def test_tick_labels_are_short_and_true(value: float) -> None:
    label = tick_label(value)
    assert len(label) <= 11
    assert math.isclose(float(label), value, rel_tol=1e-3)


@given(st.lists(st.floats(width=32), max_size=60), st.integers(4, 20))
def test_thinned_curve_keeps_its_extremes_and_ends(values: list[float], limit: int) -> None:
    losses = np.array(values)
    kept = thin(losses, limit)
    assert len(kept) <= limit
    assert (np.diff(kept) > 0).all()
    finite = losses[np.isfinite(losses)]
    if len(finite):
        shown = losses[kept]
        shown = shown[np.isfinite(shown)]
        assert (shown.min(), shown.max(), shown[0], shown[-1]) == (
            finite.min(),
            finite.max(),
            finite[0],
            finite[-1],
        )


def test_ticks_of_large_close_numbers_differ() -> None:
    labels = [tick_label(tick) for tick in scale_over([1e8 + 1, 1e8 + 9], 0, 100).ticks()]
    assert len(set(labels)) == len(labels) >= 4


def test_curve_is_broken_at_nan_and_dots_single_points() -> None:
    y = np.array([np.nan, 1.0, 2.0, np.nan, 3.0])
    drawn = curve(np.arange(5.0), y)
    assert drawn == (
        '<g><path d="M1.0 1.0L2.0 2.0" fill="none"></path><circle cx="4.0" cy="3.0" r="2.5" /></g>'
    ).replace("></path>", " />")


def test_element_escapes_text_but_not_markup() -> None:
    assert element("p", "<b>", Markup("<b />")) == "<p>&lt;b&gt;<b /></p>"
    assert element("a", title='"><i>') == '<a title="&quot;&gt;&lt;i&gt;" />'
