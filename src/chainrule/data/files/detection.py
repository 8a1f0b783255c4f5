"""Which encoding a text is in that is not UTF-8 and has no mark: the one that gives natural words, if no other does.

Each encoding of ``CANDIDATES`` is tried on a sample; ``languages.py`` says how natural the text is. A library that
tells encodings (charset-normalizer 3.5) was tried: of 132 tables in 22 languages (``tests/corpus/words.py``) it took a
third for another encoding without a doubt, cp1250 for cp1252 among them.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace

from chainrule.data.files.languages import commonness, naturalness

CANDIDATES = (
    "cp1252", "mac_roman", "cp850", "cp1250", "iso8859_2", "cp852", "cp1254", "cp1257", "cp1251", "koi8_r", "koi8_u",
    "cp866", "iso8859_5", "mac_cyrillic", "cp1253", "iso8859_7", "cp1255", "cp1256", "cp874", "shift_jis", "cp932",
    "euc_jp", "gb18030", "big5", "cp950", "cp949",
    "iso8859_15",
)  # fmt: skip
WINDOWS = "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in range(256))
MOST = 6_000  # characters that are judged
NATURAL = 0.9  # of the characters beyond ASCII
AHEAD = 0.01  # by so much, and by so many characters, an encoding must be more natural than the next one
FEWEST = 3
COMMON = 0.06  # or its letters more frequent
RARE = {
    "mac_cyrillic",
    "cp852",
    "iso8859_5",
    "koi8_u",
}  # which only words can show, not how frequent letters are
USUAL = (
    "cp1252",
    "cp1251",
    "cp1250",
    "gb18030",
    "shift_jis",
    "cp949",
    "cp1254",
    "big5",
    "euc_jp",
    "cp1253",
    "cp1256",
)
"""Encodings of tables, the most usual first."""
ABOUT = 0.02
JAPANESE = {"shift_jis", "cp932", "euc_jp"}
FEWEST_WHOLE = 30
NATURAL_WHOLE = 0.6
DOUBT = 0.3  # of an encoding of one byte, where all bytes are whole characters of two
WITHOUT_KANA = 0.85  # how natural Japanese is at most that has none
KANA = re.compile("[\u3040-\u30ff]")
CHINESE = {"gb18030", "big5", "cp950", "cp949"}  # and Korean: whose kana are those of Japanese encodings


@dataclass(frozen=True)
class Guess:
    """An encoding, the text that it gives, and how natural that is."""

    encoding: str
    text: str
    natural: float
    common: float
    beyond: int


def guesses(sample: bytes) -> list[Guess]:
    """What the encodings give for a sample, the most natural first; those that give the same text once."""
    lines = [line for line in re.split(rb"[\r\n]+", sample) if not line.isascii()]
    text = b"\n".join(lines)
    found: dict[str, Guess] = {}
    for encoding in CANDIDATES:
        decoded = _decoded(text, encoding)
        if encoding in CHINESE and 5 * len(KANA.findall(decoded)) > _beyond(decoded):
            continue
        if decoded not in found:
            judged = decoded[:MOST]
            natural = naturalness(judged)
            if encoding in JAPANESE and _beyond(judged) >= FEWEST_WHOLE and not KANA.search(judged):
                natural = min(natural, WITHOUT_KANA)
            found[decoded] = Guess(encoding, decoded, natural, commonness(judged), _beyond(judged))
    if any(_is_whole(guess) for guess in found.values()):
        found = {text: _doubted(guess) for text, guess in found.items()}
    order = {guess.encoding: place for place, guess in enumerate(found.values())}
    return sorted(found.values(), key=lambda one: (-round(one.natural, 2), -one.common, order[one.encoding]))


def _is_whole(guess: Guess) -> bool:
    """Whether every byte is part of a character of two bytes, and these make words: by chance that does not happen."""
    return (
        guess.encoding in CHINESE | JAPANESE
        and "\ufffd" not in guess.text
        and guess.beyond >= FEWEST_WHOLE
        and guess.natural >= NATURAL_WHOLE
    )


def _doubted(guess: Guess) -> Guess:
    """A guess of an encoding of one byte where all bytes are whole characters of two."""
    return guess if guess.encoding in CHINESE | JAPANESE else replace(guess, natural=guess.natural - DOUBT)


def is_ahead(first: Guess, second: Guess) -> bool:
    """Whether one guess is clearly better than another."""
    difference = first.natural - second.natural
    wrong = first.beyond * (1 - first.natural), second.beyond * (1 - second.natural)
    by_nature = difference >= 0.12 or (difference >= AHEAD and wrong[1] - wrong[0] >= FEWEST)
    return by_nature or (
        first.encoding not in RARE
        and difference >= -0.005
        and first.common - second.common >= COMMON
        and first.beyond > 3
    )


def sure(found: list[Guess]) -> bool:
    """Whether the first guess is right: natural, and clearly more so than all others."""
    if not found or found[0].natural < NATURAL:
        return False
    first, *others = found
    if first.encoding not in RARE:  # a rare encoding is no rival to a usual one that fits as well
        others = [other for other in others if other.encoding not in RARE or other.natural > first.natural]
    return all(is_ahead(first, other) for other in others)


def likeliest(found: list[Guess]) -> Guess:
    """Of guesses of which none is sure the most natural one, and of those that are about as natural the most usual."""
    near = [guess for guess in found if guess.natural >= found[0].natural - ABOUT]
    return min(near, key=lambda guess: USUAL.index(guess.encoding) if guess.encoding in USUAL else len(USUAL))


def _beyond(text: str) -> int:
    return sum(1 for character in text if character > "\x7f")


def _decoded(text: bytes, encoding: str) -> str:
    """The text, the end of a cut character left out, and a mark for each byte that the encoding has not.

    One damaged byte does not make another encoding the right one.
    """
    if encoding == "cp1252":
        return codecs.charmap_decode(text, "strict", WINDOWS)[0]
    return codecs.getincrementaldecoder(encoding)("replace").decode(text)
