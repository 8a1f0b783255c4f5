"""Reading a model file: nothing in it is trusted, and the worst that it can do is to be refused."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from types import MappingProxyType
from typing import Any

import numpy as np

from chainrule.data import Preprocessor
from chainrule.data.features.records import Checks, is_finite_number, read_record
from chainrule.errors import ChainruleError, ModelFileError
from chainrule.files import load_tensors
from chainrule.foreign_text import WIDTH, clipped
from chainrule.nn.module import Module
from chainrule.ops.record import Array
from chainrule.tables.architecture import Architecture
from chainrule.tables.facts import Facts
from chainrule.tables.model import TableModel
from chainrule.tables.settings import EMBEDDINGS, SCALINGS

LARGEST = 1e100  # number of a scale of errors, which is multiplied by squared predictions
NEW_FIELDS: Mapping[str, object] = MappingProxyType(
    {"members": 1, "scaling": "standard", "embedding": "none", "numbers": [], "classes": False, "shares": []}
)
"""Fields of an architecture that files of version 0.1 do not have, and what they stand for there."""


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
    architecture = _read_architecture(metadata["architecture"])
    preprocessor = Preprocessor.from_json(metadata["preprocessor"])
    facts = _read_facts(metadata["facts"])
    outputs = len(preprocessor.target.classes) or 1
    _require_widths(architecture, len(preprocessor.feature_names), outputs)
    if architecture.classes != bool(preprocessor.target.classes) and architecture.networks > 1:
        raise _malformed("architecture.classes", architecture.classes, "what the target is")
    if not 0 <= facts.most_frequent < outputs:
        raise _malformed("facts.most_frequent", facts.most_frequent, f"a label from 0 to {outputs - 1}")
    if facts.decision and (
        len(facts.decision) != len(preprocessor.target.classes) or min(facts.decision) <= 0
    ):
        raise _malformed("facts.decision", facts.decision[:5], "a positive number for each class, or nothing")
    _require_share(facts.settings.get("label_smoothing"))
    return TableModel(architecture, _build(architecture, tensors), preprocessor, facts)


def _read_architecture(value: object) -> Architecture:
    """The architecture; files of single networks, before there were ensembles, say less."""
    if isinstance(value, dict):
        value = {**NEW_FIELDS, **value}
    read = read_record(Architecture, value, "architecture", CHECKS, _malformed)
    for name, known in (("scaling", SCALINGS), ("embedding", EMBEDDINGS)):
        if getattr(read, name) not in known:
            raise _malformed(f"architecture.{name}", getattr(read, name), " or ".join(known))
    if read.members < 1:
        raise _malformed("architecture.members", read.members, "a number of networks from 1 on")
    if read.shares and (
        len(read.shares) != len(read.kinds) + 1 or min(read.shares) < 0 or sum(read.shares) <= 0
    ):
        raise _malformed(
            "architecture.shares", read.shares, f"{len(read.kinds) + 1} numbers from 0 on, not all 0"
        )
    if any(place >= read.widths[0] for place in read.numbers):
        raise _malformed("architecture.numbers", read.numbers, f"places among {read.widths[0]} inputs")
    return read


def _read_facts(value: object) -> Facts:
    """The facts; files of version 0.1 hold no errors and no interval of the score."""
    if isinstance(value, dict):
        value = {
            "errors": [],
            "error_scale": [],
            "decision": [],
            "score_low": None,
            "score_high": None,
            **value,
        }
    facts = read_record(Facts, value, "facts", CHECKS, _malformed)
    if any(error < 0 for error in facts.errors) or list(facts.errors) != sorted(facts.errors):
        raise _malformed("facts.errors", facts.errors[:5], "sizes of errors in ascending order")
    scale = facts.error_scale
    is_whole = len(scale) == 5 and max(map(abs, scale)) < LARGEST and 0 < scale[3] <= scale[4]
    if scale and not is_whole:
        raise _malformed("facts.error_scale", scale[:6], "nothing, or three numbers and two limits")
    return facts


def _require_share(smoothing: object) -> None:
    """Probabilities are computed with it, so that it must be one."""
    is_share = isinstance(smoothing, int | float) and 0 <= smoothing < 1
    if smoothing is not None and not is_share:
        raise _malformed("facts.settings.label_smoothing", smoothing, "a number from 0 to below 1")


def _require_widths(architecture: Architecture, features: int, outputs: int) -> None:
    widths = architecture.widths
    if len(widths) < 2 or min(widths) < 1 or (widths[0], widths[-1]) != (features, outputs):
        raise _malformed(
            "architecture.widths",
            widths,
            f"widths from 1 on that begin with {features} and end with {outputs}",
        )


def _build(architecture: Architecture, tensors: Mapping[str, Array]) -> Module:
    """The network with the file's parameters; built only once the file is known to hold as many."""
    held = sum(tensor.size for tensor in tensors.values())
    layers, weights = (
        architecture.members * count
        for count in (sum(len(kind.hidden) + 1 for kind, _ in architecture.answering), architecture.weights)
    )
    if len(tensors) < layers:
        raise _malformed(
            "the tensors", f"{len(tensors)} tensors", f"at least one for each of {layers} layers"
        )
    if weights > held:
        raise _malformed("the tensors", f"{held} numbers", f"at least {weights}")
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
    return ModelFileError(
        "its parts do not fit together",
        expected=clipped(expected, WIDTH),
        got=clipped(got),
        where=where,
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_widths(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _is_numbers(value: object) -> bool:
    return isinstance(value, list) and all(map(is_finite_number, value))


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
        "float | None": (
            "a finite number with a decimal point, or null",
            lambda value: value is None or is_finite_number(value),
        ),
        "tuple[int, ...]": ("a list of whole numbers", _is_widths),
        "tuple[float, ...]": ("a list of finite numbers with a decimal point", _is_numbers),
        "dict[str, Setting]": ("an object of texts and numbers", _is_settings),
    }
)
"""For each type of field: what it is called, and whether a value that JSON gave is one."""
