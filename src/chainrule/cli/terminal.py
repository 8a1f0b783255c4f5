"""What the commands print, and where."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Any, TextIO

from chainrule.alike import told_once
from chainrule.cli.layout import colours, entry
from chainrule.cli.spelling import as_options, without_python
from chainrule.foreign_text import WIDTH, clipped, screenful
from chainrule.number_text import THIN_SPACE

IN_THE_REPORT = "in the report"
NOTICES = 8  # shown at most
STYLES = {"bold": "1", "red": "31", "yellow": "33", "cyan": "36"}
COLOURS = {"severe": "red", "warning": "yellow", "note": "cyan"}
NOTICE = 3 * WIDTH  # characters of one at most


@contextmanager
def every_character() -> Iterator[None]:
    """Have standard output and error escape what their encoding lacks, such as a Greek name, rather than fail."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, TextIOWrapper)]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            stream.reconfigure(errors=errors)


def on_screen(text: str) -> str:
    """Never more than a screen, with numbers grouped by usual spaces, which every terminal can show."""
    return screenful(text.replace(THIN_SPACE, " "))


def complain(text: str) -> None:
    """An error, on standard error."""
    put(screenful(f"chainrule: {text}"), sys.stderr)


def put(text: str, stream: TextIO) -> None:
    """Print a line; where nobody reads on, as in ``| head -1``, or the disk is full, the work goes on in silence."""
    try:
        print(text, file=stream, flush=True)
    except OSError:
        nowhere(stream)


def nowhere(stream: TextIO) -> None:
    """Have what is printed from now on, also by Python when it ends, go nowhere."""
    device = os.open(os.devnull, os.O_WRONLY)
    os.dup2(device, stream.fileno())
    os.close(device)


@dataclass(frozen=True)
class Terminal:
    """Where a command's words go: to standard output or, where that is for JSON, to standard error."""

    json: bool = False
    quiet: bool = False
    elsewhere: str = "with --json"  # where there is more than is shown

    @property
    def has_report(self) -> bool:
        """Whether the command writes a report, in which there is more."""
        return self.elsewhere == IN_THE_REPORT

    @property
    def stream(self) -> TextIO:
        """Where words go."""
        return sys.stderr if self.json else sys.stdout

    def say(self, text: str, style: str = "") -> None:
        """A result, which is always printed; never more than a screen."""
        put(self.styled(on_screen(text), style), self.stream)

    def remark(self, text: str, style: str = "") -> None:
        """What the user may like to know; nothing if quiet."""
        if not self.quiet:
            self.say(text, style)

    def styled(self, text: str, style: str) -> str:
        """The text in bold or in a colour, where that may be."""
        if not style or not colours(self.stream.isatty()):
            return text
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m"

    def blank(self) -> None:
        """A line between one thing and the next."""
        self.remark("")

    def block(self, title: str, lines: Sequence[str]) -> None:
        """A small table under its title."""
        if title:
            self.remark(title)
        for line in lines:
            self.remark(f"  {line}" if title else line)

    def finding(self, severity: str, text: str, remedy: str) -> None:
        """One thing to know, in the colour of its severity, and what to try."""
        if self.quiet:
            return
        first, *rest = on_screen(entry(severity, text)).split("\n")
        put(
            "\n".join([first.replace(severity, self.styled(severity, COLOURS.get(severity, "")), 1), *rest]),
            self.stream,
        )
        if remedy:
            self.remark(entry("", f"try: {remedy}"))

    def entry(self, name: str, text: str) -> None:
        """A result with the name that stands before it."""
        self.say(entry(name, text))

    def next_steps(self, commands: Sequence[str]) -> None:
        """What may be typed next, whole lines, to be copied."""
        for name, command in zip(["next:", *[""] * len(commands)], commands, strict=False):
            self.remark(f"{name:<8}{command}")

    def notices(self, notices: Sequence[str]) -> None:
        """What was decided about the data: those that are alike as one, and only the first few of them."""
        groups = told_once([without_python(notice) for notice in notices])
        for group in groups[:NOTICES]:
            self.remark(entry("  note:", clipped(group, NOTICE), label=8))
        if len(groups) > NOTICES:
            self.remark(f"  and {len(groups) - NOTICES} kinds of notes more {self.elsewhere}")

    def finish(self, result: Mapping[str, Any]) -> None:
        """The result as one line of JSON on standard output, if asked for; machines get every text whole."""
        if self.json:
            put(json.dumps(result), sys.stdout)


@contextmanager
def plain_warnings(what: str, count: int, lr: float, usual: float) -> Iterator[None]:
    """Print the warnings of training as somebody reads them who typed a command: options, and no lines of source.

    ``what`` are the ``count`` replicas of the run: its restarts, or its folds.
    """
    from chainrule.training import TrainingWarning

    def show(message: Warning | str, *ignored: object, **ignored_too: object) -> None:
        if isinstance(message, TrainingWarning) and message.replica is not None:
            who = f"{what} {message.replica + 1} of {count}" if count > 1 else "training"
            complain(f"{who} {message.reason}\n  {'try:':<10}--lr {min(lr / 10, usual):g}")
        else:
            complain(as_options(str(message)))

    with warnings.catch_warnings():
        warnings.showwarning = show
        warnings.simplefilter("always", TrainingWarning)
        yield
