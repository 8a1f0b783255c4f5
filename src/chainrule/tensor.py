"""The tensor a user holds: a node of the graph together with its value."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import numpy as np

from chainrule import display, numpy_protocol
from chainrule import functions as f
from chainrule._version import __version__
from chainrule.arrays import need_float, numeric
from chainrule.backward import backward
from chainrule.endings import Ending, ends_history, joined, no_way
from chainrule.errors import GradientError, ShapeError, TracingError, caller_line
from chainrule.foreign_text import quoted
from chainrule.getitem import getitem
from chainrule.graph import Node, as_node, describe_form, emit, new_leaf, topological
from chainrule.interpret import evaluate, value_of
from chainrule.memory import BORROWED, LENT, OWN, copied, memory_of, same_bits, with_strides
from chainrule.methods import Methods
from chainrule.missing import as_array, need_whole
from chainrule.ops import dtypes, movement
from chainrule.ops.operand import Dtype, Operable, Params
from chainrule.ops.record import Array, Primitive, Shape, is_float
from chainrule.pickles import check_version
from chainrule.recording import GRAD_ENABLED, TRACE, VARIABLES, ended, no_grad, passed_on
from chainrule.torch_names import missing

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike
    from typing_extensions import CapsuleType

__all__ = [
    "BORROWED",
    "GRAD_ENABLED",
    "TRACE",
    "VARIABLES",
    "Tensor",
    "TensorLike",
    "as_tensor",
    "from_dlpack",
    "no_grad",
    "tensor",
]

#: what users may pass where a tensor is wanted
TensorLike: TypeAlias = "Tensor | ArrayLike | Sequence[TensorLike]"


class _OfTheType:
    """A method that NumPy finds where it looks, on the type; of an instance it is None.

    Masked arrays ask the instance, and leave their operators to ours then, instead of taking the tensor for a plain
    array without a history.
    """

    def __init__(self, method: Callable[..., object]) -> None:
        self.method = method

    def __get__(self, instance: object, owner: type) -> Callable[..., object] | None:
        return self.method if instance is None else None


class Tensor(Methods):
    """An array that remembers how it was computed.

    Made by :func:`chainrule.tensor` and by operations on tensors. ``data`` is the NumPy array under it (None
    while a graph is being traced), ``node`` its place in the graph, ``grad`` what ``backward`` left.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0, 2.0], requires_grad=True)
    >>> (x**2).sum().backward()
    >>> x.shape, x.grad
    ((2,), tensor([2., 4.]))
    """

    __slots__ = ("__weakref__", "_data", "_ending", "_grad", "_kept", "_memory", "_requires_grad", "node")

    def __init__(
        self, data: Array | None, node: Node, requires_grad: bool = False, memory: int = OWN
    ) -> None:
        self._data = data
        self.node = node
        self._requires_grad = requires_grad
        self._grad: Tensor | None = None
        self._memory = memory
        self._kept: Node | None = None  # of a leaf: the one that recorded graphs hold
        self._ending: Ending | None = None  # why it has no history, if it was computed from what has one

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

    def apply(self, primitive: Primitive, operands: Sequence[object], params: Params) -> Tensor:
        """A primitive applied to tensors: recorded, and computed unless a graph is being traced."""
        tracked, ending = False, None
        for x in operands:
            if isinstance(x, Tensor):
                tracked = tracked or x._requires_grad
                if x._ending is not None:
                    ending = x._ending if ending is None else joined(ending, x._ending)
            elif type(x) not in (float, int):
                need_whole("an operand", x)
        recording = tracked and GRAD_ENABLED.get()
        if ending is not None:
            ending = passed_on(ending, recording)
        if TRACE.get() is not None:
            node = emit(primitive, [x.live() if isinstance(x, Tensor) else x for x in operands], params)
            return _traced(node, tracked, recording, ending)
        if recording:
            given = [x.recorded() if isinstance(x, Tensor) else _unshared(x) for x in operands]
        else:
            given = [x.node if isinstance(x, Tensor) else x for x in operands]
        node, value = _applied(primitive, given, params)
        if recording:
            if is_float(node.dtype):
                result = Tensor(value, node, True, BORROWED)
                result._ending = ending
                return result
            ending = ended(node, ending)
        memory = memory_of(node, value)
        if memory == BORROWED and not recording:  # a view: what it shows must not change when its source does
            kept = [x.recorded() if isinstance(x, Tensor) else x for x in operands]
            if kept != given:
                value = _applied(primitive, kept, params)[1]
        result = Tensor.leaf(value, False, memory)
        result._ending = ending
        return result

    # Whose memory it is

    def recorded(self) -> Node:
        """The node that a graph with history may hold: nobody writes into its value."""
        if self.node.inputs or self._data is None:
            return self.node
        kept = self._kept
        if self._memory == OWN:
            kept = self.node
        elif kept is None or kept.value is None or not same_bits(kept.value, self._data):
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
                self._data, self._memory = copied(self._data), OWN
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
                kept, self._data = self._kept, copied(self._data)
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
                where=caller_line(),
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
    def dtype(self) -> Dtype:
        """NumPy's dtype of the elements, such as float32, int64 or bool."""
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
                where=caller_line(),
                hint="use x.detach() for the value alone",
            )
        if self.node in VARIABLES.get() and not wanted:
            raise _differentiated("requires_grad = False")
        if wanted:
            need_float(self.dtype)
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
    def data(self, new: object) -> None:
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
        if self._is_differentiated():
            raise GradientError(
                "a value that is being differentiated would become a plain number, and lose its derivative",
                expected="operations on tensors, such as cr.exp(x) for math.exp(x) and cr.stack([x, y]) "
                "for np.array([x, y])",
                got=describe_form(self.node),
                where=caller_line(),
                hint="x.detach() where the value is meant to be a constant, as in float(x.detach())",
            )

    def _is_differentiated(self) -> bool:
        """Whether a transform that runs is about to take the derivative of this value."""
        variables = VARIABLES.get()
        if not (self._requires_grad and variables and GRAD_ENABLED.get()):
            return False
        return any(node in variables for node in topological([self.node], stop=variables.__contains__))

    def carries(self) -> bool:
        """Whether there is a derivative, one that ended while a transform runs, or no value yet.

        NumPy cannot have the value alone then.
        """
        trace = TRACE.get()
        if self._data is None or (trace is not None and self in trace.assigned):
            return True
        ended_here = self._ending is not None and bool(VARIABLES.get())
        return (self._requires_grad or ended_here) and GRAD_ENABLED.get()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    @_OfTheType
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: object, **kwargs: object) -> object:
        """NumPy's universal functions and operators on tensors: ours where there is one."""
        return numpy_protocol.call_ufunc(Tensor, ufunc, method, inputs, kwargs)

    def __array_function__(
        self,
        function: Callable[..., object],
        types: object,
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> object:
        """NumPy's other functions on tensors that carry a derivative: ours where there is one."""
        return numpy_protocol.call_function(Tensor, function, args, kwargs)

    def __dlpack__(self, **kwargs: Any) -> object:
        return self.numpy().__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
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
            raise ShapeError("a scalar tensor has no length", where=caller_line())
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return display.text(self)

    def _repr_html_(self) -> str:
        return display.html(self)

    def __format__(self, spec: str) -> str:
        # text is not computed with, so it may show a value that is being differentiated
        return format(self.peek().item(), spec) if spec and self.shape == () else format(str(self), spec)

    def __eq__(self, other: Operable) -> Tensor:  # type: ignore[override]
        return f.equal(self, other)

    def __ne__(self, other: Operable) -> Tensor:  # type: ignore[override]
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

    def backward(self, gradient: TensorLike | None = None) -> None:
        """Add the derivative of this tensor to ``grad`` of every tensor that requires it.

        ``gradient`` is the cotangent, of this tensor's shape; it may be left out for a scalar. Raises
        GradientError where nothing requires a gradient, or a parameter changed since this was computed.

        >>> import chainrule as cr
        >>> w = cr.tensor([1.0, 2.0], requires_grad=True)
        >>> (w * w).sum().backward()
        >>> w.grad
        tensor([2., 4.])

        Lectures: A26, C10.
        """
        order = topological([self.node], stop=lambda node: node.owner is not None)
        owned = {
            node: owner for node in order if node.owner is not None and (owner := node.owner()) is not None
        }
        leaves, owners = list(owned), list(owned.values())
        seed = as_node(1.0 if gradient is None else as_tensor(gradient).node, self.dtype)
        self._check_backward(leaves, owners, seed)
        swept = zip(owners, backward([self.node], [seed], leaves), strict=True)
        found = [(owner, node) for owner, node in swept if node is not None]
        if len(found) < len(owners):
            found += self._zeros(owned, {owner for owner, _ in found})
        trace = TRACE.get()
        values = [None] * len(found) if trace else evaluate([node for _, node in found])
        with no_grad():
            for (owner, node), value in zip(found, values, strict=True):
                # a copy: the value may be a view of a parameter, or serve two owners
                new = Tensor(None, node) if value is None else Tensor.leaf(np.array(value))
                owner.grad = new if owner._grad is None else owner._grad + new

    def _zeros(self, owned: Mapping[Node, Tensor], served: set[Tensor]) -> list[tuple[Tensor, Node]]:
        """Gradients of 0 for the owners to which ways lead by derivatives alone, of which some are 0, as sign's is."""
        ways = topological([self.node], stop=lambda n: n in owned or ends_history(n))
        missed = {owned[node]: None for node in ways if node in owned and owned[node] not in served}
        return [(x, movement.broadcast(as_node(0.0, x.dtype), shape=x.shape)) for x in missed]

    def _check_backward(self, leaves: list[Node], owners: list[Tensor], seed: Node) -> None:
        where = caller_line()
        if self._ending is not None and not self.requires_grad:
            raise no_way(self._ending)
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

    def assign(self, new: object) -> None:
        """Replace the value in place: the buffer stays the same array, earlier graphs become outdated.

        Raises ShapeError where the new value does not fit, and GradientError where a derivative would be lost:
        inside ``cr.grad`` and the like for a value that is being differentiated, and for a computed tensor.
        """
        if self.node in VARIABLES.get():
            raise _differentiated("assign")
        if self.requires_grad and self.node.owner is None:
            raise GradientError(
                "assign: this tensor is the result of a computation, whose derivative needs the value",
                expected="a tensor made by cr.tensor, or a parameter",
                got=quoted(self.node),
                where=caller_line(),
                hint="use the new value under a new name",
            )
        value = new if isinstance(new, Tensor) else _make(new, self.dtype, False, copy=True)
        if value.shape != self.shape or value.dtype != self.dtype:
            raise ShapeError(
                "assign: the new value does not fit",
                expected=describe_form(self.node),
                got=describe_form(value.node),
                where=caller_line(),
            )
        if value._is_differentiated():
            raise GradientError(
                "assign: the new value is being differentiated, and would lose its derivative",
                expected="a value that is a constant to the function that is differentiated",
                got=quoted(value.node),
                where=caller_line(),
                hint="use the new value under a new name, or assign(new.detach()) where it is meant to be a constant",
            )
        self._ending = value._ending if VARIABLES.get() and GRAD_ENABLED.get() else None
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
            buffer = copied(buffer)
            self._data, self._memory = buffer, OWN
        np.copyto(buffer, value)

    def renew(self) -> None:
        """Note that ``data`` changed: graphs that were built from the former value refuse backward()."""
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
            own = memo[id(value)] = copied(value)
        twin = memo[id(self)] = self.leaf(own, self._requires_grad, LENT if self._memory == LENT else OWN)
        twin.__setstate__(deepcopy(self._besides(), memo))
        if self._ending is not None and self._ending.op is not None and VARIABLES.get():
            twin._ending = self._ending
        return twin

    def __reduce__(self) -> tuple[object, ...]:
        """What a pickle holds. It is for other processes; what is to be kept belongs in a file."""
        value, back = self._without_history(), None
        strides = value.strides
        if not value.flags.forc:  # the two layouts that pickles of arrays know
            order = sorted(range(value.ndim), key=lambda axis: -abs(value.strides[axis]))
            value, back = np.ascontiguousarray(value.transpose(order)), np.argsort(order).tolist()
        arguments = (__version__, type(self), value, back, strides, self._requires_grad)
        return _unpickled, arguments, self._besides()

    def __setstate__(self, besides: tuple[Tensor | None, dict[str, object]]) -> None:
        self._grad, named = besides
        for name, value in named.items():
            setattr(self, name, value)

    def _besides(self) -> tuple[Tensor | None, dict[str, object]]:
        """The gradient, and what a parameter knows besides its value."""
        return self._grad, getattr(self, "__dict__", {})

    def _without_history(self) -> Array:
        """The value, of a tensor that was not computed from what requires a gradient; else a GradientError."""
        if self._data is None:
            raise TracingError(
                "a traced tensor cannot be copied or pickled: it has no value",
                got=describe_form(self.node),
                where=caller_line(),
                hint="do not keep what a forward pass computes, or set the attribute to None before",
            )
        if self._requires_grad and self.node.owner is None:
            raise GradientError(
                "a computed tensor cannot be copied or pickled: no gradient would pass through its copy",
                expected="a tensor made by cr.tensor, a parameter, or one that requires no gradient",
                got=quoted(self.node),
                where=caller_line(),
                hint="take the value alone, x.detach(), or compute it under cr.no_grad()",
            )
        return self.peek()

    def detach(self) -> Tensor:
        """The same value without history."""
        before = (
            bool(self.node.inputs) and self.node.value is not None
        )  # computed before the trace, if there is one
        if self._data is None or (TRACE.get() is not None and not before):
            if not self.requires_grad:
                return self if self._ending is None else Tensor(None, self.live())
            return Tensor(None, movement.stop_gradient(self.live()))
        if self._memory != BORROWED:
            self.lend()  # so that writing into either shows in both
        return Tensor.leaf(self._data, memory=self._memory)

    def __getitem__(self, index: object) -> Tensor:
        return getitem(self, index)

    def __setitem__(self, index: object, value: object) -> None:
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
                where=caller_line(),
                hint="with cr.no_grad(): p -= lr * p.grad; or give the result another name: q = p - x",
            )
        same_kind = is_float(self.dtype) and is_float(new.dtype)
        self.assign(new.astype(self.dtype) if same_kind else new)
        return self

    def __iadd__(self, other: Operable) -> Tensor:
        return self._updated(self + other)

    def __isub__(self, other: Operable) -> Tensor:
        return self._updated(self - other)

    def __imul__(self, other: Operable) -> Tensor:
        return self._updated(self * other)

    def __itruediv__(self, other: Operable) -> Tensor:
        return self._updated(self / other)

    def __ipow__(self, other: Operable) -> Tensor:
        return self._updated(self**other)

    def __imatmul__(self, other: Operable) -> Tensor:
        return self._updated(self @ other)

    def __iand__(self, other: Operable) -> Tensor:
        return self._updated(self & other)

    def __ior__(self, other: Operable) -> Tensor:
        return self._updated(self | other)

    def __matmul__(self, other: Operable) -> Tensor:
        return f.matmul(self, other)

    def __rmatmul__(self, other: Operable) -> Tensor:
        return f.matmul(as_tensor(other), self)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Say what is in place of one of PyTorch's names."""
            raise missing("Tensor", name)


