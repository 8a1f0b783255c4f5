"""What a primitive is: one record that holds everything the library knows about it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeVar, final, overload

import numpy as np

from chainrule.errors import ChainruleError, DtypeError, ShapeError, caller_line
from chainrule.ops.faults import Fault
from chainrule.ops.notation import Expression, call
from chainrule.ops.operand import Application, Cotangents, Dtype, Factors, Operable, Operand, Params
from chainrule.ops.registers import Value

Array = np.ndarray[Any, Dtype]
Shape = tuple[int, ...]
#: what NumPy gives for arrays: of a single number one of its scalars
Computed = Array | np.generic
#: the mask of lanes without a result and the fault to note, or None
Faulty = Callable[..., tuple[Value, Fault] | None]
MANY = sys.maxsize
T = TypeVar("T", bound=Operand)


class Form(NamedTuple):
    """Shape and dtype: what is known of a value before it is computed."""

    shape: Shape
    dtype: Dtype


class Case(NamedTuple):
    """One application of a primitive, from which tests are generated."""

    inputs: tuple[Array, ...]
    params: Params = {}  # noqa: RUF012 - never changed


class Elementwise(NamedTuple):
    """Lowering of an elementwise primitive: ``write(f, node, *lanes)`` appends its instructions.

    Where some operands have no result, ``faulty(f, node, *lanes)`` gives the mask of such lanes and the fault to
    note (``ops/faults.py``), or None for a dtype that has none.
    """

    write: Callable[..., Value]
    faulty: Faulty | None = None


class Reduction(NamedTuple):
    """Lowering of a reduction: where it starts, and how two partial results, lane by lane, become one.

    ``in_blocks``: one accumulator must not take many floats, because each is rounded to the size of the result so far.
    """

    start: Callable[[Application], float]
    join: Callable[..., Value]
    in_blocks: bool = False


class ViewOnly(NamedTuple):
    """Lowering of a primitive that moves nothing: only strides change (``compiler/views.py``)."""


class Formula(NamedTuple):
    """Lowering by other primitives: ``expand(node, *inputs)`` gives a node of the same value."""

    expand: Callable[..., Operand]


class OwnLoop(NamedTuple):
    """Lowering by a loop that the compiler has for this primitive: the one called ``writer`` (``codegen/dispatch.py``).

    Where ``when_empty``, it is written for an empty result as well, to look at the indices.
    """

    writer: Literal["product", "edges", "pad", "join", "gather", "scatter", "random bits", "given"]
    when_empty: bool = False


Lowering = Elementwise | Reduction | ViewOnly | Formula | OwnLoop
#: what an elementwise primitive costs: "cheap" is computed again wherever it is needed instead of being stored, "long"
#: is not written out for every register of a product's tile
Cost = Literal["cheap", "usual", "long"]


@final
@dataclass(frozen=True)
class Zero:
    """In a derivative's place: it is 0 wherever there is one, as that of a step. A gradient of zeros is right then."""


@final
@dataclass(frozen=True)
class Undefined:
    """In a derivative's place: there is none, as of an index, a truth value or another result that is no float.

    A path through it carries no gradient. Where a result depends on what is differentiated by such paths alone, the
    gradient would be nothing but zeros that nobody meant: a GradientError says so, with ``hint`` as what to try
    (``endings.py``). Where the result is a float and a gradient arrives, the sweep raises it at once.
    """

    hint: str = ""


ZERO: Final = Zero()
Derivative = Callable[..., Cotangents] | Zero | Undefined


