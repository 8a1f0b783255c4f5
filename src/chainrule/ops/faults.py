"""What can go wrong at an element while machine code runs: it notes a number, and the error is raised afterwards."""

from __future__ import annotations

from enum import IntEnum

from chainrule.errors import ChainruleError, DtypeError, IndexOutOfRangeError


class Fault(IntEnum):
    """The number that is noted; 0 means that nothing went wrong."""

    INDEX_OUTSIDE = 1
    NEGATIVE_EXPONENT = 2

    def error(self) -> ChainruleError:
        """The error to raise. Machine code knows neither the element nor the line."""
        kind, what = _ERRORS[self]
        return kind(
            f"{what} in compiled code", hint="run the same with the interpreter, which names the line"
        )


_ERRORS: dict[Fault, tuple[type[ChainruleError], str]] = {
    Fault.INDEX_OUTSIDE: (IndexOutOfRangeError, "an index was out of range"),
    Fault.NEGATIVE_EXPONENT: (DtypeError, "an integer was raised to a negative power"),
}
