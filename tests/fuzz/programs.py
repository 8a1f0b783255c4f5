"""Programs as text: drawn by Hypothesis as a few numbers, so that a program that fails shrinks to the least one."""

from __future__ import annotations

import inspect
import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from tests.fuzz.operations import CHOICES, OPERATIONS, SMOOTH, Value

import chainrule as cr
from chainrule.errors import ChainruleError

#: lengths of axes: around the widths of registers and tiles, one, and now and then none
LENGTHS = [4, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 24, 31, 33, 48, 65, 0]
#: two lengths of a program, A and B, name the shapes of its inputs, so that shapes agree
SHAPES = ["A, B", "A, A", "B, A", "A,", "B,", "", "1, B", "A, 1", "2, A, B", "3, A, A", "B, B"]
#: now and then one length is large: sums over K in blocks, operands in panels, blocks of rows and of columns
LARGE = [(40, 1100), (1300, 26), (33, 700), (300, 70)]
FLOATS = ["float32", "float64"]
#: what the values of a program are: small whole numbers, which nothing rounds; such, but integers of their whole
#: range; numbers that arithmetic treats in ways of its own; any floats
NUMBERS = ["whole", "any", "any", "wide", "special"]
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40, -2.5]
OTHERS = ["int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"]
#: how an input lies in memory: a view of a larger or differently ordered array
LAYOUTS = ["", "transposed", "reversed", "every second", "one row for all"]
#: arguments are given at each call, tensors are closed over and may be updated, arrays become constants
ROLES = ["argument", "tensor", "array"]
LARGEST = 50_000  # elements of any value


PREAMBLE = """
import numpy as np
import chainrule as cr
from chainrule import nn
from chainrule.tensor import as_tensor
rng = np.random.default_rng
limits = lambda dtype: (np.iinfo(dtype).min, np.iinfo(dtype).max)
"""


class Input(NamedTuple):
    """One input as drawn."""

    role: int
    shape: int
    dtype: int
    layout: int
    seed: int


class Choices(NamedTuple):
    """A program as drawn: numbers that mean something wherever they are deleted or made smaller."""

    numbers: str
    lengths: tuple[int, int]
    inputs: list[Input]
    steps: list[tuple[str, list[int]]]
    outputs: list[int]
    updates: list[int]


def choices(numbers: Sequence[str] = ("whole", "any")) -> st.SearchStrategy[Choices]:
    """Any program of such NUMBERS. Small numbers are simple choices."""
    small = st.integers(0, 11)
    length = st.sampled_from(LENGTHS)
    one_input = st.builds(
        Input,
        st.sampled_from([0, 0, 1, 1, 2]),
        st.sampled_from([0, *range(len(SHAPES))]),
        st.sampled_from([0, 0, 0, 0, 0, 1, 2]),
        st.sampled_from([0, 0, 0, 1, 2, 3, 4]),
        small,
    )
    equal, different = length.map(lambda n: (n, n)), st.tuples(length, length)
    lengths = st.one_of(*[equal, different] * 9, st.sampled_from(LARGE))

    def rest(numbers: str) -> st.SearchStrategy[Choices]:
        names = [*CHOICES, *SMOOTH * 2] if numbers == "any" else CHOICES
        step = st.tuples(st.sampled_from(names), st.lists(small, min_size=4, max_size=4))
        return st.builds(
            Choices,
            st.just(numbers),
            lengths,
            st.lists(one_input, min_size=1, max_size=4),
            st.builds(operator.add, st.lists(step, max_size=6), st.lists(step, min_size=1, max_size=6)),
            st.lists(small, min_size=1, max_size=5),
            st.lists(small, max_size=3),
        )

    return st.sampled_from(numbers).flatmap(rest)


@dataclass(frozen=True)
class Program:
    """A program as Python that can be run."""

    numbers: str
    preparation: tuple[str, ...]  # inputs and modules
    arguments: tuple[str, ...]
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(
            [
                PREAMBLE,
                *self.preparation,
                "",
                f"def f({', '.join(self.arguments)}):",
                *(f"    {line}" for line in self.lines),
            ]
        )

    def load(self) -> tuple[Any, list[np.ndarray]]:
        """The function, with modules and tensors of its own, and its arguments."""
        return Text(str(self)).load()


class Text(str):
    """A program as it is printed."""

    __slots__ = ()

    def load(self) -> tuple[Any, list[np.ndarray]]:
        """The function, with modules and tensors of its own, and its arguments."""
        found: dict[str, Any] = {}
        exec(compile(self, "<program>", "exec"), found)
        return found["f"], [found[name] for name in inspect.signature(found["f"]).parameters]


def build(drawn: Choices) -> Program | None:
    """The program, found by running it line by line; None where not a single line has a meaning."""
    builder = _Builder(drawn)
    for name, numbers in drawn.steps:
        builder.step(name, numbers)
    if not builder.lines:
        return None
    pool = [value for value in builder.pool if value.name[0] == "v"]
    outputs = dict.fromkeys(pool[-1 - i % len(pool)].name for i in drawn.outputs)
    lines = [*builder.lines, *builder.updates(drawn.updates), f"return {', '.join(outputs)},"]
    return Program(drawn.numbers, tuple(builder.preparation), tuple(builder.arguments), tuple(_needed(lines)))


def _needed(lines: list[str]) -> list[str]:
    """The lines that something after them reads, and those that change a tensor or a module."""
    kept: list[str] = []
    read: set[str] = set()
    for line in reversed(lines):
        name, _, expression = line.rpartition(" = ")
        if not name or name in read or re.search(r"\bm\d+\(", expression):
            kept.append(line)
            read.update(re.findall(r"\bv\d+\b", expression or line))
    return kept[::-1]


