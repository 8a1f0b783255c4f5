"""The warning of a training that went on, or ended, otherwise than the user would expect."""

from __future__ import annotations

import warnings

from chainrule.errors import SourceLine
from chainrule.foreign_text import screenful


class TrainingWarning(UserWarning):
    """Training ended in a way that the user should know about, or its checkpoint could not be written.

    To make it an error, for example in a test::

        warnings.simplefilter("error", cr.TrainingWarning)

    Of a replica that ended early, ``replica`` is its number and ``reason`` says why.
    """

    replica: int | None = None
    reason: str = ""


def warn(text: str, line: SourceLine | None, replica: int | None = None, reason: str = "") -> None:
    """Issue a TrainingWarning that points to the user's line."""
    warning = TrainingWarning(screenful(text))
    warning.replica, warning.reason = replica, reason
    warnings.warn_explicit(warning, TrainingWarning, *(line or ("chainrule", 0)))
