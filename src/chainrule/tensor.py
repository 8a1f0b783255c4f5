"""The tensor a user holds: a node of the graph together with its value."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from chainrule import functions as f
from chainrule import numpy_protocol
from chainrule._version import __version__
from chainrule.backward import backward
from chainrule.errors import (
    DtypeError,
    GradientError,
    ShapeError,
    TracingError,
    describe_line,
    user_line,
)
from chainrule.getitem import getitem
from chainrule.graph import Node, as_node, describe_form, emit, new_leaf, topological
from chainrule.interpret import evaluate, value_of
from chainrule.ops import dtypes, movement
from chainrule.ops.operators import Operators
from chainrule.ops.record import Array, Primitive, Shape, is_float
from chainrule.pickles import check_version

if TYPE_CHECKING:
    from chainrule.trace import Trace

#: whose memory a tensor's value lies in. What a recorded graph holds is never written to: its derivatives are taken
#: later, and need the values that were computed with.
OWN = 0  # nobody else's; graphs may hold it, so a new value gets new memory then
LENT = 1  # also somebody's outside, who may write into it at any time; graphs get copies
BORROWED = 2  # a graph's, or a part of another tensor's; outside sees copies

MOST_CELLS = 20  # along an axis, that a notebook shows as a table

GRAD_ENABLED: ContextVar[bool] = ContextVar("chainrule_grad_enabled", default=True)
#: nodes by which a transform, such as ``grad``, is about to differentiate the function that runs now
VARIABLES: ContextVar[frozenset[Node]] = ContextVar("chainrule_variables", default=frozenset())
TRACE: ContextVar[Trace | None] = ContextVar("chainrule_trace", default=None)


@contextmanager
def no_grad() -> Iterator[None]:
    """Compute without recording: results inside do not require gradients.

    >>> import chainrule as cr
    >>> w = cr.tensor(2.0, requires_grad=True)
    >>> with cr.no_grad():
    ...     y = w * 3
    >>> y.requires_grad
    False
    """
    token = GRAD_ENABLED.set(False)
    try:
        yield
    finally:
        GRAD_ENABLED.reset(token)


class Tensor(Operators):
    """An array that remembers how it was computed.

    Made by :func:`chainrule.tensor` and by operations on tensors. ``data`` is the NumPy array under it (None
    while a graph is being traced), ``node`` its place in the graph, ``grad`` what ``backward`` left.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0, 2.0], requires_grad=True)
    >>> (x**2).sum().backward()
    >>> x.shape, x.grad
    ((2,), tensor([2., 4.]))
    """

    __slots__ = ("__weakref__", "_cut", "_data", "_grad", "_kept", "_memory", "_requires_grad", "node")

    def __init__(
        self, data: Array | None, node: Node, requires_grad: bool = False, memory: int = OWN
    ) -> None:
        self._data = data
        self.node = node
        self._requires_grad = requires_grad
        self._grad: Tensor | None = None
        self._memory = memory
        self._kept: Node | None = None  # of a leaf: the one that recorded graphs hold
        self._cut = (
            False  # whether compiled code made it from tensors that require a gradient, without a history
        )

    @classmethod
    def leaf(cls, data: Array, requires_grad: bool = False, memory: int = OWN) -> Self:
        """A tensor that holds ``data`` itself, not a copy, and has no history."""
        self = cls.__new__(cls)
        owner = weakref.ref(self) if requires_grad else None
        node = new_leaf(data.shape, data.dtype, value=data, owner=owner)
        Tensor.__init__(self, data, node, requires_grad, memory)
        trace = TRACE.get()
        if trace is not None:
            trace.made.add(node)
        return self

    def apply(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Tensor:
        """A primitive applied to tensors: recorded, and computed unless a graph is being traced."""
        tracked = cut = False
        for x in operands:
            if isinstance(x, Tensor):
                tracked = tracked or x._requires_grad
                cut = cut or x._cut
        if cut and tracked and GRAD_ENABLED.get():
            raise _cut_off()
        if TRACE.get() is not None:
            node = emit(primitive, [x.live() if isinstance(x, Tensor) else x for x in operands], params)
            tracked = tracked and is_float(node.dtype)
            needs = tracked and GRAD_ENABLED.get()
            return Tensor(None, node if needs or not tracked else movement.stop_gradient(node), needs)
        recording = tracked and GRAD_ENABLED.get()
        if recording:
            given = [x.recorded() if isinstance(x, Tensor) else _unshared(x) for x in operands]
        else:
            given = [x.node if isinstance(x, Tensor) else x for x in operands]
        node, value = _applied(primitive, given, params)
        if recording and is_float(node.dtype):
            return Tensor(value, node, True, BORROWED)
        memory = _memory_of(node, value)
        if memory == BORROWED and not recording:  # a view: what it shows must not change when its source does
            kept = [x.recorded() if isinstance(x, Tensor) else x for x in operands]
            if kept != given:
                value = _applied(primitive, kept, params)[1]
        result = Tensor.leaf(value, False, memory)
        result._cut = cut and GRAD_ENABLED.get()
        return result

    # Whose memory it is

    def recorded(self) -> Node:
        """The node that a graph with history may hold: nobody writes into its value."""
        if self.node.inputs or self._data is None:
            return self.node
        kept = self._kept
        if self._memory == OWN:
            kept = self.node
        elif kept is None or kept.value is None or not _same_bits(kept.value, self._data):
            owner = weakref.ref(self) if self._requires_grad else None
            kept = new_leaf(self.shape, self.dtype, value=np.array(self._data), owner=owner)
        self._kept = kept
        return kept

    def nodes(self) -> tuple[Node, ...]:
        """The nodes that stand for this tensor: in traced graphs, and in recorded ones if that is another."""
        return (self.node,) if self._kept is None or self._kept is self.node else (self.node, self._kept)

    def live(self) -> Node:
        """The node that a traced graph holds: its value is the memory that later updates are written into."""
        if self._memory != LENT and self._data is not None and not self.node.inputs:
            if self._memory == BORROWED:
                self._data, self._memory = _copied(self._data), OWN
                self.renew()
            self.lend()
        return self.node

    def lend(self) -> Array:
        """Memory for the outside: where a recorded graph holds the present one, that is left to it."""
        assert self._data is not None
        if self._memory == BORROWED:
            return np.array(self._data)
        if self._memory == OWN:
            self._memory = LENT
            if self._kept is not None:
                kept, self._data = self._kept, _copied(self._data)
                self.renew()
                self._kept = kept
        return self._data

    def peek(self) -> Array:
        """The value, to be looked at: neither kept nor written into. TracingError while a graph is being traced."""
        trace = TRACE.get()
        if self._data is None or (trace is not None and self in trace.assigned):
            raise TracingError(
                "a traced tensor has no value yet",
                expected="operations on tensors only",
                got=describe_form(self.node),
                where=describe_line(user_line()),
                hint="use cr.where instead of if; keep .item(), .numpy() and print out of compiled functions",
            )
        if trace is not None:
            trace.note_value(self)
        return self._data

    # What it is

    @property
    def shape(self) -> Shape:
        """Lengths of the axes."""
        return self.node.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Kind of the elements."""
        return self.node.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def requires_grad(self) -> bool:
        """Whether ``backward`` reaches this tensor; may be set on one that was not computed from others."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if self.node.inputs and self.node.owner is None:
            raise GradientError(
                "requires_grad of a computed tensor follows from what it was computed from",
                where=describe_line(user_line()),
                hint="use x.detach() for the value alone",
            )
        if self.node in VARIABLES.get() and not wanted:
            raise _differentiated("requires_grad = False")
        if wanted:
            _need_float(self.dtype)
        self._requires_grad = wanted
        self.node.owner = weakref.ref(self) if wanted else None

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The axes reversed."""
        return f.transpose(self)

    @property
    def data(self) -> Array | None:
        """The NumPy array under this tensor, to be read or assigned into; None while a graph is being traced.

        Of a tensor that was computed with a history it cannot be assigned into, for derivatives need the value.
        """
        if self._data is None:
            return None
        trace = TRACE.get()
        if trace is not None:
            trace.note_value(self)
        self._check_escape()
        if self._memory != BORROWED:
            return self.lend()
        view = self._data.view()
        view.flags.writeable = False
        return view

    @data.setter
    def data(self, new: Any) -> None:
        if new is self._data:  # as p.data -= 1 ends
            self.renew()
        else:
            self.assign(new)

    def numpy(self) -> Array:
        """The value as a NumPy array: a leaf's own memory, and a copy of what was computed with a history.

        Raises TracingError while a graph is being traced, and GradientError inside ``cr.grad`` and the like where
        the value depends on what is being differentiated by: what is computed from an array has no derivative.
        """
        self.peek()
        self._check_escape()
        return self.lend()

    def _check_escape(self) -> None:
        """GradientError where a plain number would lose the derivative that a transform is about to take."""
        if self._requires_grad and VARIABLES.get() and GRAD_ENABLED.get() and self._depends(VARIABLES.get()):
            raise GradientError(
                "a value that is being differentiated would become a plain number, and lose its derivative",
                expected="operations on tensors, such as cr.exp(x) for math.exp(x) and cr.stack([x, y]) "
                "for np.array([x, y])",
                got=describe_form(self.node),
                where=describe_line(user_line()),
                hint="x.detach() where the value is meant to be a constant, as in float(x.detach())",
            )

    def _depends(self, variables: frozenset[Node]) -> bool:
        return any(node in variables for node in topological([self.node], stop=variables.__contains__))

    def carries(self) -> bool:
        """Whether there is a derivative, or no value yet, so that NumPy cannot have the value alone."""
        trace = TRACE.get()
        if self._data is None or (trace is not None and self in trace.assigned):
            return True
        return self._requires_grad and GRAD_ENABLED.get()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy's universal functions and operators on tensors: ours where there is one."""
        return numpy_protocol.call_ufunc(Tensor, ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """NumPy's other functions on tensors that carry a derivative: ours where there is one."""
        return numpy_protocol.call_function(Tensor, function, args, kwargs)

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self.numpy().__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self.numpy().__dlpack_device__()

    def item(self) -> Any:
        """The only element, as a Python number."""
        return self._number().item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._number().tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return self._number().__index__()

    def _number(self) -> Array:
        value = self.peek()
        self._check_escape()
        return value

    def __bool__(self) -> bool:
        # the branch that is taken has a derivative of its own, so a truth value loses none
        return bool(self.peek())

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("a scalar tensor has no length", where=describe_line(user_line()))
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        if self._data is None:
            return f"<traced tensor {describe_form(self.node)}>"
        text = np.array2string(self._data, separator=", ", prefix="tensor(", threshold=200)
        shown = (
            "" if self.dtype in (dtypes.DEFAULT_FLOAT, dtypes.DEFAULT_INT, dtypes.bool_) else self.dtype.name
        )
        parts = [text, f"dtype={shown}" if shown else "", "requires_grad=True" if self.requires_grad else ""]
        return f"tensor({', '.join(part for part in parts if part)})"

    def _repr_html_(self) -> str:
        from chainrule.notebook import html_table, preformatted

        if self._data is None or self.ndim != 2 or not self.size or max(self.shape) > MOST_CELLS:
            return preformatted(repr(self))
        rows = [
            [str(i), *(f"{x:.6g}" if is_float(self.dtype) else str(x) for x in row)]
            for i, row in enumerate(self._data)
        ]
        grad = ", requires_grad" if self.requires_grad else ""
        return html_table(["", *map(str, range(self.shape[1]))], rows, f"{describe_form(self.node)}{grad}")

    def __format__(self, spec: str) -> str:
        # text is not computed with, so it may show a value that is being differentiated
        return format(self.peek().item(), spec) if spec and self.shape == () else format(str(self), spec)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return f.equal(self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return f.not_equal(self, other)

    __hash__ = object.__hash__

    # Gradients

    @property
    def grad(self) -> Tensor | None:
        """What ``backward`` left; set it to None before the next gradient, for gradients add up."""
        trace = TRACE.get()
        if trace is not None:
            trace.used.add(self)
        return self._grad

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        trace = TRACE.get()
        if trace is not None:
            if gradient is None and self not in trace.gradients:
                trace.reset.add(self)
            trace.gradients.setdefault(self, self._grad)
        self._grad = gradient

    def backward(self, gradient: Any = None) -> None:
        """Add the derivative of this tensor to ``grad`` of every tensor that requires it (row A26, C10).

        ``gradient`` is the cotangent, of this tensor's shape; it may be left out for a scalar. Raises
        GradientError where nothing requires a gradient, or a parameter changed since this was computed.

        >>> import chainrule as cr
        >>> w = cr.tensor([1.0, 2.0], requires_grad=True)
        >>> (w * w).sum().backward()
        >>> w.grad
        tensor([2., 4.])
        """
        order = topological([self.node], stop=lambda node: node.owner is not None)
        leaves = [node for node in order if node.owner is not None and node.owner() is not None]
        owners = [node.owner() for node in leaves if node.owner is not None]
        seed = as_node(1.0 if gradient is None else as_tensor(gradient).node, self.dtype)
        self._check_backward(leaves, owners, seed)
        swept = zip(owners, backward([self.node], [seed], leaves), strict=True)
        found = [(owner, node) for owner, node in swept if node is not None]
        trace = TRACE.get()
        values = [None] * len(found) if trace else evaluate([node for _, node in found])
        with no_grad():
            for (owner, node), value in zip(found, values, strict=True):
                # a copy: the value may be a view of a parameter, or serve two owners
                new = Tensor(None, node) if value is None else Tensor.leaf(np.array(value))
                owner.grad = new if owner._grad is None else owner._grad + new

    def _check_backward(self, leaves: list[Node], owners: list[Any], seed: Node) -> None:
        where = describe_line(user_line())
        if self._cut:
            raise _cut_off()
        if not self.requires_grad or not leaves:
            raise GradientError(
                "backward() from a tensor that depends on nothing that requires a gradient",
                where=where,
                hint="make a leaf with cr.tensor(..., requires_grad=True); check for no_grad() and detach()",
            )
        if seed.shape != self.shape:
            raise GradientError(
                "backward() needs a cotangent of the tensor's shape, which only a scalar can do without",
                expected=f"a scalar, or backward(gradient) with a gradient of shape {self.shape}",
                got=f"a cotangent of shape {seed.shape}",
                where=where,
                hint="reduce first, as in loss.mean().backward()",
            )
        for leaf, owner in zip(leaves, owners, strict=True):
            if leaf is not owner.node and leaf is not owner._kept:
                raise GradientError(
                    "a parameter changed after this tensor was computed from it",
                    got=f"a parameter of shape {owner.shape} that was updated in between",
                    where=where,
                    hint="compute the loss again, or call backward() before the update",
                )

    def assign(self, new: Any) -> None:
        """Replace the value in place: the buffer stays the same array, earlier graphs become outdated."""
        if self.node in VARIABLES.get():
            raise _differentiated("assign")
        if self.requires_grad and self.node.owner is None:
            raise GradientError(
                "assign: this tensor is the result of a computation, whose derivative needs the value",
                expected="a tensor made by cr.tensor, or a parameter",
                got=repr(self.node),
                where=describe_line(user_line()),
                hint="use the new value under a new name",
            )
        value = new if isinstance(new, Tensor) else tensor(new, dtype=self.dtype)
        if value.shape != self.shape or value.dtype != self.dtype:
            raise ShapeError(
                "assign: the new value does not fit",
                expected=describe_form(self.node),
                got=describe_form(value.node),
                where=describe_line(user_line()),
            )
        trace = TRACE.get()
        if trace is not None:
            owner = weakref.ref(self) if self.requires_grad else None
            trace.assigned.setdefault(self, self.live())
            # a node of its own: later gradients stop here, and do not reach what the new value was made of
            self.node = Node(movement.stop_gradient, (value.node,), {}, line=value.node.line, owner=owner)
            return
        self._overwrite(value.peek())
        self.renew()

    def _overwrite(self, value: Array) -> None:
        """Put a value into the buffer, or into a new one where a recorded graph holds the buffer."""
        buffer = self.peek()
        if self._memory == BORROWED or (self._memory == OWN and self._kept is not None):
            buffer = _copied(buffer)
            self._data, self._memory = buffer, OWN
        np.copyto(buffer, value)

    def renew(self) -> None:
        """Say that ``data`` changed: graphs built from the former value refuse backward()."""
        owner = weakref.ref(self) if self.requires_grad else None
        trace, before = TRACE.get(), self.node
        self.node, self._kept = new_leaf(self.shape, self.dtype, value=self._data, owner=owner), None
        if trace is not None and before in trace.made:
            trace.made.add(self.node)

    # Copies: the value in memory of its own, laid out as it was, and the gradient. A history cannot be copied

    def __copy__(self) -> Self:
        return deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        value = self._without_history()
        own = memo.get(id(value))  # of another tensor over the same array
        if own is None:
            own = memo[id(value)] = _copied(value)
        twin = memo[id(self)] = self.leaf(own, self._requires_grad, LENT if self._memory == LENT else OWN)
        twin.__setstate__(deepcopy(self._besides(), memo))
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        """What a pickle holds. It is for other processes; what is to be kept belongs in a file."""
        value, back = self._without_history(), None
        strides = value.strides
        if not value.flags.forc:  # the two layouts that pickles of arrays know
            order = sorted(range(value.ndim), key=lambda axis: -abs(value.strides[axis]))
            value, back = np.ascontiguousarray(value.transpose(order)), np.argsort(order).tolist()
        arguments = (__version__, type(self), value, back, strides, self._requires_grad)
        return _unpickled, arguments, self._besides()

    def __setstate__(self, besides: tuple[Tensor | None, dict[str, Any]]) -> None:
        self._grad, named = besides
        for name, value in named.items():
            setattr(self, name, value)

    def _besides(self) -> tuple[Tensor | None, dict[str, Any]]:
        """The gradient, and what a parameter knows besides its value."""
        return self._grad, getattr(self, "__dict__", {})

    def _without_history(self) -> Array:
        """The value, of a tensor that was not computed from what requires a gradient; else a GradientError."""
        if self._data is None:
            raise TracingError(
                "a traced tensor cannot be copied or pickled: it has no value",
                got=describe_form(self.node),
                where=describe_line(user_line()),
                hint="do not keep what a forward pass computes, or set the attribute to None before",
            )
        if self._requires_grad and self.node.owner is None:
            raise GradientError(
                "a computed tensor cannot be copied or pickled: no gradient would pass through its copy",
                expected="a tensor made by cr.tensor, a parameter, or one that requires no gradient",
                got=repr(self.node),
                where=describe_line(user_line()),
                hint="take the value alone, x.detach(), or compute it under cr.no_grad()",
            )
        return self.peek()

    def detach(self) -> Tensor:
        """The same value without history."""
        before = (
            bool(self.node.inputs) and self.node.value is not None
        )  # computed before the trace, if there is one
        if self._data is None or (TRACE.get() is not None and not before):
            return Tensor(None, movement.stop_gradient(self.live())) if self.requires_grad else self
        if self._memory != BORROWED:
            self.lend()  # so that writing into either shows in both
        return Tensor.leaf(self._data, memory=self._memory)

    def __getitem__(self, index: Any) -> Tensor:
        return getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise numpy_protocol.not_assigned()

    # Augmented assignment: an update of parameters and state, a new tensor for everything else

    def _updated(self, new: Tensor) -> Tensor:
        """What ``p += x`` leaves in p: itself with a new value if it is a leaf that is kept, else the result."""
        kept = type(self) is not Tensor or (self._requires_grad and self.node.owner is not None)
        if not kept or self.node in VARIABLES.get():
            return new
        if GRAD_ENABLED.get() and (self._requires_grad or (is_float(self.dtype) and new._requires_grad)):
            raise GradientError(
                "a tensor that requires a gradient is updated in place where derivatives are recorded",
                got=describe_form(self.node),
                where=describe_line(user_line()),
                hint="with cr.no_grad(): p -= lr * p.grad; or give the result another name: q = p - x",
            )
        same_kind = is_float(self.dtype) and is_float(new.dtype)
        self.assign(new.astype(self.dtype) if same_kind else new)
        return self

    def __iadd__(self, other: Any) -> Tensor:
        return self._updated(self + other)

    def __isub__(self, other: Any) -> Tensor:
        return self._updated(self - other)

    def __imul__(self, other: Any) -> Tensor:
        return self._updated(self * other)

    def __itruediv__(self, other: Any) -> Tensor:
        return self._updated(self / other)

    def __ipow__(self, other: Any) -> Tensor:
        return self._updated(self**other)

    def __imatmul__(self, other: Any) -> Tensor:
        return self._updated(self @ other)

    def __iand__(self, other: Any) -> Tensor:
        return self._updated(self & other)

    def __ior__(self, other: Any) -> Tensor:
        return self._updated(self | other)

    def __matmul__(self, other: Any) -> Tensor:
        return f.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return f.matmul(as_tensor(other), self)

    exp, expm1, log, log1p, sqrt, square = f.exp, f.expm1, f.log, f.log1p, f.sqrt, f.square
    abs, sign, floor, sin, cos, tanh = f.abs, f.sign, f.floor, f.sin, f.cos, f.tanh
    logistic, erf, relu, softplus, clip = f.logistic, f.erf, f.relu, f.softplus, f.clip
    maximum, minimum = f.maximum, f.minimum
    sum, prod, max, min, mean, var, std = f.sum, f.prod, f.max, f.min, f.mean, f.var, f.std
    norm, argmax, logsumexp, softmax, log_softmax = f.norm, f.argmax, f.logsumexp, f.softmax, f.log_softmax
    matmul, reshape, transpose, broadcast_to = f.matmul, f.reshape, f.transpose, f.broadcast_to
    expand_dims, squeeze, astype, flip, take = f.expand_dims, f.squeeze, f.astype, f.flip, f.take


def _unshared(x: Any) -> Any:
    """An operand that a graph is to hold: memory that somebody else may write into is copied."""
    return x if isinstance(x, _IMMUTABLE) else np.array(x)


_IMMUTABLE = (bool, int, float, list, tuple)  # or copied in any case


def _same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays of one form are equal, NaN for NaN."""
    bits = f"u{a.itemsize}"
    return bool((a.view(bits) == b.view(bits)).all())


def _applied(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> tuple[Node, Array]:
    """The node of a primitive on values, and its value."""
    node = emit(primitive, operands, params)
    value = _value(node)
    if value is None:
        raise TracingError(
            "a traced tensor is used outside its trace",
            where=describe_line(user_line()),
            hint="return it from the traced function instead of keeping it",
        )
    node.value = value
    return node, value


def _memory_of(node: Node, value: Array) -> int:
    """Whose memory a value lies in: that of an input where it is a view of it, or the input itself."""
    shared = value.base is not None or any(x.value is value for x in node.inputs)
    return BORROWED if shared else OWN


@np.errstate(all="ignore")
def _value(node: Node) -> Array | None:
    """The value, and on the way those of casts that promotion put before it; None if an operand has none."""
    values = []
    for x in node.inputs:
        if x.value is None:
            if x.op is not movement.cast or x.inputs[0].value is None:
                return None
            x.value = value_of(x, [x.inputs[0].value])
        values.append(x.value)
    return value_of(node, values)


def _unpickled(
    version: str,
    kind: type[Tensor],
    value: Array,
    axes: list[int] | None,
    strides: tuple[int, ...],
    requires_grad: bool,
) -> Tensor:
    """The tensor of a pickle, in memory of its own: what arrived may be a file, or foreign bytes.

    Another tensor of the pickle may lie in the same memory, so it counts as lent.
    """
    check_version(version)
    if isinstance(value, np.memmap):
        value = np.array(value)
    own = np.require(value, dtypes.check_dtype(value.dtype), requirements=("A", "E", "W"))
    laid_out = _with_strides(own if axes is None else own.transpose(axes), strides)
    return kind.leaf(laid_out, requires_grad, LENT)


def _copied(array: Array) -> Array:
    """A copy that lies in memory as the array does, in every stride."""
    return _with_strides(np.array(array), array.strides)


def _with_strides(array: Array, strides: tuple[int, ...]) -> Array:
    """The array with these strides on its axes of one element.

    Nothing is read by them, but the keys of machine code, and hashes such as joblib's, tell them apart.
    """
    wanted = tuple(
        [s if n == 1 else own for n, own, s in zip(array.shape, array.strides, strides, strict=True)]
    )
    return array if wanted == array.strides else np.lib.stride_tricks.as_strided(array, strides=wanted)


def _cut_off() -> GradientError:
    return GradientError(
        "a compiled function keeps no history, so its parameters would get no gradient from what it returned",
        expected="the whole step compiled, with loss.backward() inside, or the function itself",
        where=describe_line(user_line()),
        hint="y.detach() where only the value is wanted, or call the compiled function under cr.no_grad()",
    )


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor from numbers, nested lists or an array; the data are copied.

    Python floats become float32 and integers int64; NumPy arrays keep their dtype. Raises DtypeError for a
    dtype that chainrule does not have, and where a gradient is asked for something that is not a float.
    What is made of tensors keeps their derivatives, unless ``requires_grad=True`` asks for a new leaf.

    >>> import chainrule as cr
    >>> cr.tensor([[1.0, 2.0]]).dtype.name, cr.tensor([1, 2]).dtype.name
    ('float32', 'int64')
    """
    return _make(data, dtype, requires_grad, copy=True)


def from_dlpack(data: Any) -> Tensor:
    """A tensor over the memory of another library's array on the CPU: anything that has ``__dlpack__``.

    Nothing is copied, so a change on either side shows on the other. Raises DtypeError for a dtype that chainrule
    does not have, and what the other library raises for an array that it does not give away.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> cr.from_dlpack(np.arange(3.0, dtype=np.float32))
    tensor([0., 1., 2.])
    """
    array = np.from_dlpack(data)
    dtypes.check_dtype(array.dtype)
    return Tensor.leaf(array, memory=LENT)


def as_tensor(data: Any) -> Tensor:
    """A tensor as it is; anything else as a tensor over the same memory where that is possible.

    A list that holds tensors is stacked, so that their history stays.
    """
    if isinstance(data, Tensor):
        return data
    if _holds_tensors(data):
        return f.stack([as_tensor(item) for item in data])
    return _make(data, None, False, copy=None)


def _differentiated(what: str) -> GradientError:
    return GradientError(
        f"{what}: this tensor is an argument by which the function is being differentiated",
        where=describe_line(user_line()),
        hint="use the new value under a new name, or x.detach() for a constant",
    )


def _holds_tensors(data: Any) -> bool:
    return isinstance(data, list | tuple) and any(isinstance(x, Tensor) or _holds_tensors(x) for x in data)


def _need_float(dtype: np.dtype[Any]) -> None:
    if not is_float(dtype):
        raise DtypeError(
            "only floats have gradients",
            expected="float32 or float64",
            got=dtype,
            where=describe_line(user_line()),
        )


def _make(data: Any, dtype: Any, requires_grad: bool, copy: bool | None) -> Tensor:
    held = (
        [x for x in numpy_protocol.leaves(data) if isinstance(x, Tensor)]
        if isinstance(data, Tensor | list | tuple)
        else []
    )
    if not requires_grad and any(x.carries() for x in held):  # a copy that keeps the history
        joined = as_tensor(data)
        return f.astype(movement.identity(joined), joined.dtype if dtype is None else dtype)
    if isinstance(data, Tensor):
        data = data._number()
    elif held:
        data = [np.asarray(x) for x in data]
    typed = hasattr(data, "dtype") or (
        isinstance(data, list | tuple) and len(data) > 0 and hasattr(data[0], "dtype")
    )
    try:
        array = np.asarray(data)
    except ValueError:
        raise ShapeError(
            "nested lists have different lengths",
            expected="rows of equal length",
            where=describe_line(user_line()),
        ) from None
    if dtype is None:
        default = {"f": dtypes.DEFAULT_FLOAT, "i": dtypes.DEFAULT_INT}.get(array.dtype.kind)
        dtype = array.dtype if typed or default is None else default
    wanted = dtypes.check_dtype(dtype)
    if requires_grad:
        _need_float(wanted)
    theirs = copy is None and not isinstance(data, list | tuple | int | float)
    return Tensor.leaf(
        np.array(array, dtype=wanted, copy=copy), requires_grad, memory=LENT if theirs else OWN
    )


def lifted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function for users: arrays and numbers become tensors first."""
    from functools import wraps

    @wraps(function)
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(x, list | tuple) and function in _JOINS:
            x = [as_tensor(item) for item in x]
        elif isinstance(x, list | tuple) or not any(isinstance(value, Tensor) for value in (x, *args)):
            x = as_tensor(x)
        return function(x, *args, **kwargs)

    call.__module__ = "chainrule.namespace"  # where a pickle finds it
    return call


_JOINS = (f.concat, f.stack)
