"""Preprocessing from a model file, which comes from anywhere: every field is checked before it is used."""

from __future__ import annotations

import json
from dataclasses import asdict
from types import MappingProxyType

from chainrule.data.describe import list_some
from chainrule.data.features.calendar import HARMONICS
from chainrule.data.features.columns import KINDS, Column
from chainrule.data.features.missing_marks import MARKS
from chainrule.data.features.numbers import MOST_STANDARDISED
from chainrule.data.features.readings import LARGEST, PAIRS, VALUES, Reading
from chainrule.data.features.records import Checks, is_finite_number, read_record
from chainrule.data.features.target import CLASS_TYPES, TASKS, Target, are_classes
from chainrule.errors import ModelFileError
from chainrule.files import parse_json
from chainrule.foreign_text import quoted

MOST_WEIGHT = 1e3
OLD_FIELDS = frozenset(
    ("name", "kind", "mean", "standard_deviation", "fill", "categories", "missing_category", "reading")
)


def read_saved(text: str) -> tuple[tuple[Column, ...], Target, tuple[str, ...]]:
    """Columns, target and the columns that are kept, as JSON says them; ModelFileError for anything else."""
    value = parse_json(text, "the model's preprocessing")
    if not isinstance(value, dict) or not {"columns", "target"} <= set(value) <= {
        "columns",
        "target",
        "keep",
    }:
        raise _malformed("preprocessing", value, "an object with the keys columns, target, keep")
    value = {"keep": [], **value}
    if not isinstance(value["columns"], list):
        raise _malformed("columns", value["columns"], "a list")
    if not _is_texts(value["keep"]):
        raise _malformed("keep", value["keep"], "a list of different texts")
    columns = tuple(_read_column(entry, f"columns[{i}]") for i, entry in enumerate(value["columns"]))
    target = _read_target(value["target"])
    _check_meaning(columns, target)
    return columns, target, tuple(value["keep"])


def _malformed(where: str, got: object, expected: str) -> ModelFileError:
    return ModelFileError(
        "the model's preprocessing is malformed",
        expected=expected,
        got=quoted(got),
        where=where,
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value)) and len(set(value)) == len(value)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_numbers(value: object) -> bool:
    return isinstance(value, list) and all(map(is_finite_number, value))


CHECKS: Checks = MappingProxyType(
    {
        "str": ("text", _is_text),
        "float": ("a finite number with a decimal point", is_finite_number),
        "bool": ("true or false", _is_bool),
        "tuple[str, ...]": ("a list of different texts", _is_texts),
        "tuple[float, ...]": ("a list of finite numbers with a decimal point", _is_numbers),
        "Reading": ("how cells are read", lambda value: isinstance(value, Reading)),
    }
)
"""For each type of field: what it is called, and whether a value that JSON gave is one."""

OLD_KINDS = MappingProxyType(
    {"categorical": "text", "boolean": "boolean", "time": "date", "numeric": "number"}
)
"""How cells were read by versions that kept no reading."""


def _read_column(entry: object, where: str) -> Column:
    if isinstance(entry, dict) and "reading" not in entry and "kind" in entry:
        old = Reading(OLD_KINDS.get(str(entry["kind"]), "number"), marks="none")
        return read_record(Column, {**NEW_COLUMN, **entry, "reading": old}, where, CHECKS, _malformed)
    return read_record(Column, _with_reading(entry, where), where, CHECKS, _malformed)


def _read_target(entry: object) -> Target:
    if isinstance(entry, dict) and "reading" not in entry and "task" in entry:
        kind = str(entry.get("class_type")) if entry["task"] == "classification" else "number"
        values = {"text": "text", "boolean": "boolean"}.get(kind, "number")
        entry = {**entry, "reading": Reading(values, marks="none")}
        return read_record(Target, entry, "target", CHECKS, _malformed)
    return read_record(Target, _with_reading(entry, "target"), "target", CHECKS, _malformed)


def _with_reading(entry: object, where: str) -> object:
    if not isinstance(entry, dict) or "reading" not in entry:
        return entry
    reading = read_record(Reading, entry["reading"], f"{where}.reading", CHECKS, _malformed)
    for name, got, allowed in (
        ("values", reading.values, VALUES),
        ("decimal", reading.decimal, ("", ".", ",")),
        ("day_first", reading.day_first, ("", "day", "month", "year")),
        ("marks", reading.marks, tuple(MARKS)),
        ("pair", reading.pair, ((), *PAIRS)),
    ):
        if got not in allowed:
            raise _malformed(f"{where}.reading.{name}", got, f"one of {list_some(allowed, limit=12)}")
    return {**entry, "reading": reading}


