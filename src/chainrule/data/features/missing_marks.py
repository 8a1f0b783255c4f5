"""What stands for a missing value in text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

USUAL = (
    *("", "na", "n/a", "#n/a", "#na", "n.a.", "n.a", "n. a.", "<na>", "nan", "-nan", "#n/a n/a", "nat"),
    *(
        "null",
        "none",
        "nil",
        "(null)",
        "\\n",
        "?",
        "-",
        "--",
        "---",
        "\u2013",
        "\u2014",
        ".",
        "..",
        "...",
        "missing",
    ),
    *(":", ": c", ": u", ": z", ": n", "n.d.", "n.d", "n. d."),
    *("#value!", "#div/0!", "#ref!", "#name?", "#num!", "#null!", "1.#qnan", "-1.#ind", "k.a.", "(missing)"),
)
"""What counts as missing in columns of any kind, in any case of letters."""

FEW = (
    "",
    "na",
    "n/a",
    "#n/a",
    "#na",
    "<na>",
    "nan",
    "null",
    "(null)",
    "?",
    "#value!",
    "#div/0!",
    "#ref!",
    "#name?",
)
"""What counts as missing in a target of classes, where "none" or "-" may well be one of them."""

MARKS = {"usual": USUAL, "few": FEW, "none": ("",)}
CODE = r"^[A-Z]{2}$"
CODES_NEED = 3  # other codes of two capital letters, beside which NA is Namibia or North America


def is_missing(texts: pl.Series, marks: str = "usual", more: tuple[str, ...] = ()) -> pl.Series:
    """Which texts are null or stand for a missing value: one of ``MARKS[marks]`` or one of ``more``; Boolean [rows].

    >>> import polars as pl
    >>> is_missing(pl.Series(["a", "N/A", None, "-99"]), more=("-99",)).to_list()
    [False, True, True, True]
    """
    lower = texts.str.strip_chars().str.to_lowercase()
    return lower.is_in([*MARKS[marks], *(text.strip().lower() for text in more)]).fill_null(True)


def is_code(texts: pl.Series) -> bool:
    """Whether the texts are codes of two capital letters, such as those of countries: NA is one of them then."""
    others = texts.filter((texts != "NA").fill_null(False))
    return len(others) >= CODES_NEED and bool(others.str.contains(CODE).all())
