"""Which version of chainrule made a pickle: it holds objects as they are inside, and that changes.

Pickles are for other processes and for caches; what is to be kept belongs in a model file.
"""

from __future__ import annotations

from typing import Any

from chainrule._version import __version__
from chainrule.errors import ModelFileError

STAMP = "_chainrule_version"  # among the entries of an object's state


def stamped(state: dict[str, Any]) -> dict[str, Any]:
    """The state of an object for a pickle."""
    return {**state, STAMP: __version__}


def unstamped(state: dict[str, Any]) -> dict[str, Any]:
    """The state from a pickle; ModelFileError if it is of a version that another one may not understand."""
    check_version(state.get(STAMP, "unknown"))
    return {name: value for name, value in state.items() if name != STAMP}


def check_version(version: str) -> None:
    """ModelFileError unless pickles of that version of chainrule can be read: patches change nothing in them."""
    if version.split(".")[:2] != __version__.split(".")[:2]:
        raise ModelFileError(
            "a pickle was made by another version of chainrule",
            expected=f"version {__version__}",
            got=f"version {version}",
            hint="make it anew; keep models in files: state_dict(), TableModel.save()",
        )
