"""Python's way to say what is to be done, said as somebody must who has typed a command."""

from __future__ import annotations

import re

from chainrule.cli.options import COMMANDS, flag
from chainrule.errors import ChainruleError, SettingError

_NAMES = sorted({name for records in COMMANDS.values() for name in records}, key=len, reverse=True)
_IN_PYTHON = " (in Python: "
_ARGUMENT = re.compile(rf"(?<![\w.-])({'|'.join(_NAMES)})=('[^']*'|\"[^\"]*\"|[\w.+-]*\w)")


def as_options(text: str) -> str:
    """The text with settings spelled as options, and without what only somebody at Python's prompt can do.

    >>> as_options("use task='regression', or batch_size=8")
    'use --task regression, or --batch-size 8'
    >>> as_options("--encoding cp1251 (in Python: encoding='cp1251')")
    '--encoding cp1251'
    """
    return _ARGUMENT.sub(_option, without_python(text))


def without_python(text: str) -> str:
    """The text without what it says to somebody at Python's prompt.

    >>> without_python("else --missing=- (in Python: Columns(missing=('-',))), or correct it")
    'else --missing=-, or correct it'
    """
    start = text.find(_IN_PYTHON)
    while start >= 0:
        text = text[:start] + text[_closing(text, start + 1) + 1 :]
        start = text.find(_IN_PYTHON, start)
    return text


def _closing(text: str, start: int) -> int:
    """Where the parenthesis ends that begins at ``start``; what stands in quotes is not looked at."""
    depth, quote, i = 0, "", start
    while i < len(text):
        letter = text[i]
        if quote:
            i += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter == "(") - (letter == ")")
            if not depth:
                return i
        i += 1
    return len(text) - 1


def _option(found: re.Match[str]) -> str:
    name, value = found[1], found[2]
    if value in ("True", "False"):
        return flag(name) if value == "True" else f"leaving out {flag(name)}"
    bare = value.strip("'\"")
    shown = value if re.search(r"[^ -~]|[ ;|&$`]", bare) else bare
    return f"{flag(name)}{'=' if bare.startswith('-') else ' '}{shown}"


def for_command(error: ChainruleError) -> ChainruleError:
    """The error, which says as options what is to be done."""
    error.what, error.hint = without_python(error.what), as_options(error.hint)
    spelled = (
        as_options if isinstance(error, SettingError) else without_python
    )  # others show cells, as they are
    for name in ("expected", "got"):
        if isinstance(getattr(error, name), str):
            setattr(error, name, spelled(getattr(error, name)))
    return error
