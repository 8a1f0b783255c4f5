"""Columns of free text: a feature for each frequent word, weighted by how rare it is (TF-IDF).

The words and their weights are those of the training rows. A text's features are its words' weights, scaled to length 1
(Salton & Buckley, 1988); how often a word stands in the text does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data.features.columns import Column
from chainrule.data.features.different import Different, different_cells
from chainrule.data.features.notices import Notice
from chainrule.data.features.numbers import blocks
from chainrule.data.features.readings import Reading
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl

MOST_WORDS = 256
FEWEST_WORDS = 32
CELLS = 64_000_000  # of all texts and words at most, where more than the fewest words are used
LEAST_TEXTS = 2  # that have a word which is a feature
WORD = r"[\p{L}\p{N}]{2,}"
WORDS_A_LIST = 1.5
MOSTLY = 0.8
WORDS_A_TEXT = 2.5  # at least on average, in a column whose texts are free


def are_free_texts(cells: Different) -> bool:
    """Whether the texts are mostly different, of several words each, many of which come again."""
    known = cells.texts.is_not_null()
    texts = cells.texts.filter(known)
    if len(texts) < 10 or len(texts) <= int(cells.counts[known.to_numpy()].sum()) / 2:
        return False
    words = float(texts.str.count_matches(WORD).mean() or 0)  # type: ignore[arg-type]
    return words >= WORDS_A_TEXT or (words >= WORDS_A_LIST and _are_lists(texts))


def _are_lists(texts: pl.Series) -> bool:
    """Whether the texts are made of the same few words, as answers of which several may be given are."""
    if texts.str.contains(r"\p{L}{2}").mean() < MOSTLY:  # type: ignore[operator]
        return False
    return 2 * _words(texts)["word"].n_unique() <= len(texts)


def fit_words(name: str, reading: Reading, cells: Different) -> tuple[Column | None, str, list[str]]:
    """The words of the training rows' cells; or why there are none."""
    import polars as pl

    found = _words(cells.texts)
    found = found.with_columns(pl.Series("rows", cells.counts[found["text"].to_numpy()]))
    rows = int(cells.counts.sum())
    most = int(np.clip(CELLS // max(rows, 1), FEWEST_WORDS, MOST_WORDS))
    counted = (
        found.group_by("word")
        .agg(pl.col("rows").sum())
        .filter((pl.col("rows") >= LEAST_TEXTS) & (pl.col("rows") < rows))
        .sort("rows", "word", descending=[True, False])
        .head(most)
        .sort("word")
    )
    if not counted.height:
        return None, "no word stands in several of its texts", []
    weights = np.log((1 + rows) / (1 + counted["rows"].to_numpy().astype(np.float64))) + 1
    column = Column(
        name, "words", reading=reading, categories=tuple(counted["word"]), weights=tuple(weights.tolist())
    )
    return (
        column,
        "",
        [f"column {quoted(name)} is free text: its {counted.height} most frequent words are features"],
    )


def encode_words(
    column: Column, series: pl.Series, rows: NDArray[np.int64] | None, out: NDArray[np.float32]
) -> list[Notice]:
    """Write the features of some rows (all if None) into ``out`` [rows, words], which holds zeros."""
    import polars as pl

    cells = different_cells(series)
    number_of = dict(zip(column.categories, range(len(column.categories)), strict=True))
    found = _words(cells.texts).with_columns(
        pl.col("word").replace_strict(number_of, default=None, return_dtype=pl.Int64)
    )
    found = found.drop_nulls()
    text, word = (found[name].to_numpy().astype(np.int64) for name in ("text", "word"))
    weights = np.array(column.weights)[word]
    length = np.sqrt(np.bincount(text, np.square(weights), len(cells.texts)))
    scaled = (weights / length[text]).astype(np.float32) if len(text) else weights.astype(np.float32)
    start = np.searchsorted(text, np.arange(len(cells.texts) + 1))
    chosen = cells.places()
    for block in blocks(len(out)):
        place = chosen[block if rows is None else rows[block]]
        size = start[place + 1] - start[place]
        row = np.repeat(np.arange(len(place)), size)
        entry = (
            np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size) + np.repeat(start[place], size)
        )
        out[block.start + row, word[entry]] = scaled[entry]
    empty = int(cells.empty)
    return [Notice(f"column {column.name!r} has no text", (), empty, len(chosen))] if empty else []


def _words(texts: pl.Series) -> pl.DataFrame:
    """The different words of each text, in small letters: ``text`` is its place, ``word`` the word, sorted by text."""

    lists = texts.fill_null("").str.to_lowercase().str.extract_all(WORD).alias("word").to_frame()
    return lists.with_row_index("text").explode("word").drop_nulls().unique(maintain_order=True)
