"""Colours of drawings by role, for light and dark pages. Signs are blue and orange, for colour-blind readers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Palette:
    """Colours of texts, of shapes (fill, outline) and of lines."""

    page: str
    text: dict[str, str]
    shape: dict[str, tuple[str, str]]
    line: dict[str, str]


LIGHT = Palette(
    page="#ffffff",
    text={
        "plain": "#1b2430",
        "name": "#101720",
        "heading": "#101720",
        "value": "#1b2430",
        "gradient": "#a3380a",
        "muted": "#5b6673",
        "label": "#3c4754",
        "halo": "#1b2430",
    },
    shape={
        "step": ("#ffffff", "#8a96a3"),
        "parameter": ("#e6f0fa", "#3b7ab8"),
        "data": ("#f0f2f4", "#a4adb7"),
        "target": ("#fdf1e3", "#c76a1d"),
        "group": ("#f6f4fb", "#8b7bb8"),
        "more": ("#f7f8f9", "#c4cbd2"),
        "highlight": ("#fff6cc", "#b58900"),
        "neuron": ("#ffffff", "#5b6673"),
        "label": ("#ffffff", "none"),
        "positive": ("#0072b2", "none"),
        "negative": ("#d55e00", "none"),
    },
    line={
        "edge": "#6b7783",
        "faint": "#ccd2d8",
        "highlight": "#b58900",
        "positive": "#0072b2",
        "negative": "#d55e00",
        "zero": "#b4bcc4",
    },
)
DARK = Palette(
    page="#14181d",
    text={
        "plain": "#e3e8ed",
        "name": "#f4f7fa",
        "heading": "#f4f7fa",
        "value": "#e3e8ed",
        "gradient": "#ffab73",
        "muted": "#9aa6b2",
        "label": "#c3ccd5",
        "halo": "#e3e8ed",
    },
    shape={
        "step": ("#1d232a", "#6d7a87"),
        "parameter": ("#152c42", "#5a9fe0"),
        "data": ("#252b32", "#5f6a75"),
        "target": ("#3a2817", "#e08a3c"),
        "group": ("#282338", "#9c8bd0"),
        "more": ("#1a1f25", "#465059"),
        "highlight": ("#3d3410", "#e0b020"),
        "neuron": ("#1d232a", "#9aa6b2"),
        "label": ("#14181d", "none"),
        "positive": ("#56b4e9", "none"),
        "negative": ("#ff8c42", "none"),
    },
    line={
        "edge": "#8c98a4",
        "faint": "#3a434c",
        "highlight": "#e0b020",
        "positive": "#56b4e9",
        "negative": "#ff8c42",
        "zero": "#56606a",
    },
)
