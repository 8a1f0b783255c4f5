"""What stands under a table and is no row of it: totals, notes, sources, empty rows. It is left out, and said.

Frames of text cells come in one after the other and go on as they are, but for the last rows, which are held back
until it is known that they are the last. A row is no footer because it looks odd: it must be at the end, with
everything below it a footer too. A total must be one by its numbers. Where every row is awaited, as in a table to
predict, only notes that have another number of cells than the table are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isclose
from statistics import median
from typing import TYPE_CHECKING

from chainrule.data.files.heading import DATE, count_of, is_value, to_number
from chainrule.foreign_text import clipped

if TYPE_CHECKING:
    import polars as pl

GROUPED = re.compile(r"([1-9]\d{0,2}(?:[.,'\u2019]\d{3})+)([.,]\d{1,2})?")
MOST = 20  # rows that may be a footer
WORDS = 4  # of a note that does not begin like one, under a narrow table
COMPLETE = 0.9  # of the rows, without a missing cell: then a row with one cell only is none
ROUNDED = 0.005  # how far a sum or a mean may be off
BODY = 200  # rows above it that tell what rows look like
TOTAL = re.compile(
    r"(?:grand |sub)?totals?|totaux|totales?|totaal|sum(?:me|ma|a)?|gesamt\w*|insgesamt|together|all|average|mean"
    r"|mittelwert|durchschnitt|moyenne|promedio|media|média|celkem|razem|összesen|ukupno|toplam|yhteensä|i alt|totalt"
    r"|ogółem|итого|всего|среднее|σύνολο|合計|総計|合计|总计|小计|总数|합계|총계",
    re.IGNORECASE,
)
STATISTIC = re.compile(
    r"grand totals?|std\.? ?dev\.?s?|stdevs?|standard deviations?|standardabweichung|écart[ -]type",
    re.IGNORECASE,
)
"""What no row is called, so that its numbers need not show it: a deviation is neither large nor a sum."""
NOTE = re.compile(
    r"\s*(?:sources?|quellen?|stand|notes?|n\.?b\.?|footnotes?|anmerkung(?:en)?|hinweis(?:e)?|fuente|nota[s]?|fonte"
    r"|bron|källa|kilde|źródło|zdroj|forrás|lähde|kaynak|примечани[ея]|источник|注|出典|資料|来源|数据来源|资料来源|說明|说明|備考|备注|자료|출처"
    r"|copyright|last updated|generated|exported|created|end of (?:file|data)|data (?:from|source))\b\W*"
    r"|\s*(?:[*#†‡©]|\(c\)|-{3,}|={3,}|_{3,}|\d\)|\(\d\)|\w\)|\(?[\d,]+ rows? ?(?:affected|in set|\)))",
    re.IGNORECASE,
)

FOOTNOTE = re.compile(r"foot ?note", re.IGNORECASE)


@dataclass
class Footers:
    """Takes the footer from the end of a table: ``rows``, as they are shown, and ``empty`` ones.

    With ``odd``, which says whether a row has another number of cells than the table, only such notes are taken;
    ``kept`` are then the first of the others, and how many there are.
    """

    rows: list[str] = field(default_factory=list)
    empty: int = 0
    odd: Callable[[int], bool] | None = None
    kept: tuple[int, str] = (0, "")

    @property
    def said(self) -> tuple[str, ...]:
        """What was left out."""
        said = [f"{count_of(self.empty, 'empty line')} at the end left out"] if self.empty else []
        if self.rows:
            more = " ..." if len(self.rows) > 1 else ""
            said.append(
                f"{count_of(len(self.rows), 'line')} at the end left out: {clipped(self.rows[0])}{more}"
            )
        count, first = self.kept
        if count:
            said.append(
                f"{count_of(count, 'line')} at the end kept as rows, which training left out: {clipped(first)}"
            )
        return tuple(said)

    def taken_off(self, frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """The frames without the footer. One in which columns are numbers has no row of it, and comes as it is."""
        import polars as pl

        held: pl.DataFrame | None = None
        before = 0
        for frame in frames:
            if any(dtype != pl.String for dtype in frame.dtypes):
                if held is not None:
                    yield held
                    before += held.height
                    held = None
                yield frame
                before += frame.height
                continue
            whole = frame if held is None else pl.concat([held, frame])
            if whole.height > 3 * BODY:  # what is looked at does not depend on where the frames end
                yield whole[: -2 * BODY]
                before += whole.height - 2 * BODY
                whole = whole[-2 * BODY :]
            held = whole
        if held is not None:
            count = self._count(held, before, self.odd)
            usual = self._count(held, before, None) if self.odd else 0
            if usual > count:
                first = held.row(held.height - usual)
                self.kept = usual - count, " ".join(cell for cell in first if cell)
            self.rows = [" ".join(cell for cell in row if cell) for row in held[held.height - count :].rows()]
            self.empty += sum(not row.strip() for row in self.rows)
            self.rows = [row for row in self.rows if row.strip()]
            if count < held.height:
                yield held[: held.height - count]

    def _count(self, last: pl.DataFrame, before: int, odd: Callable[[int], bool] | None) -> int:
        """How many of the last rows, with so many rows ``before`` them, are the footer."""
        rows = last.rows()
        if last.width < 2 or len(rows) < 3:
            return 0
        for count in range(min(MOST, len(rows) - 2)):
            place = len(rows) - 1 - count
            if not (
                _is_footer(rows[place], rows[max(place - BODY, 0) : place])
                if odd is None
                else odd(before + place) and _is_written_note(rows[place], below=count > 0)
            ):
                return count
        return min(MOST, len(rows) - 2)


def _is_written_note(row: Sequence[str | None], below: bool) -> bool:
    """Whether a row is a text in its first cell that is a note by its words, or by another one ``below`` it."""
    first, *others = [(cell or "").strip() for cell in row]
    if any(others):
        return _is_footnote(row, [cell for cell in (first, *others) if cell])
    by_words = NOTE.match(first) or (len(first.split()) >= WORDS and not is_value(first))
    return bool(by_words or (below and len(row) >= WORDS and first and not is_value(first)))


def _is_footer(row: Sequence[str | None], above: Sequence[Sequence[str | None]]) -> bool:
    """Whether a row with nothing but footers below it is one too."""
    filled = [cell.strip() for cell in row if cell and cell.strip()]
    usual = median(_filled(other) for other in above)
    if not filled:
        return usual >= 2
    first = filled[0]
    if _is_footnote(row, filled):
        return usual >= 4
    if is_value(first) and len(filled) > 1:
        return False
    is_statistic = STATISTIC.fullmatch(first.rstrip(" :."))
    if is_statistic or TOTAL.fullmatch(first.rstrip(" :.")):
        plain = all(is_value(cell) and not DATE.fullmatch(cell) for cell in filled[1:])
        named = any(any(cell and cell.strip() == first for cell in other) for other in above)
        return plain and not named and (bool(is_statistic) or _is_total(row, above))
    if len(filled) > 1 or not (row[0] and row[0].strip()) or is_value(first):
        return False
    if NOTE.match(first):
        return usual >= 2
    body = list(above[-BODY:])
    while body and _filled(body[-1]) <= 1:  # more of the footer
        body.pop()
    if len(first.split()) < WORDS and not _is_strange(first, body):
        return False  # a row that has nothing but its name
    sparse = sum(_filled(other) <= 1 for other in body) > max(2, len(body) // 20)
    return not sparse and (usual >= 4 or (usual >= 3 and len(first.split()) >= WORDS))


def _is_footnote(row: Sequence[str | None], filled: Sequence[str]) -> bool:
    """Whether a row is a mark and the words that explain it, or the two names above such rows."""
    if len(filled) != 2 or not (row[0] and row[1]):
        return False
    mark, text = filled
    return (
        bool(FOOTNOTE.search(text))
        if not is_value(text) and FOOTNOTE.search(mark)
        else (len(mark) <= 3 and len(text.split()) >= WORDS and not is_value(text))
    )


def _is_strange(first: str, above: Sequence[Sequence[str | None]]) -> bool:
    """Whether a word alone is no name of a row: none above it has it, and nearly all have the usual number of cells."""
    usual = median(map(_filled, above)) if above else 0
    complete = sum(_filled(other) >= usual for other in above)
    return complete >= COMPLETE * len(above) and all((other[0] or "").strip() != first for other in above)


def _is_total(row: Sequence[str | None], above: Sequence[Sequence[str | None]]) -> bool:
    """Whether the numbers of a row are no smaller than all above them, or are their sum or their means.

    Where a number may be written in two ways (1.250), it is enough that it is so in one of them.
    """
    larger, sums, means = [], [], []
    for place, cell in enumerate(row):
        if not (cell and is_value(cell)):
            continue
        for worth in (_whole, to_number):
            total = worth(cell)
            others = [number for other in above if (number := worth(other[place] or "")) is not None]
            if total is not None and others:
                larger.append((place, total >= max(others) or (max(others) <= 0 and total <= min(others))))
                sums.append((place, isclose(total, sum(others), rel_tol=ROUNDED)))
                means.append((place, isclose(total, sum(others) / len(others), rel_tol=ROUNDED)))
    columns = {place for place, _ in larger}
    return (
        columns <= {place for place, is_so in larger if is_so}
        or columns <= {place for place, is_so in means if is_so}
        or any(is_so for _, is_so in sums)
    )


def _whole(cell: str) -> float | None:
    """What a number is worth if marks between three digits set thousands apart."""
    grouped = GROUPED.fullmatch(cell.strip())
    if not grouped:
        return to_number(cell)
    return to_number(re.sub(r"\D", "", grouped[1]) + "." + (grouped[2] or ",0")[1:])


def _filled(row: Sequence[str | None]) -> int:
    return sum(1 for cell in row if cell and cell.strip())
