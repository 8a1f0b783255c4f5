"""``Module``, the base class of layers and networks, and what it holds: ``Parameter`` and ``Buffer``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import GeneratorType
from typing import Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from chainrule.data.describe import differing_names, list_some
from chainrule.errors import DtypeError, ModelFileError, SettingError, ShapeError, TracingError, caller_line
from chainrule.foreign_text import clipped, quoted
from chainrule.graph import new_leaf
from chainrule.markup import preformatted
from chainrule.missing import as_array
from chainrule.nn.initialisers import Initialiser
from chainrule.nn.prediction import Predictor
from chainrule.nn.summaries import Summary, summary
from chainrule.ops.dtypes import check_dtype
from chainrule.ops.operand import Dtype
from chainrule.ops.record import Array, is_float
from chainrule.per_replica import PerReplica
from chainrule.pickles import STAMP, stamped, unstamped
from chainrule.tensor import TRACE, Tensor, TensorLike, as_tensor, tensor

T = TypeVar("T")

#: the key of a random generator; None takes a seed from the operating system
Seed = int | tuple[int, ...] | None


def generator(*key: int) -> np.random.Generator:
    """Return a random generator that depends only on the integers of ``key``."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def fresh_seed() -> int:
    """Return a seed from the operating system."""
    return int(np.random.SeedSequence().generate_state(1)[0])


def seed_key(seed: Seed) -> tuple[int, ...]:
    """Return (seed, replica 0). A layer appends the index of the parameter, as ``Module.initialise`` does."""
    return seed if isinstance(seed, tuple) else (fresh_seed() if seed is None else seed, 0)


def as_float(x: TensorLike, dtype: Dtype) -> Tensor:
    """Convert an array or nested lists to a tensor of this dtype, without rounding lists to float32 first."""
    same = isinstance(x, np.ndarray) and x.dtype == dtype
    return as_tensor(x) if same else tensor(x, dtype=dtype)


@dataclass(frozen=True)
class Given:
    """The initialiser of a parameter made from an array: returns that array."""

    value: Array

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Return the array; the generator is not used."""
        return self.value

    def __repr__(self) -> str:
        return "given"


class Parameter(Tensor):
    """A tensor that training updates, together with the initialiser of its first value.

    ``nn.Parameter(array)`` copies an array or nested lists of floats. ``initialise`` restores that value, or draws
    a new one from ``initialiser`` if there is one. ``penalised`` says whether penalties and weight decay apply to
    it; the layers here exempt biases. Setting ``requires_grad=False``, at any time, freezes the parameter: training
    and ``Module.initialise`` leave it unchanged. Raises DtypeError unless the dtype is float32 or float64.

    >>> from chainrule import nn
    >>> scale = nn.Parameter([1.0, 2.0])
    >>> scale
    tensor([1., 2.], requires_grad=True)
    >>> weight = nn.Linear(2, 3).weight
    >>> weight.shape, weight.requires_grad, weight.penalised
    ((3, 2), True, True)
    """

    initialiser: Initialiser
    penalised: bool

    def __init__(
        self,
        data: TensorLike,
        requires_grad: bool = True,
        *,
        initialiser: Initialiser | None = None,
        penalised: bool = True,
    ) -> None:
        first = tensor(
            data, requires_grad=True
        ).peek()  # a copy: the parameter is a leaf, whatever it is made from
        super().__init__(first, new_leaf(first.shape, first.dtype, value=first))
        self.requires_grad = requires_grad
        self.initialiser, self.penalised = initialiser or Given(first.copy()), penalised

    @classmethod
    def drawn(
        cls,
        shape: tuple[int, ...],
        initialiser: Initialiser,
        seed: Seed,
        *,
        dtype: DTypeLike = np.float32,
        penalised: bool = True,
        order: Literal["C", "F"] = "C",
    ) -> Parameter:
        """Return a parameter of this shape with a value drawn from ``initialiser``.

        ``order`` is its memory layout, which later assignments keep: "F" stores a weight [outputs, inputs] as
        [inputs, outputs], the order in which x @ weight.T reads it. Raises DtypeError unless the dtype is a float.
        """
        if not is_float(check_dtype(dtype)):
            raise DtypeError("parameters are floats", expected="float32 or float64", got=np.dtype(dtype))
        parameter = cls.leaf(np.zeros(shape, dtype, order=order), requires_grad=True)
        parameter.initialiser, parameter.penalised = initialiser, penalised
        parameter.initialise(generator(*seed_key(seed)))
        return parameter

    def first(self, rng: np.random.Generator) -> Array:
        """Return a newly drawn initial value."""
        return _fitting(self, self.initialiser(rng, self.shape).astype(self.dtype))

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw a new initial value and assign it."""
        self.assign(Tensor.leaf(self.first(rng)))


