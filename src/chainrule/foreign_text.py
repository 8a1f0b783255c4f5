"""Text that chainrule did not write, made fit to be shown: column names, cells, file names, words of other libraries.

Such a text may be megabytes long, and may hold what steers a terminal or turns the direction of reading. Whatever shows
one calls ``clipped`` or ``quoted`` on it; ``screenful`` is for a whole message. What machines read (JSON, saved models,
tables of predictions) has every text as it is.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

LINE = 60  # characters of a foreign text in a line
WIDTH, HEIGHT = 160, 40  # of a screen, which no message is larger than
ELLIPSIS = "…"
LESS_LIKE = 0.1  # than the nearest text another one may be (difflib's ratio), to be suggested beside it
BITS = 1024  # of a whole number that is written out
_LONG_WORD = re.compile(rf"\S{{{WIDTH + 1},}}")
_CONTAINERS = reprlib.Repr()
_CONTAINERS.maxlevel = 8
_CONTAINERS.maxlist = _CONTAINERS.maxtuple = _CONTAINERS.maxdict = _CONTAINERS.maxset = 100
_CONTAINERS.maxstring = _CONTAINERS.maxother = LINE
_CONTAINERS.maxlong = BITS


def printable(text: str) -> str:
    """The text with every character that cannot be seen escaped, but for spaces and ends of lines.

    Among them are escape sequences of terminals, marks that turn the direction of reading, and surrogates, which no
    encoding has.

    >>> printable("two\\nlines, one\\x1b[31m escape, one \\u202eturn")
    'two\\nlines, one\\\\x1b[31m escape, one \\\\u202eturn'
    """
    if all(map(str.isprintable, text.split("\n"))):
        return text
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def clipped(text: object, length: int = LINE) -> str:
    """A foreign text as it stands within a line: printable, and of what is long its beginning and its end.

    >>> clipped("price\\n"), clipped("a" * 1000, length=9)
    ('price\\\\n', 'aaaaa…aaa')
    """
    return _shortened(_around(_said(text, str), length).replace("\n", "\\n"), length)


def quoted(text: object, length: int = LINE) -> str:
    """``repr``, clipped: a name as messages write it.

    >>> quoted("price"), quoted("a" * 1000, length=9)
    ("'price'", "'aaaa…aa'")
    """
    return clipped(repr(_around(text, length)) if isinstance(text, str) else _said(text, repr), length)


def screenful(text: object, rows: int = HEIGHT) -> str:
    """A message of several lines: printable, and of what is longer than ``rows`` lines its beginning and its end.

    A word that is longer than a line is clipped in any case: it is no word, but a name that nobody thought of.

    >>> screenful("\\n".join("abcdefg"), rows=4)
    'a\\nb\\n…\\ng'
    >>> screenful(f"column {'a' * 1000} is odd")
    'column aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…aaaaaaaaaaaaaaaaaaaa is odd'
    """
    whole = _around(_said(text, str), rows * WIDTH)
    lines = _shortened(_LONG_WORD.sub(lambda word: clipped(word[0]), whole), rows * WIDTH).split("\n")
    last = rows // 3
    if len(lines) > rows:
        lines = [*lines[: rows - last - 1], ELLIPSIS, *lines[len(lines) - last :]]
    return "\n".join(lines)


def short_repr(self: Any) -> str:
    """The ``repr`` of a dataclass whose fields hold foreign texts: as the usual one, each field clipped."""
    names = [field.name for field in fields(self) if field.repr]
    shown = ", ".join(f"{name}={quoted(getattr(self, name), WIDTH)}" for name in names)
    return f"{type(self).__qualname__}({shown})"


def _said(thing: object, how: Callable[[object], str]) -> str:
    """Its ``str`` or ``repr``; of containers so much as is ever shown, however deep they are nested."""
    if isinstance(thing, list | tuple | dict | set | frozenset):
        return _CONTAINERS.repr(thing)
    if isinstance(thing, int) and thing.bit_length() > BITS:  # Python writes out some thousand digits at most
        return f"a whole number of {thing.bit_length()} bits"
    return how(thing)


def _around(text: str, length: int) -> str:
    """The text, or so much of its beginning and its end that what is then shortened reads the same."""
    return text if len(text) <= 2 * length else text[:length] + text[-length:]


def _shortened(text: str, length: int) -> str:
    shown, tail = printable(text), length // 3
    return shown if len(shown) <= length else shown[: length - tail - 1] + ELLIPSIS + shown[-tail:]


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """The texts nearest to a wrong one, at most three, none of them much less like it than the first.

    >>> nearest("titanc.csv", ["titanic.csv", "README.md", "tiny.csv"]), nearest("parch", ["y"])
    (['titanic.csv'], [])
    """
    from difflib import SequenceMatcher, get_close_matches

    near = get_close_matches(name, known, n=3, cutoff=0.6)
    ratios = [SequenceMatcher(None, other, name).ratio() for other in near]
    return [other for other, ratio in zip(near, ratios, strict=True) if ratio >= ratios[0] - LESS_LIKE]