def _unshared(x: object) -> object:
    """An operand that a graph is to hold: memory that somebody else may write into is copied."""
    return x if isinstance(x, _IMMUTABLE) else np.array(as_array(x, name="an operand"))


_IMMUTABLE = (bool, int, float, list, tuple)  # or copied in any case


def _applied(primitive: Primitive, operands: Sequence[object], params: Params) -> tuple[Node, Array]:
    """The node of a primitive on values, and its value."""
    node = emit(primitive, operands, params)
    value = _value(node)
    if value is None:
        raise TracingError(
            "a traced tensor is used outside its trace",
            where=caller_line(),
            hint="return it from the traced function instead of keeping it",
        )
    node.value = value
    return node, value


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
    laid_out = with_strides(own if axes is None else own.transpose(axes), strides)
    return kind.leaf(laid_out, requires_grad, LENT)


def _traced(node: Node, tracked: bool, recording: bool, ending: Ending | None) -> Tensor:
    """A tensor without a value, while a graph is being traced."""
    if not is_float(node.dtype):
        result = Tensor(None, node)
        result._ending = ended(node, ending) if recording else ending
        return result
    result = Tensor(None, movement.stop_gradient(node) if tracked and not recording else node, recording)
    result._ending = ending
    return result


def tensor(data: TensorLike, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor from numbers, nested lists or an array; the data are copied.

    Python floats become float32 and integers int64; NumPy arrays keep their dtype. Raises DtypeError for a
    dtype that chainrule does not have, and where a gradient is asked for something that is not a float; DataError
    where values are missing (masked, null, NA, None), which are never taken for numbers.
    What is made of tensors keeps their derivatives, unless ``requires_grad=True`` asks for a new leaf.

    >>> import chainrule as cr
    >>> cr.tensor([[1.0, 2.0]]).dtype.name, cr.tensor([1, 2]).dtype.name
    ('float32', 'int64')
    """
    return _make(data, dtype, requires_grad, copy=True)


class SupportsDLPack(Protocol):
    """An array of a library that gives others its memory."""

    def __dlpack__(self, *, stream: None = None) -> CapsuleType: ...

    def __dlpack_device__(self) -> tuple[int, int]: ...


def from_dlpack(data: SupportsDLPack) -> Tensor:
    """A tensor over the memory of another library's array on the CPU: anything that has ``__dlpack__``.

    Nothing is copied, so a change on either side shows on the other. Raises DtypeError for a dtype that chainrule
    does not have, DataError where values are masked, and what the other library raises for an array that it does not
    give away.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> cr.from_dlpack(np.arange(3.0, dtype=np.float32))
    tensor([0., 1., 2.])
    """
    need_whole("the data", data)
    array = np.from_dlpack(data)
    dtypes.check_dtype(array.dtype)
    return Tensor.leaf(array, memory=LENT)


def as_tensor(data: object) -> Tensor:
    """A tensor as it is; anything else as a tensor over the same memory where that is possible.

    A list that holds tensors is stacked, so that their history stays.
    """
    if isinstance(data, Tensor):
        return data
    if isinstance(data, list | tuple) and _holds_tensors(data):
        return f.stack([as_tensor(item) for item in data])
    return _make(data, None, False, copy=None)


def _differentiated(what: str) -> GradientError:
    return GradientError(
        f"{what}: this tensor is an argument by which the function is being differentiated",
        where=caller_line(),
        hint="use the new value under a new name, or x.detach() for a constant",
    )


def _holds_tensors(data: object) -> bool:
    return isinstance(data, list | tuple) and any(isinstance(x, Tensor) or _holds_tensors(x) for x in data)


def _make(data: object, dtype: DTypeLike | None, requires_grad: bool, copy: bool | None) -> Tensor:
    held = (
        [x for x in numpy_protocol.leaves(data) if isinstance(x, Tensor)]
        if isinstance(data, Tensor | list | tuple)
        else []
    )
    if not requires_grad and any(x.carries() for x in held):  # a copy that keeps the history
        whole = as_tensor(data)
        return f.astype(movement.identity(whole), whole.dtype if dtype is None else dtype)
    if isinstance(data, Tensor):
        data = data._number()
    elif held and isinstance(data, list | tuple):
        data = [as_array(x) for x in data]
    theirs = copy is None and not isinstance(data, list | tuple | int | float)
    array = numeric(data, dtype, copy)
    if requires_grad:
        need_float(array.dtype)
    made = Tensor.leaf(array, requires_grad, memory=LENT if theirs else OWN)
    if GRAD_ENABLED.get() and not requires_grad:
        for ending in [x._ending for x in held if x._ending is not None]:
            made._ending = ending if made._ending is None else joined(made._ending, ending)
    return made