class Buffer(Tensor):
    """State of a module that is not trained by gradients: running moments, counters of random numbers.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> norm = nn.BatchNorm1d(2)
    >>> y = norm(cr.tensor([[1.0, 2.0], [3.0, 6.0]]))
    >>> isinstance(norm.running_mean, nn.Buffer), norm.running_mean
    (True, tensor([0.2, 0.4]))
    """

    initialiser: Initialiser
    redrawn: bool = True

    @classmethod
    def made(cls, value: Array, initialiser: Initialiser | None = None, *, redrawn: bool = True) -> Buffer:
        """Return a buffer that starts at ``value``; ``initialise`` restores it, or draws from ``initialiser``.

        With ``redrawn=False`` it is data that was fitted before training: ``Module.initialise`` and restarts leave it
        as it is, and no forward pass may change it.
        """
        first = as_array(value)
        buffer = cls.leaf(np.array(first))
        first = np.array(first)
        buffer.initialiser, buffer.redrawn = initialiser or partial(_the_first, first), redrawn
        return buffer

    def first(self, rng: np.random.Generator) -> Array:
        """Return the initial value, or a new draw if it has an initialiser."""
        return _fitting(self, np.asarray(self.initialiser(rng, self.shape), dtype=self.dtype))

    def initialise(self, rng: np.random.Generator) -> None:
        """Reset to the initial value."""
        self.assign(Tensor.leaf(self.first(rng)))


def _fitting(part: Tensor, value: Array) -> Array:
    """Return the value; raise ShapeError if the initialiser returned another shape than the parameter's."""
    if value.shape != part.shape:
        raise ShapeError("an initialiser returned the wrong shape", expected=part.shape, got=value.shape)
    return value