def _check_meaning(columns: tuple[Column, ...], target: Target) -> None:
    if not all(map(_fits_parts, columns)):  # first: the names of features are made of them
        raise _malformed("parts", [c.parts for c in columns], f"of dates, some of {tuple(HARMONICS)}")
    names = [column.name for column in columns]
    deviations = [target.standard_deviation, *(column.standard_deviation for column in columns)]
    sizes = [*deviations, target.mean, *(c.mean for c in columns), *(c.fill for c in columns)]
    # a median is at most one standard deviation from its mean; twice that leaves room for rounding
    far = [c.name for c in columns if not abs(c.fill - c.mean) <= 2 * c.standard_deviation]
    for where, got, is_right, expected in (
        ("columns", names, len({*names, target.name}) == len(names) + 1, "names that differ"),
        ("columns", names, any(column.feature_names for column in columns), "a column that is used"),
        ("kind", [c.kind for c in columns], all(c.kind in KINDS for c in columns), f"each one of {KINDS}"),
        ("standard_deviation", deviations, min(deviations) > 0, "positive numbers"),
        ("mean", "", max(map(abs, sizes)) <= 2 * LARGEST, f"numbers up to {2 * LARGEST:g}"),
        ("fill", far, not far, "values within two standard deviations of their mean"),
        ("low", "", all(_fits_range(c) for c in columns), "a range with the mean and the fill in it"),
        ("reading", "", all(_fits_kind(c) for c in columns), "a reading of the column's kind"),
        ("effects", "", all(_fits_effects(c) for c in columns), "a number for each category"),
        ("weights", "", all(_fits_weights(c) for c in columns), "a positive number for each word"),
        ("target.task", target.task, target.task in TASKS, f"one of {TASKS}"),
        ("target.class_type", target.class_type, target.class_type in CLASS_TYPES, f"one of {CLASS_TYPES}"),
        ("target.classes", target.classes, are_classes(target), "the names of two classes or more"),
        ("target.reading", target.reading.values, _fits_target(target), "a reading of the target's kind"),
    ):
        if not is_right:
            raise _malformed(where, got, expected)


def _fits_range(column: Column) -> bool:
    unknown = column.low == -LARGEST and column.high == LARGEST  # as in files of older versions
    if column.kind not in {"numeric", "boolean", "time"} or column.standard_deviation <= 0 or unknown:
        return True
    rounding = 1e-9 * max(abs(column.low), abs(column.high))
    inside = (
        column.low - rounding <= column.mean <= column.high + rounding
        and column.low <= column.fill <= column.high
    )
    reach = max(abs(bound - column.mean) for bound in column.bounds) / column.standard_deviation
    return inside and reach < MOST_STANDARDISED


def _fits_kind(column: Column) -> bool:
    kinds = {
        "numeric": ("number", "clock"),
        "boolean": ("boolean",),
        "time": ("date",),
        "categorical": ("text",),
        "words": ("text",),
    }
    return column.kind == "ignored" or column.reading.values in kinds.get(column.kind, ())


def _fits_effects(column: Column) -> bool:
    both = (*column.categories, *column.others)
    if not column.has_effects:
        return not column.effects and not column.others
    right = len(column.effects) == len(both) * len(column.effect_names) and len(set(both)) == len(both)
    return right and all(abs(effect) <= 1e6 * column.standard_deviation for effect in column.effects)


def _fits_weights(column: Column) -> bool:
    words = len(column.categories) if column.kind == "words" else 0
    return len(column.weights) == words and all(0 < weight <= MOST_WEIGHT for weight in column.weights)


def _fits_parts(column: Column) -> bool:
    return set(column.parts) <= set(HARMONICS) and (column.kind == "time" or not column.parts)


def _fits_target(target: Target) -> bool:
    values = target.reading.values
    if target.task == "regression":
        return values in {"number", "boolean", "clock"}
    return values == {"text": "text", "integer": "number", "boolean": "boolean"}.get(target.class_type) or (
        target.class_type == "text" and values == "number"  # integers beyond 64 bits
    )


NEW_COLUMN = json.loads(
    json.dumps(
        {name: value for name, value in asdict(Column("", "numeric")).items() if name not in OLD_FIELDS}
    )
)
