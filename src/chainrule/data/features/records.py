"""Records from JSON that is not trusted: exactly the right fields, each of the right kind, or an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from chainrule.errors import ModelFileError

Record = TypeVar("Record")
#: for each type of field: what it is called, and whether a value that JSON gave is one
Checks = Mapping[str, tuple[str, Callable[[Any], bool]]]
#: (where, got, expected) -> the error to raise
Malformed = Callable[[str, object, str], ModelFileError]


def is_finite_number(value: object) -> bool:
    """Whether JSON gave a number with a decimal point that is neither infinite nor NaN."""
    return isinstance(value, float) and math.isfinite(value)


def read_record(
    record: type[Record], value: object, where: str, checks: Checks, malformed: Malformed
) -> Record:
    """A dataclass from a JSON object; lists become tuples. Raises what ``malformed`` makes."""
    kinds = {field.name: str(field.type) for field in fields(record)}  # type: ignore[arg-type]
    if not isinstance(value, dict) or value.keys() != kinds.keys():
        raise malformed(where, value, f"an object with the keys {', '.join(sorted(kinds))}")
    for name, kind in kinds.items():
        expected, is_right = checks[kind]
        if not is_right(value[name]):
            raise malformed(f"{where}.{name}", value[name], expected)
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in value.items()}
    return record(**values)
