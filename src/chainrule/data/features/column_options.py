"""What a user says about the columns of a table, instead of having it found out."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chainrule.data.describe import known_name, list_some, suggest_names
from chainrule.errors import DataError, SettingError
from chainrule.foreign_text import clipped, quoted

COLUMN_TYPES = ("number", "boolean", "date", "category", "text", "words", "id")


class Everything(Collection[str]):
    """Has every text in it."""

    def __contains__(self, text: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 1


EVERYTHING = Everything()


def is_of_predictions(name: str) -> bool:
    """Whether a column of the predictions may be called so."""
    return name in {"prediction", "prediction_low", "prediction_high"} or name.startswith(
        ("probability_", "in_set_")
    )


@dataclass(frozen=True)
class Columns:
    """What a table's columns hold, and which of them are used; what is not said is found out.

    ``types`` gives columns a type: "number", "boolean", "date"; "category" (each text is a category), "words" (the
    words of each text are features), "text" (as it stands: categories or words, whichever fits), or "id" (left out).
    ``ignore`` are columns that are left out, ``keep`` columns that are written through into predictions. Cells that
    read as one of ``missing`` count as missing, besides the usual ones ("", NA, N/A, #N/A, -, ?, null, ...): in every
    column but the target or, where ``missing`` is a mapping, in the column of that name (None: in all but the target).
    ``decimal`` is the decimal mark of numbers in text, "." or ",". ``day_first`` says of dates such as 05/01/2020
    whether the day comes first (True) or the month (False).

    Raises SettingError for a type that there is not, and for another decimal mark.

    >>> Columns(types={"zip": "text"}, missing=("-999",)).types["zip"]
    'text'
    """

    types: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    missing: tuple[str, ...] | Mapping[str | None, tuple[str, ...]] = ()
    decimal: str | None = None
    day_first: bool | None = None
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("ignore", "keep"):
            object.__setattr__(self, name, _texts(name, getattr(self, name)))
        given = self.missing if isinstance(self.missing, Mapping) else {None: self.missing}
        marks = {column: _texts("missing", texts) for column, texts in given.items()}
        plain = marks.get(None, ()) if set(marks) <= {None} else marks
        object.__setattr__(self, "missing", plain)
        if not isinstance(self.types, Mapping):
            raise SettingError("types gives the type of each column by its name", got=quoted(self.types))
        for column, kind in self.types.items():
            if kind not in COLUMN_TYPES:
                raise SettingError(
                    f"column {quoted(column)} cannot have the type {quoted(kind)}",
                    expected=f"one of {', '.join(COLUMN_TYPES)}",
                    got=quoted(kind),
                    hint=suggest_names(str(kind), COLUMN_TYPES),
                )
        if self.decimal not in {None, ".", ","}:
            raise SettingError(
                "the decimal mark is a point or a comma", expected=". or ,", got=quoted(self.decimal)
            )
        if self.day_first not in {None, True, False}:
            raise SettingError("day_first is true, false or None", got=quoted(self.day_first))

    def check_names(self, names: Iterable[str], target: str) -> None:
        """Raise DataError with the nearest names if a column that is spoken of is not in the table.

        Raises SettingError where the target is to be left out, and for kept columns that are called as predictions are.
        """
        if target in self.ignore or self.types.get(target) == "id":
            raise SettingError("the target cannot be left out", got=quoted(target))
        if self.types.get(target) == "words":
            raise SettingError(
                f"the target {quoted(target)} cannot be words: they are features",
                expected="number, boolean, category or text",
                got=quoted("words"),
                hint=said_as("type", target, "category"),
            )
        taken = [name for name in self.keep if is_of_predictions(name)]
        if taken:
            raise SettingError(
                f"column {quoted(taken[0])} cannot be kept: predictions are called so",
                expected="another name",
                got=list_some([quoted(name) for name in taken]),
            )
        known = list(names)
        present = set(known)
        of_marks = [name for name in self.marks if name is not None]
        for what, spoken in (
            ("type", self.types),
            ("ignore", self.ignore),
            ("keep", self.keep),
            ("missing", of_marks),
        ):
            for name in spoken:
                if name not in present:
                    raise no_such_column(what, name, known)

    @property
    def marks(self) -> Mapping[str | None, tuple[str, ...]]:
        """What counts as missing in the column of each name, and under None what does in all but the target."""
        return self.missing if isinstance(self.missing, Mapping) else {None: self.missing}

    def missing_in(self, name: str, is_target: bool = False) -> tuple[str, ...]:
        """What counts as missing in one column, besides the usual.

        >>> said = Columns(missing={None: ("-999",), "age": ("0",)})
        >>> said.missing_in("age"), said.missing_in("size"), said.missing_in("price", is_target=True)
        (('-999', '0'), ('-999',), ())
        """
        return (*(() if is_target else self.marks.get(None, ())), *self.marks.get(name, ()))

    @property
    def read_as_text(self) -> Collection[str]:
        """The columns of a file whose cells are to be handed over as they are: all of them if a mark was named."""
        if self.decimal is not None:
            return EVERYTHING
        return tuple(name for name, kind in self.types.items() if kind in {"category", "text", "words"})

    def resolved(self, names: Sequence[str]) -> Columns:
        """The same, with the names as the table has them: see ``known_name``."""
        types = {known_name(name, names): kind for name, kind in self.types.items()}
        ignore, keep = (tuple(known_name(name, names) for name in part) for part in (self.ignore, self.keep))
        marks = {name and known_name(name, names): texts for name, texts in self.marks.items()}
        return replace(self, types=types, ignore=ignore, keep=keep, missing=marks)


def no_such_column(option: str, name: str, known: Sequence[str]) -> DataError:
    """The error that an ``option`` names a column which is not among the ``known`` ones, with the nearest names."""
    parts = [part.strip() for part in name.split(",")]
    several = len(parts) > 1 and set(parts) <= set(known)
    apart = " ".join(f"--{option} {shlex.quote(part)}" for part in parts)
    return DataError(
        f"there is no column {quoted(name)} (--{option})",
        expected=f"one of its {len(known)} columns",
        got=quoted(name),
        hint=apart if several else suggest_names(name, known),
    )


def _texts(name: str, value: Any) -> tuple[str, ...]:
    found = (value,) if isinstance(value, str) else tuple(value)
    wrong = [item for item in found if not isinstance(item, str)]
    if wrong:
        raise SettingError(f"{name} is a list of texts", got=list_some([quoted(item) for item in wrong]))
    return found


FOUND_OUT = Columns()


def said_as(name: str, *values: str) -> str:
    """How something is said about columns, as hints give it: on the command line and in Python.

    Of a type it is the column and its type, of what counts as missing the texts alone, or a column and its text.

    >>> said_as("type", "zip", "text")
    "--type zip=text (in Python: Columns(types={'zip': 'text'}))"
    >>> said_as("missing", "-999"), said_as("decimal", ",")
    ("--missing=-999 (in Python: Columns(missing=('-999',)))", "--decimal , (in Python: Columns(decimal=','))")
    """
    shown = [clipped(value) for value in values]
    if name == "type":
        column, kind = shown
        return (
            f"--type {shlex.quote(f'{column}={kind}')} (in Python: Columns(types={{{column!r}: {kind!r}}}))"
        )
    if name == "missing" and len(shown) == 2:
        column, text = shown
        given = f"--missing {shlex.quote(f'{column}={text}')}"
        return f"{given} (in Python: Columns(missing={{{column!r}: ({text!r},)}}))"
    if name in {"missing", "ignore", "keep"}:
        value = shlex.quote(shown[0])
        given = f"--{name}={value}" if value.startswith("-") else f"--{name} {value}"
        return f"{given} (in Python: Columns({name}=({shown[0]!r},)))"
    if name == "day_first":
        return "--day-first or --month-first (in Python: Columns(day_first=True) or False)"
    return f"--{name} {shlex.quote(shown[0])} (in Python: Columns({name}={shown[0]!r}))"
