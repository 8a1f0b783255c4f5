"""What the commands print, and where."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

NOTICES = 10  # shown at most


def printable(text: str) -> str:
    """The text with control characters escaped: names from files must not steer the terminal.

    >>> printable("two\\nlines, one\\x1b[31m escape")
    'two\\nlines, one\\\\x1b[31m escape'
    """
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def complain(text: str) -> None:
    """An error, on standard error."""
    print(printable(f"chainrule: {text}"), file=sys.stderr)


@dataclass(frozen=True)
class Terminal:
    """Where a command's words go: to standard output or, where that is for JSON, to standard error."""

    json: bool = False
    quiet: bool = False

    def say(self, text: str) -> None:
        """A result, which is always printed."""
        print(printable(text), file=sys.stderr if self.json else sys.stdout, flush=True)

    def remark(self, text: str) -> None:
        """What the user may like to know; nothing if quiet."""
        if not self.quiet:
            self.say(text)

    def notices(self, notices: Sequence[str]) -> None:
        """What was decided about the data; only the first few."""
        for notice in notices[:NOTICES]:
            self.remark(f"  note: {notice}")
        if len(notices) > NOTICES:
            self.remark(f"  and {len(notices) - NOTICES} notes more")

    def finish(self, result: Mapping[str, Any]) -> None:
        """The result as one line of JSON on standard output, if asked for."""
        if self.json:
            print(json.dumps(result), flush=True)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print the warnings of training without the source line that raised them."""
    from chainrule.training import TrainingWarning

    def show(message: Warning | str, *ignored: object, **ignored_too: object) -> None:
        complain(str(message))

    with warnings.catch_warnings():
        warnings.showwarning = show
        warnings.simplefilter("always", TrainingWarning)
        yield
