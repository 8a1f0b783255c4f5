"""Columns of known values, written as people write them, are read as those values or refused: never as others.

As a script it goes on for minutes: python -m tests.data_tables.test_random_spellings --minutes 5
"""

from __future__ import annotations

import argparse
import datetime
import time
from collections import Counter

import numpy as np
import polars as pl
import pytest
from tests.thorough import first_ones

from chainrule.data.features.finding import find_readings
from chainrule.data.features.readings import read

MISSING = ("", "NA", "n/a", "-", "--", "?", "null", "#N/A", "NaN", ".", "missing")
ODD = ("Unknown", "see note 3", "2100 - 2850", "98115-4820", "N.B.", "x", "TBD", "12:99", "32/13/2020")
CURRENCIES = ("$", "€", "£", "¥", "USD", "kr", "TL", "R$")
UNITS = ("kg", "km/h", "m²", "years", "°C", "lbs")
GROUPS = {".": (",", " ", "'", "", "\u202f"), ",": (".", " ", "'", "", "\u00a0")}
DATES = (
    *("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%dT000000", "%b %d %Y"),
    *("%d %B %Y", "%d-%b-%y", "%B %d, %Y", "%d.%m.%y", "%m/%d/%y", "%a, %d %b %Y"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", "T%H:%M:%S+00:00", " %H:%M:%SZ")


def grouped(digits: str, mark: str) -> str:
    return f"{int(digits):,}".replace(",", mark) if mark else digits


def number_speller(rng: np.random.Generator):
    """How one column writes its numbers, and to how many places."""
    decimal = str(rng.choice([".", ","]))
    group = str(rng.choice(GROUPS[decimal]))
    places = int(rng.choice([0, 1, 2, 3, 4]))
    around = str(rng.choice(["", "", "before", "after", "unit", "percent", "bracket", "minus behind"]))
    currency, unit = str(rng.choice(CURRENCIES)), str(rng.choice(UNITS))
    gap = str(rng.choice(["", " "]))

    def spell(value: float) -> str:
        whole, _, part = f"{abs(value):.{places}f}".partition(".")
        text = grouped(whole, group) + (decimal + part if part else "")
        minus = value < 0
        if around == "before":
            text = currency + gap + text
        elif around in {"after", "unit", "percent"}:
            text += gap + {"after": currency, "unit": unit, "percent": "%"}[around]
        if around == "bracket" and minus:
            return f"({text})"
        return text + "-" if around == "minus behind" and minus else "-" * minus + text

    return spell, places, f"{decimal}|{group}|{places}|{around}"


def scatter(rng: np.random.Generator, cells: list[str], values: list) -> tuple[list[str], list]:
    """Some cells missing, and fewer than one in ten odd."""
    cells, values = list(cells), list(values)
    rows = rng.permutation(len(cells))
    gaps = rows[: int(rng.integers(0, len(rows) // 4 + 1))]
    odd = rows[len(rows) - int(rng.integers(0, len(rows) // 14 + 1)) :]
    for chosen, texts in ((gaps, MISSING), (odd, ODD)):
        for row in chosen:
            cells[row], values[row] = str(rng.choice(texts)), None
    return cells, values


def number_column(rng: np.random.Generator) -> tuple[str, list[str], list]:
    spell, places, what = number_speller(rng)
    size = float(10 ** rng.uniform(0, 7))
    drawn = rng.normal(rng.choice([0, 1]) * size, size, int(rng.integers(20, 80)))
    values = [round(float(value), places) + 0.0 for value in drawn]
    cells, values = scatter(rng, [spell(value) for value in values], values)
    return f"number {what}", cells, values


def date_column(rng: np.random.Generator) -> tuple[str, list[str], list]:
    form = str(rng.choice(DATES)) + (str(rng.choice(TIMES)) if rng.random() < 0.5 else "")
    form = form.replace("T000000T", "T") if "T000000 " not in form else form.split(" ")[0]
    start = datetime.datetime(int(rng.integers(1975, 2030)), 1, 1)
    step = {"%S": 1, "%M": 60}.get(next((mark for mark in ("%S", "%M") if mark in form), ""), 86_400)
    seconds = rng.integers(0, 3 * 365 * 86_400, int(rng.integers(20, 80))) // step * step
    values = [start + datetime.timedelta(seconds=int(second)) for second in seconds]
    cells, values = scatter(rng, [value.strftime(form) for value in values], values)
    return f"date {form}", cells, values


WORDS = [("true", "false"), ("True", "False"), ("yes", "no"), ("Y", "N"), ("T", "F"), ("ja", "nein")]


def truth_column(rng: np.random.Generator) -> tuple[str, list[str], list]:
    pair = WORDS[rng.integers(len(WORDS))]
    values = [bool(v) for v in rng.integers(0, 2, 40)]
    cells = [pair[not value] for value in values]
    gaps = set(rng.permutation(40)[:5].tolist())
    return (
        f"truth {pair}",
        [str(rng.choice(MISSING)) if row in gaps else cell for row, cell in enumerate(cells)],
        [None if row in gaps else value for row, value in enumerate(values)],
    )


def outcome(rng: np.random.Generator) -> tuple[str, str, str]:
    """What became of a random column: "read", "text", "open" (said to be ambiguous), or "wrong"; with why."""
    make = (number_column, date_column, truth_column)[rng.choice(3, p=[0.6, 0.3, 0.1])]
    what, cells, values = make(rng)
    found = find_readings(pl.DataFrame({"x": pl.Series(cells, dtype=pl.String)}))["x"]
    series = read(pl.Series("x", cells, dtype=pl.String), found.reading).series
    if found.reading.values == "text":
        return what, "text", ""
    got = [value.timestamp() if isinstance(value, datetime.datetime) else value for value in series.to_list()]
    wanted = [value.timestamp() if isinstance(value, datetime.datetime) else value for value in values]
    rows = [
        row
        for row, (a, b) in enumerate(zip(got, wanted, strict=True))
        if (a is None) != (b is None) or (a is not None and abs(a - b) > 1e-9 * max(1.0, abs(b)))
    ]
    if not rows:
        return what, "read", ""
    said = found.open or found.assumed
    cells_off = [(cells[row], got[row], values[row]) for row in rows[:4]]
    return what, "open" if said else "wrong", f"{found} {cells_off}"


@pytest.mark.parametrize("first", first_ones(range(0, 200, 50)))
def test_most_columns_are_read_and_none_as_other_values(first):
    found = {seed: outcome(np.random.default_rng(seed)) for seed in range(first, first + 50)}
    assert {seed: (what, why) for seed, (what, became, why) in found.items() if became == "wrong"} == {}
    counts = Counter(became for _, became, _ in found.values())
    assert counts["read"] >= 0.85 * counts.total(), counts


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1_000_000)
    said = parser.parse_args()
    counts: Counter[str] = Counter()
    end, seed = time.monotonic() + 60 * said.minutes, said.seed
    while time.monotonic() < end:
        what, became, why = outcome(np.random.default_rng(seed))
        counts[became] += 1
        if became == "wrong":
            print(seed, what, why)
        elif became == "text":
            counts[f"text: {what}"] += 1
        seed += 1
    print(*counts.most_common(30), sep="\n")


if __name__ == "__main__":
    main()
