"""What a user says about a file's format, instead of having it found out."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, fields

from chainrule.errors import SettingError
from chainrule.foreign_text import clipped, quoted

NAMED = {"comma": ",", "semicolon": ";", "tab": "\t", r"\t": "\t", "pipe": "|", "space": " "}


@dataclass(frozen=True)
class TextFormat:
    """How a table's file is to be read; None where it is to be found out.

    ``encoding`` is any text encoding that Python knows by name. ``delimiter`` is one ASCII character, or its name:
    comma, semicolon, tab, pipe or space. ``header`` says whether there is a line of names. ``sheet`` is the name of a
    workbook's sheet. Raises SettingError for anything else.

    >>> TextFormat(encoding="cp1251", delimiter="tab").separator
    '\\t'
    """

    encoding: str | None = None
    delimiter: str | None = None
    header: bool | None = None
    sheet: str | None = None

    def __post_init__(self) -> None:
        if self.encoding is not None and not _is_known(self.encoding):
            raise SettingError(
                "there is no such text encoding",
                expected="an encoding that Python knows, such as utf-8, cp1252, mac_roman, cp1251 or gb18030",
                got=quoted(self.encoding),
            )
        separator = self.separator
        if separator is not None and not may_separate(separator):
            raise SettingError(
                "delimiter must be one ASCII character that separates cells",
                expected=f"a character such as ; or one of the names {', '.join(NAMED)}",
                got=quoted(self.delimiter),
            )

    @property
    def separator(self) -> str | None:
        """The delimiter as a character."""
        if isinstance(self.delimiter, str):
            return NAMED.get(self.delimiter.lower(), self.delimiter)
        return self.delimiter

    @property
    def given_names(self) -> list[str]:
        """What is given."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]

    @property
    def given(self) -> str:
        """What is given, as messages say it."""
        return " and ".join(self.given_names)


FOUND_OUT = TextFormat()


def check_delimiter(names: Sequence[str], wanted: TextFormat) -> None:
    """SettingError where a delimiter that was named leaves one column, whose name holds another one."""
    marks = [mark for mark in NAMED.values() if mark != wanted.separator]
    if wanted.delimiter and len(names) == 1 and any(mark in names[0] for mark in marks):
        raise SettingError(
            f"--delimiter {clipped(wanted.delimiter)} separates nothing: the table has one column",
            got=quoted(names[0]),
            hint="leave out --delimiter",
        )


def option(name: str, value: str) -> str:
    """How an option is given, as hints say it.

    >>> option("encoding", "cp1251")
    "--encoding cp1251 (in Python: encoding='cp1251')"
    """
    return f"--{name} {value} (in Python: {name}='{value}')"


def flag(name: str) -> str:
    """How an option without a value is given, as hints say it.

    >>> flag("no-header")
    '--no-header (in Python: header=False)'
    """
    return f"--{name} (in Python: {name.removeprefix('no-').replace('-', '_')}={not name.startswith('no-')})"


def _is_known(encoding: object) -> bool:
    if not isinstance(encoding, str):
        return False
    try:
        codecs.getincrementaldecoder(encoding)
        "1".encode(encoding)  # a LookupError for those that are from bytes to bytes, such as hex
    except (LookupError, ValueError):  # ValueError: a NUL in the name, or the encoding "undefined"
        return False
    return True


def may_separate(separator: object) -> bool:
    """Whether this is a character that can separate cells: ASCII, and no letter, digit, quote or end of a line."""
    return (
        isinstance(separator, str)
        and len(separator) == 1
        and separator.isascii()
        and (separator.isprintable() or separator == "\t")
        and not separator.isalnum()
        and separator != '"'
    )
