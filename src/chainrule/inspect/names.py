"""What the user calls things: names of variables, written as a person would write them."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import PACKAGE, SettingError
from chainrule.graph import Node
from chainrule.nn.module import Module
from chainrule.ops.notation import SUBSCRIPTS, Symbol
from chainrule.ops.record import Array, Shape
from chainrule.tensor import Tensor

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eps": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "kappa": "κ", "lambda": "λ", "lam": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "rho": "ρ",
    "sigma": "σ", "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
}  # fmt: skip
LATEX_NAMES = {"lam": "lambda", "eps": "epsilon"}


def symbol_for(name: str, shape: Shape = ()) -> Symbol:
    """A variable's name as a symbol: Greek letters, hats and subscripts as they are meant.

    >>> [symbol_for(name).text for name in ("yhat", "lam", "w_1", "l", "loss")]
    ['ŷ', 'λ', 'w₁', 'ℓ', 'loss']
    >>> symbol_for("y_hat").latex, symbol_for("W12").latex
    ('\\\\hat{y}', 'W_{12}')
    """
    match = re.fullmatch(r"([A-Za-z]+?)(_?hat)?(?:_?(\d+))?", name)
    if match is None or not (len(match[1]) == 1 or match[1] in GREEK):
        word = re.fullmatch(r"([A-Za-z]\w*?)_?(\d+)", name)
        if word is not None and "_" not in word[1]:
            return Symbol(
                word[1] + word[2].translate(SUBSCRIPTS), rf"\mathrm{{{word[1]}}}_{{{word[2]}}}", shape
            )
        return Symbol(name, rf"\mathrm{{{_escaped(name)}}}", shape)
    letter, hat, number = match.groups()
    text = GREEK.get(letter, "ℓ" if letter == "l" else letter)
    latex = (
        f"\\{LATEX_NAMES.get(letter, letter)}" if letter in GREEK else r"\ell" if letter == "l" else letter
    )
    if hat:
        text, latex = unicodedata.normalize("NFC", text + "\u0302"), rf"\hat{{{latex}}}"
    if number:
        text, latex = text + number.translate(SUBSCRIPTS), f"{latex}_{{{number}}}"
    return Symbol(text, latex, shape)


def _escaped(name: str) -> str:
    return re.sub(r"([_#&%$])", r"\\\1", name)


def variables_of_caller() -> dict[str, Any]:
    """The local variables of the nearest caller outside this package; those of a module at its top level."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back  # type: ignore[assignment]
    return {} if frame is None else {k: v for k, v in frame.f_locals.items() if not k.startswith("_")}


def names_of_nodes(
    order: Sequence[Node], given: Mapping[str, Any] | None, variables: Mapping[str, Any]
) -> tuple[dict[Node, str], dict[Node, Array]]:
    """A name for each node that is the value of a variable; what is given explicitly wins.

    Also the variables' own arrays, where their data entered the graph in another shape.
    """
    for name, value in (given or {}).items():
        if not isinstance(name, str) or not isinstance(value, Tensor | np.ndarray):
            raise SettingError(
                "names: every entry names a tensor or an array",
                expected='{"w": w, ...}',
                got=f"{name!r}: {type(value).__name__}",
            )
    names: dict[Node, str] = {}
    memory: dict[Any, tuple[str, Array]] = {}
    for name, value in [*(given or {}).items(), *variables.items()]:
        for node in value.nodes() if isinstance(value, Tensor) else ():
            names.setdefault(node, name)
        data = value.peek() if isinstance(value, Tensor) and value.node.value is not None else value
        if isinstance(data, np.ndarray):
            memory.setdefault(_place(data), (name, data))
    for value in variables.values():
        if isinstance(value, Module):
            names = {**parameter_names(value), **names}
    present = set(order)
    names = {node: name for node, name in names.items() if node in present}
    # data enter by another node over the same memory, or over a copy that the graph has to itself
    data_nodes = [
        n for n in order if not n.inputs and n not in names and n.value is not None and n.value.size
    ]
    found = {node: _in_memory(node.value, memory) for node in data_nodes if node.value is not None}
    shown = {node: entry for node, entry in found.items() if entry is not None}
    names |= {node: name for node, (name, _) in shown.items()}
    return names, {node: array for node, (_, array) in shown.items()}


def _in_memory(value: Array, memory: Mapping[Any, tuple[str, Array]]) -> tuple[str, Array] | None:
    """The variable whose array this is: the same memory, or else equal numbers."""
    if (place := _place(value)) in memory:
        return memory[place]
    return next(
        (
            (name, array)
            for (_, size, dtype), (name, array) in memory.items()
            if (size, dtype) == (value.size, value.dtype) and np.array_equal(array.ravel(), value.ravel())
        ),
        None,
    )


def _place(array: Array) -> Any:
    """Where an array's elements lie, and how many: the same for a view in another shape."""
    return array.__array_interface__["data"][0], array.size, array.dtype


def parameter_names(model: Module) -> dict[Node, str]:
    """Short names of a model's parameters: W1, b1 for the first module that has a weight, and so on."""
    names: dict[Node, str] = {}
    layers: dict[str, int] = {}
    for dotted, parameter in model.named_parameters():
        layer, _, last = dotted.rpartition(".")
        number = layers.setdefault(layer, len(layers) + 1)
        short = {"weight": "W", "bias": "b"}.get(last, last)
        for node in parameter.nodes():
            names[node] = f"{short}{number}" if len(short) == 1 or short in GREEK else dotted
    return names
