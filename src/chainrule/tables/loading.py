"""Reading a model file: nothing in it is trusted, and the worst that it can do is to be refused."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from types import MappingProxyType
from typing import Any

import numpy as np

from chainrule.data import Preprocessor
from chainrule.data.records import Checks, is_finite_number, read_record
from chainrule.errors import ChainruleError, ModelFileError
from chainrule.files import load_tensors
from chainrule.nn import MLP
from chainrule.ops.record import Array
from chainrule.tables.architecture import Architecture
from chainrule.tables.model import Facts, TableModel


def load_model(path: str | PathLike[str]) -> TableModel:
    """Load a model that ``chainrule train`` or ``TableModel.save`` wrote.

    Nothing in the file is run, and its memory is bounded by its size. Raises ModelFileError that says what is
    wrong: no such file, not one of chainrule's, truncated, damaged, of another format version, or with
    contents that do not fit together.

    >>> import tempfile
    >>> from chainrule.data import load_bundled
    >>> from chainrule.tables import TrainingSettings, train_table
    >>> xnor = load_bundled("xnor")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/xnor.safetensors"
    ...     train_table(xnor.frame, xnor.target, TrainingSettings(epochs=1)).model.save(path)
    ...     model = load_model(path)
    >>> model.task, model.classes
    ('classification', ('0', '1'))
    """
    tensors, metadata = load_tensors(path, kind="model")
    try:
        return _assemble(tensors, metadata)
    except ModelFileError as error:
        raise ModelFileError(
            f"{path} is not a usable model: {error.what}",
            expected=error.expected,
            got=error.got,
            where=error.where,
            hint="use another copy, or train again",
        ) from None


def _assemble(tensors: Mapping[str, Array], metadata: Mapping[str, Any]) -> TableModel:
    if set(metadata) != {"architecture", "preprocessor", "facts"}:
        raise _malformed("the metadata", list(metadata), "the keys architecture, preprocessor, facts")
    architecture = read_record(Architecture, metadata["architecture"], "architecture", CHECKS, _malformed)
    preprocessor = Preprocessor.from_json(metadata["preprocessor"])
    facts = read_record(Facts, metadata["facts"], "facts", CHECKS, _malformed)
    outputs = len(preprocessor.target.classes) or 1
    _require_widths(architecture, len(preprocessor.feature_names), outputs)
    if not 0 <= facts.most_frequent < outputs:
        raise _malformed("facts.most_frequent", facts.most_frequent, f"a label from 0 to {outputs - 1}")
    return TableModel(architecture, _build(architecture, tensors), preprocessor, facts)


def _require_widths(architecture: Architecture, features: int, outputs: int) -> None:
    widths = architecture.widths
    if len(widths) < 2 or min(widths) < 1 or (widths[0], widths[-1]) != (features, outputs):
        raise _malformed(
            "architecture.widths",
            widths,
            f"widths from 1 on that begin with {features} and end with {outputs}",
        )


def _build(architecture: Architecture, tensors: Mapping[str, Array]) -> MLP:
    """The network with the file's parameters; built only once the file is known to hold as many."""
    held, layers = sum(tensor.size for tensor in tensors.values()), len(architecture.widths) - 1
    if len(tensors) < layers:
        raise _malformed(
            "the tensors", f"{len(tensors)} tensors", f"at least one for each of {layers} layers"
        )
    if architecture.weights > held:
        raise _malformed("the tensors", f"{held} numbers", f"at least {architecture.weights}")
    try:
        network = architecture.build()
    except ChainruleError as error:
        raise _malformed("architecture", error.got, str(error.expected)) from error
    _require_same(network.state_dict(), tensors)
    network.load_state_dict(tensors)
    return network.eval()


def _require_same(own: Mapping[str, Array], tensors: Mapping[str, Array]) -> None:
    if own.keys() != tensors.keys():
        raise _malformed("the tensors' names", sorted(tensors), ", ".join(sorted(own)))
    for name, tensor in tensors.items():
        form, expected = ((t.dtype.name, t.shape) for t in (tensor, own[name]))
        if form != expected:
            raise _malformed(name, form, str(expected))
        if not np.isfinite(tensor).all():
            raise _malformed(name, "a value that is not finite", "finite numbers")


def _malformed(where: str, got: object, expected: str) -> ModelFileError:
    shown = got if isinstance(got, str) else ascii(got)
    return ModelFileError(
        "its parts do not fit together",
        expected=expected if len(expected) <= 200 else expected[:200] + "...",
        got=shown if len(shown) <= 200 else shown[:200] + "...",
        where=where,
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_widths(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _is_settings(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(v, str | int | None) or is_finite_number(v) for v in value.values()
    )


CHECKS: Checks = MappingProxyType(
    {
        "str": ("text", lambda value: isinstance(value, str)),
        "bool": ("true or false", lambda value: isinstance(value, bool)),
        "int": ("a whole number from 0 on", _is_count),
        "float": ("a finite number with a decimal point", is_finite_number),
        "tuple[int, ...]": ("a list of whole numbers", _is_widths),
        "dict[str, Setting]": ("an object of texts and numbers", _is_settings),
    }
)
"""For each type of field: what it is called, and whether a value that JSON gave is one."""