def _the_first(value: Array, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """An initialiser that returns ``value``; the generator is not used."""
    return value


class Module:
    """Base class of layers and networks: assign parameters, buffers and modules as attributes, define ``forward``.

    Parameters and modules are also found inside lists, tuples and dicts, at any depth, even if these change later.
    Raises SettingError for attributes that look trainable but would not be trained: a tensor that requires a
    gradient but is no ``nn.Parameter``, and a set or generator of modules. Raises it as well when something other
    than a parameter replaces a parameter.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> class Residual(nn.Module):
    ...     def __init__(self, width):
    ...         self.inner = nn.Linear(width, width, seed=0)
    ...     def forward(self, x):
    ...         return x + cr.tanh(self.inner(x))
    >>> [name for name, _ in Residual(3).named_parameters()]
    ['inner.weight', 'inner.bias']
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_predictor",
    )  # a slot, so that the cache is not among the attributes

    training: bool = True
    _predictor: Predictor

    def forward(self, x: Tensor) -> Tensor:
        """The network's output for a minibatch ``x`` [batch, features]."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, x: TensorLike) -> Tensor:
        """Apply ``forward`` to a tensor, an array or nested lists."""
        return self.forward(self._as_input(x))

    def _as_input(self, x: TensorLike) -> Tensor:
        """Convert float arrays to the parameters' dtype; tensors are used as they are."""
        if isinstance(x, Tensor):
            return x
        given = as_tensor(x)
        return as_float(x, self.dtype) if is_float(given.dtype) and self.parameters() else given

    @property
    def dtype(self) -> Dtype:
        """The dtype of the parameters, or float32 if there are none."""
        return next((p.dtype for p in self.parameters()), np.dtype(np.float32))

    # What it is made of

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Iterate over this module and all modules inside it, with their dotted names."""
        yield prefix, self
        for name, value in _attributes(self):
            if isinstance(value, Module):
                yield from value.named_modules(f"{prefix}.{name}" if prefix else name)

    def is_frozen(self) -> bool:
        """Whether the module has parameters and all of them are frozen (``requires_grad`` is False).

        During training, frozen parts of a model run as at inference: their dropout drops nothing, and their batch
        normalisation uses its running moments without updating them.

        >>> from chainrule import nn
        >>> body, head = nn.Linear(4, 8), nn.Linear(8, 1)
        >>> for parameter in body.parameters():
        ...     parameter.requires_grad = False
        >>> body.is_frozen(), head.is_frozen(), nn.Sequential(body, head).is_frozen()
        (True, False, False)
        """
        parameters = self.parameters()
        return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)

    def _named(self, kind: type[T]) -> Iterator[tuple[str, T]]:
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, value in _attributes(module):
                if type(value) is Tensor:
                    _need_constant(value, f"{prefix}.{name}" if prefix else name)
                if isinstance(value, kind) and id(value) not in seen:
                    seen.add(id(value))
                    yield f"{prefix}.{name}" if prefix else name, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Iterate over the parameters, each once, with their dotted names."""
        return self._named(Parameter)

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Iterate over the buffers, each once, with their dotted names."""
        return self._named(Buffer)

    def named_numbers(self) -> Iterator[tuple[str, PerReplica]]:
        """Iterate over the settings that may differ between replicas, with dotted names. They are not saved state."""
        return self._named(PerReplica)

    def parameters(self) -> list[Parameter]:
        """Return all parameters; a shared one appears once."""
        return [parameter for _, parameter in self.named_parameters()]

    def buffers(self) -> list[Buffer]:
        """Return all buffers; a shared one appears once."""
        return [buffer for _, buffer in self.named_buffers()]

    def named_state(self) -> Iterator[tuple[str, Parameter | Buffer]]:
        """Iterate over parameters, then buffers: everything that a saved model contains."""
        yield from self.named_parameters()
        yield from self.named_buffers()

    # What one does with it

    def initialise(self, seed: int | tuple[int, ...], replica: int = 0) -> Self:
        """Draw new initial values for all parameters and buffers, and return the module.

        The values depend only on (seed, replica) and the order of the parameters. Frozen parameters, and the
        buffers of frozen parts, are left unchanged.
        """
        key = seed if isinstance(seed, tuple) else (seed,)
        for index, _, part in self.drawn_parts():
            part.initialise(generator(*key, replica, index))
        return self

    def drawn_parts(self) -> Iterator[tuple[int, str, Parameter | Buffer]]:
        """Iterate over what ``initialise`` draws: (index in the key of its random generator, name, tensor)."""
        kept = self._frozen_state() | {id(buffer) for buffer in self.buffers() if not buffer.redrawn}
        for index, (name, part) in enumerate(self.named_state()):
            if id(part) not in kept:
                yield index, name, part

    def _frozen_state(self) -> set[int]:
        """The ids of what training leaves unchanged: frozen parameters, and the buffers of frozen parts."""
        frozen = {id(parameter) for parameter in self.parameters() if not parameter.requires_grad}
        if not frozen:
            return frozen
        parts = [module for _, module in self.named_modules() if module.is_frozen()]
        return frozen | {id(buffer) for part in parts for buffer in part.buffers()}

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode and return the module: dropout is active, batch normalisation uses the minibatch.

        Frozen parts stay in inference mode; see ``is_frozen``.
        """
        for _, module in self.named_modules():
            module.training = mode
        if mode and not all(parameter.requires_grad for parameter in self.parameters()):
            for _, module in self.named_modules():
                if module.is_frozen():
                    module.eval()
        return self

    def eval(self) -> Self:
        """Switch to inference mode and return the module."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def predict(self, x: TensorLike) -> Array:
        """Compute outputs [rows, ...] for ``x`` [rows, features] at inference, as an array, with compiled code.

        The first call for a batch size compiles. Later calls use the parameters' current values, and compile again
        if anything else that ``forward`` reads has changed, as with :func:`chainrule.compile`. Raises TracingError
        while a graph is traced, ShapeError for an input that the network does not accept.

        >>> from chainrule import nn
        >>> nn.MLP([2, 4, 1], seed=0).predict([[1.0, 2.0], [3.0, 4.0]]).shape
        (2, 1)
        """
        if TRACE.get() is not None:
            raise TracingError(
                "predict() computes values, which do not exist while a graph is traced",
                expected="the module called as a function",
                where=caller_line(),
                hint="y = model(x)",
            )
        predictor = getattr(self, "_predictor", None)
        if predictor is None or not predictor.fits():
            predictor = self._predictor = Predictor(self, modes_of=Module)
        if not (type(x) is np.ndarray and x.dtype == predictor.dtype):
            x = self._as_input(x)._number()
        return predictor(x)

    def __setattr__(self, name: str, value: object) -> None:
        _check_attribute(self, name, value)
        super().__setattr__(name, value)

    def __getstate__(self) -> Any:
        """The state for copies and pickles, without machine code, which is compiled again when needed."""
        given: Any = super().__getstate__()
        parts = given if isinstance(given, tuple) else (given, None)
        plain, slots = ({n: v for n, v in (part or {}).items() if n != "_predictor"} for part in parts)
        kept = stamped({**plain, "training": self.training})  # also if it still is the class's default
        return (kept, slots) if slots else kept

    def __setstate__(self, state: Any) -> None:
        plain, slots = state if isinstance(state, tuple) else (state, {})
        vars(self).update(unstamped(plain) if STAMP in plain else plain)
        for name, value in slots.items():
            object.__setattr__(self, name, value)

    def summary(self, example: TensorLike | None = None) -> Summary:
        """Describe the layers: output shapes, parameters, multiply-adds. See :func:`chainrule.nn.summary`."""
        return summary(self, example)

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and buffers, by name."""
        return {name: part.peek().copy() for name, part in self.named_state()}

    def load_state_dict(self, state: Mapping[str, TensorLike]) -> None:
        """Assign all parameters and buffers by name.

        Raises ModelFileError if the names differ from the model's, ShapeError if a shape does; nothing is changed
        then.
        """
        own = dict(self.named_state())
        if own.keys() != state.keys():
            raise ModelFileError(
                "the state does not fit this model",
                expected=f"the names {list_some(list(own))}",
                got=differing_names(own, state),
                hint="build the model with the layers that it was saved with",
            )
        for name, part in own.items():
            shape = as_array(state[name], name=name).shape
            if shape != part.shape:
                raise ShapeError(
                    f"{clipped(name)} has the wrong shape",
                    expected=part.shape,
                    got=shape,
                )
        for name, part in own.items():
            part.assign(Tensor.leaf(as_array(state[name], name=name).astype(part.dtype, copy=False)))

    def __repr__(self) -> str:
        inner = [(name, value) for name, value in _attributes(self) if isinstance(value, Module)]
        if not inner:
            return f"{clipped(type(self).__name__)}({self.describe()})"
        rows = [f"  ({clipped(name)}): {value!r}".replace("\n", "\n  ") for name, value in inner]
        return "\n".join([f"{clipped(type(self).__name__)}(", *rows, ")"])

    def _repr_html_(self) -> str:
        try:
            return self.summary()._repr_html_()
        except (SettingError, ShapeError):  # the layers do not say what the input looks like
            return preformatted(repr(self))

    def describe(self) -> str:
        """Return the settings that ``repr`` shows in parentheses."""
        return ""


def _attributes(module: Module) -> Iterator[tuple[str, object]]:
    """Iterate over the attributes in the order they were set, with the contents of lists, tuples and dicts inlined."""
    for name, value in vars(module).items():
        if isinstance(value, _SINGLE):
            yield name, value
        else:
            yield from _within(name, value)


def _within(name: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, _SEQUENCES):
        parts: Iterable[tuple[object, object]] = enumerate(value)
    elif isinstance(value, Mapping):
        parts = value.items()
    else:
        if isinstance(value, set | frozenset) and any(isinstance(item, Module | Tensor) for item in value):
            raise _lost(name, "a set, whose order is not defined", "use a list or a dict")
        yield name, value
        return
    for key, item in parts:
        if isinstance(item, _SINGLE):
            yield f"{name}.{key}", item
        else:
            yield from _within(f"{name}.{key}", item)


#: types that contain no modules or parameters of their own
_SINGLE = (Tensor, Module, int, float, str, type(None), np.dtype, np.ndarray)
_SEQUENCES = (list, tuple, deque)


def _check_attribute(module: Module, name: str, value: object) -> None:
    """Raise SettingError for an attribute that would silently not be trained, or no longer."""
    before = vars(module).get(name)
    numbers = isinstance(value, Tensor | np.ndarray | float | int) and not isinstance(
        value, Parameter | Buffer
    )
    if numbers and isinstance(before, Parameter | Buffer):
        kind = "parameter" if isinstance(before, Parameter) else "buffer"
        raise SettingError(
            f"attribute {quoted(name)} is a {kind} and cannot be replaced by something else",
            expected=f"the same {kind} with another value, or another {kind}",
            got=quoted(value.node) if isinstance(value, Tensor) else type(value).__name__,
            where=caller_line(),
            hint=f"{name}.assign(new), or {name} -= ... under cr.no_grad(), or nn.Parameter(new)",
        )
    if type(value) is Tensor:
        _need_constant(value, name)
    elif isinstance(value, GeneratorType | map | filter | zip):
        raise _lost(name, "an iterator, which is exhausted after one pass", "make it a list")


def _need_constant(value: Tensor, name: str) -> None:
    """Raise SettingError for a tensor that looks like a parameter but is none."""
    if value.requires_grad and value.node.owner is not None and not value.node.inputs:
        raise _lost(
            name,
            "a tensor that requires a gradient but is no parameter",
            "use nn.Parameter(array), or detach() it if it is a constant",
        )


def _lost(name: str, what: str, hint: str) -> SettingError:
    return SettingError(
        f"attribute {quoted(name)} would not be trained",
        expected="parameters, and modules, in lists, tuples or dicts if there are several",
        got=what,
        where=caller_line(),
        hint=hint,
    )


def flatten_parameters(model: Module) -> Array:
    """Return all parameters as one vector theta, in the order of ``named_parameters``.

    >>> from chainrule import nn
    >>> nn.flatten_parameters(nn.MLP([2, 3, 2, 2])).shape
    (23,)

    Lectures: C1.
    """
    return np.concatenate([p.peek().ravel() for p in model.parameters()] or [np.zeros(0, np.float32)])


def unflatten_parameters(model: Module, theta: TensorLike) -> None:
    """Assign a vector in the order of :func:`flatten_parameters` to the model's parameters.

    Raises ShapeError if its length differs from the number of parameters.

    >>> from chainrule import nn
    >>> model = nn.Linear(2, 1)
    >>> nn.unflatten_parameters(model, [1.0, 2.0, 3.0])
    >>> model.weight, model.bias
    (tensor([[1., 2.]], requires_grad=True), tensor([3.], requires_grad=True))
    """
    flat = as_array(theta, name="theta")
    total = sum(p.size for p in model.parameters())
    if flat.shape != (total,):
        raise ShapeError("theta has the wrong length for this model", expected=(total,), got=flat.shape)
    start = 0
    for p in model.parameters():
        p.assign(Tensor.leaf(flat[start : start + p.size].reshape(p.shape).astype(p.dtype)))
        start += p.size
