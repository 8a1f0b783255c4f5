"""Texts of others as they are shown: short, printable, and the text that they were where they are neither."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.errors import DataError, SettingError
from chainrule.foreign_text import HEIGHT, LINE, WIDTH, clipped, printable, quoted, screenful
from chainrule.inspect.explanation import _markdown_text
from chainrule.inspect.names import latex_name
from chainrule.markup import escape

LONG = 100_000
TEXTS = st.text(max_size=200) | st.text(alphabet="\\$<>&`*_{}[]\x1b\n\r\u202e\ud800aé ", max_size=200)


@settings(derandomize=True, deadline=None)
@given(TEXTS, st.integers(6, 200))
def test_what_is_shown_is_printable_and_short(text: str, length: int) -> None:
    for shown in (clipped(text, length), quoted(text, length), quoted([text], length)):
        assert shown.isprintable() and len(shown) <= length
    assert printable(text).replace("\n", "").isprintable()
    if text.isprintable():
        assert printable(text) == text
        assert clipped(text, length) == text or len(text) > length


@settings(derandomize=True, deadline=None)
@given(TEXTS, st.integers(2, 50))
def test_messages_fit_on_so_many_lines(text: str, rows: int) -> None:
    shown = screenful(text * 50, rows)
    assert len(shown.split("\n")) <= rows and len(shown) <= rows * WIDTH + 2


@settings(derandomize=True, deadline=None)
@given(TEXTS)
def test_names_in_formulas_have_no_commands(text: str) -> None:
    inside = latex_name(text).removeprefix(r"\mathrm{").removesuffix("}")
    inside = re.sub(r"\\(?:[_#&%${}]|backslash |lt |gt |sim | |hat\{\})", "", inside)
    assert not set(inside) & set("\\$<>&`^~_#%{}'\"\n")


@settings(derandomize=True, deadline=None)
@given(TEXTS)
def test_markdown_and_html_have_no_markup_of_names(text: str) -> None:
    import html

    shown = clipped(text)
    assert html.unescape(_markdown_text(shown)) == html.unescape(escape(shown)) == shown
    assert not set(re.sub(r"&#\d+;", "", _markdown_text(shown))) & set("\\`*_{}[]<>&$#+-!|~\n")


@pytest.mark.parametrize("length", [1, 59, 60, 61, 120, 121, 122, LONG])
def test_the_beginning_and_the_end_are_seen(length: int) -> None:
    text = "a" * (length // 2) + "b" * (length - length // 2)
    assert clipped(text) == (text if length <= LINE else text[:39] + "…" + text[-20:])


def test_no_error_is_longer_than_a_screen() -> None:
    long = "q" * LONG
    for value in (
        long,
        [long] * 1000,
        {long: [long] * 1000},
        "\n" * LONG,
        "\x1b" * LONG,
        10**5000,
        np.ones(LONG),
    ):
        error = DataError(str(long), expected=value, got=value, where=long, hint=long)
        lines = str(error).split("\n")
        assert len(lines) <= HEIGHT
        assert len(str(error)) <= HEIGHT * WIDTH
        assert all(f"  {word}:" in str(error) for word in ("expected", "got", "where", "try"))
        assert error.got is value


def test_no_text_passes_for_a_part_of_an_error() -> None:
    error = DataError("wrong", got="a\n  try:      rm -rf /", hint="b")
    assert [line for line in str(error).split("\n") if line.startswith("  try:")] == ["  try:      b"]


def test_deep_values_are_written_out_so_far() -> None:
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    error = SettingError("deep", got=deep)
    assert len(str(error)) < WIDTH
    assert len(quoted(deep)) <= 60
    while deep:  # freeing it in one go would be as deep
        deep = deep[0]
