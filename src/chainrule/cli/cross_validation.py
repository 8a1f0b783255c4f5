"""``--cv 5x2``: how often the rows are dealt into how many folds, in one word."""

from __future__ import annotations

import re
from typing import Any

from chainrule.errors import SettingError
from chainrule.foreign_text import clipped

MOST = 1_000  # folds, and repeats


def with_cv(said: dict[str, Any], cv: str | None, ensemble: bool) -> dict[str, Any]:
    """The settings that are said, with ``folds`` and ``restarts`` from a text such as "5x2".

    Raises SettingError for another text, for a single network, and where folds or restarts are said as well.
    """
    if cv is None:
        return said
    folds, repeats = parse_cv(cv)
    if not ensemble:
        raise SettingError(
            "--cv deals the rows out to an ensemble, and --no-ensemble is said",
            hint="leave out --no-ensemble, or --cv (a single network holds rows out: --held-out 0.2)",
        )
    twice = [f"--{name}" for name in ("folds", "restarts") if name in said]
    if twice:
        raise SettingError(
            f"--cv says what {' and '.join(twice)} would say as well",
            hint=f"--cv {folds}x{repeats} alone",
        )
    return {**said, "folds": folds, "restarts": repeats}


def parse_cv(text: str) -> tuple[int, int]:
    """Folds and repeats of "5x2", or of "5", which is 5x1; SettingError for anything else.

    >>> parse_cv("5x2"), parse_cv("10")
    ((5, 2), (10, 1))
    """
    found = re.fullmatch(r"\s*(\d{1,4})\s*(?:[xX*×]\s*(\d{1,4})\s*)?", text, re.ASCII)
    folds, repeats = (int(found[1]), int(found[2] or 1)) if found else (0, 0)
    if not (2 <= folds <= MOST and 1 <= repeats <= MOST):
        raise SettingError(
            f"--cv cannot be {clipped(text)}",
            expected="folds (from 2 on) x repeats (from 1 on)",
            hint="--cv 5x2",
        )
    return folds, repeats
