"""Finds the names of the user's variables, and writes them as symbols of formulas."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from chainrule.errors import PACKAGE, SettingError
from chainrule.foreign_text import LINE, clipped, quoted
from chainrule.graph import Node
from chainrule.nn.module import Module
from chainrule.ops.notation import SUBSCRIPTS, Symbol
from chainrule.ops.operand import Dtype
from chainrule.ops.record import Array, Shape
from chainrule.tensor import Tensor

#: what a name can be given to
Named = Tensor | Array
#: where an array's elements are in memory, how many there are, and their dtype
Place = tuple[int, int, Dtype]

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eps": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "kappa": "κ", "lambda": "λ", "lam": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "rho": "ρ",
    "sigma": "σ", "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
}  # fmt: skip
LATEX_NAMES = {"lam": "lambda", "eps": "epsilon"}


def symbol_for(name: str, shape: Shape = ()) -> Symbol:
    """Turn a variable's name into a symbol, with Greek letters, hats and subscripts.

    >>> [symbol_for(name).text for name in ("yhat", "lam", "w_1", "l", "loss")]
    ['ŷ', 'λ', 'w₁', 'ℓ', 'loss']
    >>> symbol_for("y_hat").latex, symbol_for("W12").latex
    ('\\\\hat{y}', 'W_{12}')
    """
    if len(name) > LINE or not name.isprintable():
        return Symbol(clipped(name), latex_name(clipped(name)), shape)
    match = re.fullmatch(r"([A-Za-z]+?)(_?hat)?(?:_?(\d+))?", name)
    if match is None or not (len(match[1]) == 1 or match[1] in GREEK):
        word = re.fullmatch(r"([A-Za-z]\w*?)_?(\d+)", name)
        if word is not None and "_" not in word[1]:
            return Symbol(
                word[1] + word[2].translate(SUBSCRIPTS), rf"\mathrm{{{word[1]}}}_{{{word[2]}}}", shape
            )
        return Symbol(name, latex_name(name), shape)
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


#: characters with a meaning in LaTeX, or in the HTML that a notebook makes of it, and their replacements
_LATEX = {
    **{character: f"\\{character}" for character in "_#&%${}"},
    **{"\\": r"\backslash ", "<": r"\lt ", ">": r"\gt ", "^": r"\hat{}", "~": r"\sim ", " ": r"\ "},
    **{"`": "\u02cb", "'": "\u2019", '"': "\u201d"},
}


def latex_name(name: str) -> str:
    """A name as upright LaTeX text in which nothing acts as a command.

    >>> latex_name("a_1"), latex_name("<b>$$")
    ('\\\\mathrm{a\\\\_1}', '\\\\mathrm{\\\\lt b\\\\gt \\\\$\\\\$}')
    """
    return rf"\mathrm{{{''.join(_LATEX.get(character, character) for character in clipped(name))}}}"


def variables_of_caller() -> dict[str, object]:
    """Return the local variables of the nearest caller outside this package (at top level, its module's variables)."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back  # type: ignore[assignment]
    return {} if frame is None else {k: v for k, v in frame.f_locals.items() if not k.startswith("_")}


def names_of_nodes(
    order: Sequence[Node], given: Mapping[str, Named] | None, variables: Mapping[str, object]
) -> tuple[dict[Node, str], dict[Node, Array]]:
    """Return a name for each node that is the value of a variable; names in ``given`` take precedence.

    Also returns the variables' own arrays, for data that entered the graph in another shape.
    """
    _check_names(given or {})
    names: dict[Node, str] = {}
    every: list[tuple[str, object]] = [*(given or {}).items(), *variables.items()]
    memory: dict[Place, tuple[str, Array]] = {}
    for name, value in every:
        for node in value.nodes() if isinstance(value, Tensor) else ():
            names.setdefault(node, name)
        data = value.peek() if isinstance(value, Tensor) and value.node.value is not None else value
        if isinstance(data, np.ndarray):
            memory.setdefault(_place(data), (name, data))
    for model in variables.values():
        if isinstance(model, Module):
            names = {**parameter_names(model), **names}
    present = set(order)
    names = {node: name for node, name in names.items() if node in present}
    # data enter the graph as another node, over the same memory or over a copy
    data_nodes = [
        n for n in order if not n.inputs and n not in names and n.value is not None and n.value.size
    ]
    found = {node: _in_memory(node.value, memory) for node in data_nodes if node.value is not None}
    shown = {node: entry for node, entry in found.items() if entry is not None}
    names |= {node: name for node, (name, _) in shown.items()}
    return names, {node: array for node, (_, array) in shown.items()}


def _check_names(given: Mapping[str, Named]) -> None:
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, Tensor | np.ndarray):
            raise SettingError(
                "names must map names to tensors or arrays",
                expected='{"w": w, ...}',
                got=f"{quoted(name)}: {type(value).__name__}",
            )


def _in_memory(value: Array, memory: Mapping[Place, tuple[str, Array]]) -> tuple[str, Array] | None:
    """The variable that holds this array: one over the same memory, or else one with equal values."""
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


def _place(array: Array) -> Place:
    """The memory of an array; equal for a view in another shape."""
    return array.__array_interface__["data"][0], array.size, array.dtype


def parameter_names(model: Module) -> dict[Node, str]:
    """Short names of a model's parameters: W1 and b1 for the first layer with parameters, and so on."""
    names: dict[Node, str] = {}
    layers: dict[str, int] = {}
    for dotted, parameter in model.named_parameters():
        layer, _, last = dotted.rpartition(".")
        number = layers.setdefault(layer, len(layers) + 1)
        short = {"weight": "W", "bias": "b"}.get(last, last)
        for node in parameter.nodes():
            names[node] = f"{short}{number}" if len(short) == 1 or short in GREEK else dotted
    return names