@dataclass(frozen=True, eq=False)
class Primitive:
    """One operation: its shape rule, value, derivative, lowering, and the inputs that its tests use.

    ``derivative(g, y, *inputs, **params)`` receives the cotangent ``g`` of the output, the output ``y`` and
    the inputs, all as nodes, and returns one cotangent (a node, or None for zero) per input. It is written
    with primitives, so it is differentiable itself. Broadcasting and mixed dtypes are undone by the sweep. What has
    no such function says which of two things that means: ``ZERO`` or ``Undefined``.
    """

    name: str
    form: Callable[..., Form]
    value: Callable[..., Computed]
    derivative: Derivative
    domain: Callable[[np.random.Generator], Iterator[Case]]
    bad: tuple[Case, ...] = ()
    #: which operands (first, last) are brought to a common dtype before the rule sees them
    promoted: tuple[int, int] = (0, 0)
    #: whether integers and booleans become floats first
    floating: bool = False
    #: called with the operands before a node is made of them: a node of the same value whose derivatives hold at
    #: more points, or None to go on
    instead: Callable[..., Operand | None] | None = None
    #: how the compiler turns it into instructions
    lowering: Lowering = field(kw_only=True)
    cost: Cost = field(kw_only=True, default="usual")
    #: one thing to try where its result is not finite
    hint: str = field(kw_only=True, default="")
    #: how a person writes it: ``written(node, *operands)`` of expressions gives an expression
    written: Callable[..., Expression] | None = field(kw_only=True, default=None)
    #: of an elementwise one, its partial derivatives as a person writes them, where the derivative above is
    #: written otherwise for the sake of digits: ``partials(y, *inputs)`` gives one factor per input. Of a
    #: reduction likewise, with its axes kept in y
    partials: Callable[..., Factors] | None = field(kw_only=True, default=None)

    def write(self, node: Application, operands: Sequence[Expression]) -> Expression:
        """The formula of a node: as the record says, or the name with the operands in brackets."""
        if self.written is not None:
            return self.written(node, *operands)
        slots = ", ".join(f"{{{i}}}" for i in range(len(operands)))
        escaped = self.name.replace("_", r"\_")
        return call(
            f"{self.name}({slots})", rf"\operatorname{{{{{escaped}}}}}({slots})", *operands, shape=node.shape
        )

    @overload
    def __call__(self, x: T, *more: Operable, **params: object) -> T: ...

    @overload
    def __call__(self, x: Operable, y: T, *more: Operable, **params: object) -> T: ...

    def __call__(self, *inputs: Any, **params: object) -> Any:
        """Apply to nodes or tensors; the kind of the first operand that has one decides."""
        for operand in inputs:
            if getattr(type(operand), "records_primitives", False):  # a table of pandas has an apply too
                return operand.apply(self, inputs, params)
        raise DtypeError(
            f"{self.name} was applied to plain values only",
            expected="at least one tensor",
            got=", ".join(type(operand).__name__ for operand in inputs),
            where=caller_line(),
            hint="wrap one in cr.tensor(...)",
        )

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


def broadcast_shapes(name: str, *shapes: Shape) -> Shape:
    """The common shape of elementwise operands."""
    distinct = {shape for shape in shapes if shape}
    if len(distinct) <= 1:
        return distinct.pop() if distinct else ()
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            f"{name}: shapes do not broadcast",
            expected="equal lengths, or 1, on every axis counted from the last",
            got=" and ".join(str(shape) for shape in shapes),
            hint="reshape or expand one operand",
        ) from None


def need_axis(name: str, axis: int, ndim: int) -> int:
    """A possibly negative axis as one in ``range(ndim)``."""
    if not -ndim <= axis < ndim:
        raise ShapeError(
            f"{name}: there is no axis {axis}",
            expected=f"an axis in [{-ndim}, {ndim})",
            got=axis,
            where=caller_line(),
            hint="count axes from 0, or from -1 at the end",
        )
    return int(axis % ndim)


def is_float(dtype: Dtype) -> bool:
    """Whether values of this dtype have derivatives."""
    return dtype.kind == "f"


def expect(
    condition: bool,
    error: type[ChainruleError],
    what: str,
    *,
    expected: object = None,
    got: object = None,
    hint: str = "",
) -> None:
    """Raise ``error`` unless ``condition`` holds."""
    if not condition:
        raise error(what, expected=expected, got=got, hint=hint)
