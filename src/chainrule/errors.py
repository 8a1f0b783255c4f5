"""Errors say what happened, what was expected, what came, where in the user's code, and one thing to try."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.foreign_text import screenful

PACKAGE = str(Path(__file__).parent / "_")[:-1]  # with the separator at its end
#: of a message and its parts, which together fit on a screen
ROWS = {"what": 10, "expected": 5, "got": 12, "where": 4, "try": 6}
NEXT_LINE, INDENTED = "\n", "\n" + " " * 12  # so that no text can pass for the next part
_STANDARD = Path(os.__file__).parent
#: what calls a thread's first function, or copies, is nobody's code, and what NumPy or scikit-learn calls is its
#: caller's
_NOT_USERS = (
    PACKAGE,
    *(str(Path(np.__file__).parents[up] / name / "_")[:-1] for up, name in ((0, ""), (1, "sklearn"))),
    *(str(_STANDARD / name) for name in ("threading.py", "copy.py", "pickle.py")),
    str(_STANDARD / "concurrent" / "futures"),
    # a command has no line of the user's
    str(Path(__file__).parents[1] / "chainrule_command.py"),
    "<frozen ",
)
_SCRIPTS = ("chainrule", "chainrule.exe")  # that installers write


class ChainruleError(Exception):
    """Base of every error that chainrule raises on purpose.

    Each kind is also one of Python's own, such as ValueError, so that either can be caught. The message is never
    longer than a screen and steers no terminal, whatever the names and cells in it hold; ``expected`` and ``got``
    are kept whole.

    >>> from chainrule.errors import ChainruleError, ShapeError
    >>> issubclass(ShapeError, ChainruleError), issubclass(ShapeError, ValueError)
    (True, True)
    """

    def __init__(
        self,
        what: str,
        *,
        expected: object = None,
        got: object = None,
        where: str | None = None,
        hint: str = "",
    ) -> None:
        self.what = screenful(what, ROWS["what"])
        super().__init__(self.what)
        self.expected, self.got, self.where, self.hint = expected, got, where, hint

    def __str__(self) -> str:
        parts = [("expected", self.expected), ("got", self.got), ("where", self.where), ("try", self.hint)]
        lines = [
            f"  {f'{name}:':<10}{screenful(text, ROWS[name]).replace(NEXT_LINE, INDENTED)}"
            for name, text in parts
            if text is not None and not (isinstance(text, str) and not text)
        ]
        return "\n".join([screenful(self.what, ROWS["what"]), *lines])

    def __reduce__(self) -> tuple[Any, ...]:
        """What a pickle holds: the message as text, for what it names need not be fit to travel."""
        texts = {
            name: str(value)
            for name, value in vars(self).items()
            if name in ("expected", "got") and not isinstance(value, str | int | float | None)
        }
        return _unpickled, (type(self), self.args), vars(self) | texts


def _unpickled(kind: type[ChainruleError], args: tuple[Any, ...]) -> ChainruleError:
    """An error that has not been told anything but its arguments: kinds may have an __init__ of their own."""
    error = kind.__new__(kind)
    error.args = args
    return error


class ShapeError(ChainruleError, ValueError):
    """Shapes do not fit together.

    >>> import chainrule as cr
    >>> cr.tensor([1.0, 2.0]) + cr.tensor([1.0, 2.0, 3.0])
    Traceback (most recent call last):
        ...
    chainrule.errors.ShapeError: add: shapes do not broadcast
      expected: equal lengths, or 1, on every axis counted from the last
      got:      (2,) and (3,)
      where:    ...
      try:      reshape or expand one operand
    """


class DtypeError(ChainruleError, TypeError):
    """A dtype is not one that the operation takes.

    >>> import chainrule as cr
    >>> cr.tensor([1, 2], requires_grad=True)
    Traceback (most recent call last):
        ...
    chainrule.errors.DtypeError: only floats have gradients
    ...
    """


class IndexOutOfRangeError(ChainruleError, IndexError):
    """An index lies outside its axis.

    >>> import chainrule as cr
    >>> cr.tensor([1.0, 2.0])[2]
    Traceback (most recent call last):
        ...
    chainrule.errors.IndexOutOfRangeError: an index is out of range on axis 0
    ...
    """


class DataError(ChainruleError, ValueError):
    """The user's data cannot be used as they are (not finite, unknown columns, labels out of range).

    >>> from chainrule import data
    >>> data.load_bundled("iriss")
    Traceback (most recent call last):
        ...
    chainrule.errors.DataError: there is no bundled problem 'iriss'
    ...
    """


class SettingError(ChainruleError, ValueError):
    """A setting has a value that it cannot have.

    >>> from chainrule import optim
    >>> optim.SGD(-0.1)
    Traceback (most recent call last):
        ...
    chainrule.errors.SettingError: lr must be a number >= 0
      got:      -0.1
      try:      lr=1
    """


class GradientError(ChainruleError, RuntimeError):
    """A gradient was asked for where there is none, or it is wrong.

    >>> import chainrule as cr
    >>> cr.tensor([1.0, 2.0]).sum().backward()
    Traceback (most recent call last):
        ...
    chainrule.errors.GradientError: backward() from a tensor that depends on nothing that requires a gradient
    ...
    """


class InTrainingError(ChainruleError, RuntimeError):
    """Another thread trains this model, one that shares parts with it, or this estimator.

    >>> from chainrule.errors import ChainruleError, InTrainingError
    >>> issubclass(InTrainingError, ChainruleError), issubclass(InTrainingError, RuntimeError)
    (True, True)
    """


class TracingError(ChainruleError, TypeError):
    """A traced tensor was asked for a value that it will only have when the graph runs.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> cr.compile(lambda x: float(x.sum()))(np.ones(3))
    Traceback (most recent call last):
        ...
    chainrule.errors.TracingError: a traced tensor has no value yet
    ...
    """


class NonFiniteError(ChainruleError, FloatingPointError):
    """A computation gave a number that is not finite; the message names the first one and what it came from.

    >>> import chainrule as cr
    >>> cr.compile(cr.log, nonfinite="raise")([1.0, -1.0])
    Traceback (most recent call last):
        ...
    chainrule.errors.NonFiniteError: log gave nan, the first number that is not finite
    ...
    """


class ModelFileError(ChainruleError, ValueError):
    """A file is not a chainrule model, or is damaged, or of another version.

    >>> from chainrule import nn
    >>> nn.Linear(2, 1).load_state_dict({})
    Traceback (most recent call last):
        ...
    chainrule.errors.ModelFileError: the state does not fit this model
    ...
    """


class ExchangeError(ChainruleError, ValueError):
    """A model has a part that the format or library it is to be moved to, or comes from, does not have.

    >>> import numpy as np
    >>> from chainrule import exchange, nn
    >>> exchange.to_onnx(nn.Dropout(0.5).forward, example=np.zeros((1, 2)))
    Traceback (most recent call last):
        ...
    chainrule.errors.ExchangeError: the forward pass changes the model's state
    ...
    """


SourceLine = tuple[str, int]


def user_line() -> SourceLine | None:
    """The nearest caller's file and line outside this package."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_NOT_USERS) and not _is_command(file):
            return (file, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _is_command(file: str) -> bool:
    """Whether a file is of what calls the command line: typer, or the script that an installer writes."""
    typer = sys.modules.get("typer")
    return typer is not None and (
        file.endswith(_SCRIPTS) or file.startswith(_folder_of(typer.__file__ or " "))
    )


@cache
def _folder_of(file: str) -> str:
    """With the separator at its end; kept, for every node asks for its line."""
    return str(Path(file).parent / "_")[:-1]


def describe_line(line: SourceLine | None) -> str | None:
    """The line as ``file:number: text``, with its text where the file can be read."""
    if line is None:
        return None
    import linecache

    text = linecache.getline(*line).strip()
    return place(line) + (f": {text}" if text else "")


def caller_line() -> str | None:
    """The line of the user's code that is running, as ``file:number: text``: the ``where`` of an error."""
    return describe_line(user_line())


def place(line: SourceLine) -> str:
    """``file:number``, or the line's number in a notebook's cell, which has a file name that says nothing."""
    file, number = line
    cell = "ipykernel_" in file or file.startswith("<ipython-input")
    return f"line {number} of the cell" if cell else f"{file}:{number}"


def place_in_short(line: SourceLine) -> str:
    """The same without folders."""
    return place((line[0] if "ipykernel_" in line[0] else line[0].rsplit("/", 1)[-1], line[1]))