class _Builder:
    """The program so far, and the values that it has."""

    def __init__(self, drawn: Choices) -> None:
        self.numbers = drawn.numbers
        self.exact = drawn.numbers != "any"  # nothing is rounded
        self.lengths = dict(zip("AB", drawn.lengths, strict=True))
        self.environment: dict[str, Any] = {}
        exec(PREAMBLE, self.environment)
        self.preparation: list[str] = []
        self.arguments: list[str] = []
        self.lines: list[str] = []
        self.pool: list[Value] = []
        self.tensors: list[str] = []
        for number, given in enumerate(drawn.inputs):
            self.input(number, given)

    def input(self, number: int, given: Input) -> None:
        """Prepare one input and put it into the pool."""
        role = "argument" if number == 0 else ROLES[given.role]
        dtype = FLOATS[given.dtype % 2]
        if self.exact and (given.dtype == 2 or (self.numbers == "wide" and given.seed % 3)):
            dtype = OTHERS[given.seed % len(OTHERS)]
        shape = tuple(eval(f"({SHAPES[given.shape]})", dict(self.lengths))) if SHAPES[given.shape] else ()
        if math.prod(shape) > LARGEST:
            shape = (1, *shape[1:])
        name = {"argument": "x", "tensor": "t", "array": "a"}[role] + str(number)
        array = self.array(shape, dtype, LAYOUTS[given.layout], given.seed)
        if role == "tensor":  # over the array's memory, as it lies
            array = f"as_tensor({array})"
            self.tensors.append(name)
        self.prepare(name, array)
        if role == "argument":
            self.arguments.append(name)
            self.environment[name] = cr.tensor(self.environment[name])
        value = self.environment[name]
        self.pool.append(Value(name, tuple(value.shape), value.dtype))

    def array(self, shape: tuple[int, ...], dtype: str, layout: str, seed: int) -> str:
        """An expression for an array of small whole numbers, or of any numbers."""
        wide = list(shape)
        suffix = ""
        if layout == "transposed" and len(shape) > 1:
            wide, suffix = wide[::-1], ".T"
        elif layout == "reversed" and shape:
            suffix = "[::-1]" if seed % 2 else "[..., ::-1]"
        elif layout == "every second" and shape:
            wide[-1] *= 2
            suffix = "[..., ::2]"
        elif layout == "one row for all" and len(shape) > 1:
            wide[0], suffix = 1, f".repeat({shape[0]}, 0)"
            suffix = "" if shape[0] == 0 else suffix
            wide[0] = 0 if shape[0] == 0 else 1
        low = 0 if dtype[0] in "ub" else -3
        high = 2 if dtype == "bool" else 4
        if self.numbers == "wide" and dtype[0] in "ui":
            drawn = f"rng({seed}).integers(*limits(np.{dtype}), {tuple(wide)}, np.{dtype}, endpoint=True)"
        elif self.numbers == "special" and dtype[0] == "f":
            drawn = f"rng({seed}).choice({SPECIAL}, {tuple(wide)})".replace("inf", "np.inf").replace(
                "nan", "np.nan"
            )
        elif self.exact:
            drawn = f"rng({seed}).integers({low}, {high}, {tuple(wide)})"
        else:
            drawn = f"rng({seed}).normal(size={tuple(wide)})"
        return f"np.asarray({drawn}, np.{dtype if dtype != 'bool' else 'bool_'}){suffix}"

    def prepare(self, name: str, expression: str) -> None:
        """A line before the function."""
        self.environment[name] = eval(expression, self.environment)
        self.preparation.append(f"{name} = {expression}")

    def module(self, expression: str) -> str:
        """A module, by the name that it is given."""
        name = f"m{len(self.preparation)}"
        self.prepare(name, expression)
        return name

    def step(self, name: str, numbers: list[int]) -> None:
        """Append the line of an operation, if it has a meaning for the values that the numbers pick."""
        i, j, k, option = numbers
        for turn in range(min(4, len(self.pool))):  # the next values, where those do not go together
            x, y, z = (self.pool[-1 - n % len(self.pool)] for n in (i, j + turn, k + turn))
            if all(value.name[0] == "a" for value in (x, y, z)):
                continue
            expression = OPERATIONS[name](self, x, y, z, option)
            if expression is not None:
                break
        else:
            return
        try:
            with np.errstate(all="ignore"):
                value = eval(expression, self.environment)
        except ChainruleError:  # refused: nothing to compare
            return
        if (
            not isinstance(value, cr.Tensor)
            or value.size > LARGEST
            or value.ndim > 4
            or self.too_large(value)
        ):
            return
        name = f"v{len(self.lines)}"
        self.environment[name] = value
        self.lines.append(f"{name} = {expression}")
        self.pool.append(Value(name, value.shape, value.dtype))

    def too_large(self, value: Any) -> bool:
        """Whether the numbers leave the range in which they are exact, or in which rounding stays small."""
        if value.dtype.kind != "f" or not value.size or self.numbers == "special":
            return False
        largest = np.abs(value.numpy()).max()
        return not largest < (2000 if self.exact else 50)

    def updates(self, numbers: list[int]) -> list[str]:
        """Assignments to the tensors that the function closes over, at its end."""
        found = {}
        for number in numbers:
            for tensor in self.tensors:
                before = next(value for value in self.pool if value.name == tensor)
                fitting = [value for value in self.pool if value.name[0] == "v" and value[1:] == before[1:]]
                if fitting and tensor not in found:
                    found[tensor] = fitting[-1 - number % len(fitting)].name
                    break
        return [f"{tensor}.assign({value}.detach())" for tensor, value in found.items()]
