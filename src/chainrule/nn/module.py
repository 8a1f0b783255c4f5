"""What every layer is: parameters, buffers and a forward function; found by looking at its attributes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from chainrule.errors import (
    DtypeError,
    ModelFileError,
    SettingError,
    ShapeError,
    TracingError,
    describe_line,
    user_line,
)
from chainrule.graph import new_leaf
from chainrule.nn.initialisers import Initialiser
from chainrule.notebook import preformatted
from chainrule.ops.dtypes import check_dtype
from chainrule.ops.record import Array, is_float
from chainrule.per_replica import PerReplica
from chainrule.pickles import STAMP, stamped, unstamped
from chainrule.tensor import TRACE, Tensor, as_tensor, tensor

if TYPE_CHECKING:
    from chainrule.nn.prediction import Predictor
    from chainrule.nn.summaries import Summary

#: what a random generator depends on; None asks the operating system
Seed = int | tuple[int, ...] | None


def generator(*key: int) -> np.random.Generator:
    """A random generator that depends on the integers of ``key`` alone."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def fresh_seed() -> int:
    """A seed from the operating system."""
    return int(np.random.SeedSequence().generate_state(1)[0])


def seed_key(seed: Seed) -> tuple[int, ...]:
    """(seed, replica 0); a layer appends the index of what it draws, as ``Module.initialise`` does."""
    return seed if isinstance(seed, tuple) else (fresh_seed() if seed is None else seed, 0)


def as_float(x: Any, dtype: np.dtype[Any]) -> Tensor:
    """An array or nested lists as a tensor of this dtype; lists do not pass through float32 first."""
    same = isinstance(x, np.ndarray) and x.dtype == dtype
    return as_tensor(x) if same else tensor(x, dtype=dtype)


@dataclass(frozen=True)
class Given:
    """The initialiser of what was made from an array: that array again."""

    value: Array

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """The array, whatever the generator."""
        return self.value

    def __repr__(self) -> str:
        return "given"


class Parameter(Tensor):
    """A tensor that training changes; it knows how to draw its first value again.

    ``nn.Parameter(array)`` copies an array or nested lists of floats; ``initialise`` gives it that value again,
    or draws from ``initialiser``. ``penalised`` says whether penalties and weight decay of the whole model apply
    to it (not to biases). With ``requires_grad=False``, which may be set at any time, it is frozen: nothing
    trains it and ``Module.initialise`` leaves it as it is. Raises DtypeError for what is not float32 or float64.

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
        data: Any,
        requires_grad: bool = True,
        *,
        initialiser: Initialiser | None = None,
        penalised: bool = True,
    ) -> None:
        first = tensor(data, requires_grad=True).peek()  # a leaf of its own, whatever it is made of
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
        dtype: Any = np.float32,
        penalised: bool = True,
        order: Literal["C", "F"] = "C",
    ) -> Parameter:
        """A parameter of this shape whose value comes from ``initialiser``.

        ``order`` is the layout of its memory: "F" stores a weight [outputs, inputs] as [inputs, outputs], the
        order in which x @ weight.T reads it. Whatever is assigned to it later keeps that layout.
        """
        if not is_float(check_dtype(dtype)):
            raise DtypeError("parameters are floats", expected="float32 or float64", got=np.dtype(dtype))
        parameter = cls.leaf(np.zeros(shape, dtype, order=order), requires_grad=True)
        parameter.initialiser, parameter.penalised = initialiser, penalised
        parameter.initialise(generator(*seed_key(seed)))
        return parameter

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw a new first value."""
        self.assign(Tensor.leaf(self.initialiser(rng, self.shape).astype(self.dtype)))


class Buffer(Tensor):
    """State that a forward pass changes and no gradient reaches: running moments, random counters.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> norm = nn.BatchNorm1d(2)
    >>> y = norm(cr.tensor([[1.0, 2.0], [3.0, 6.0]]))
    >>> isinstance(norm.running_mean, nn.Buffer), norm.running_mean
    (True, tensor([0.2, 0.4]))
    """

    initialiser: Initialiser

    @classmethod
    def made(cls, value: Array, initialiser: Initialiser | None = None) -> Buffer:
        """A buffer that starts at ``value``; ``initialise`` restores that, or draws from ``initialiser``."""
        buffer = cls.leaf(np.array(value))
        first = np.array(value)
        buffer.initialiser = initialiser or partial(_the_first, first)
        return buffer

    def initialise(self, rng: np.random.Generator) -> None:
        """Return to the first value."""
        self.assign(Tensor.leaf(np.asarray(self.initialiser(rng, self.shape), dtype=self.dtype)))


def _the_first(value: Array, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """An initialiser that draws nothing."""
    return value


class Module:
    """Base of layers and networks: set parameters, buffers and modules as attributes, write ``forward``.

    They are found in lists, tuples and dicts among the attributes too, however deep, and also where those are
    changed later. Raises SettingError for an attribute that would not be trained although it looks like it: a
    tensor that requires a gradient and is no ``nn.Parameter``, a set or a generator of modules, and anything else
    than a parameter put in a parameter's place.

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

    __slots__ = ("__dict__", "__weakref__", "_predictor")  # a cache is no attribute of the model

    training: bool = True
    _predictor: Predictor

    def forward(self, x: Tensor) -> Tensor:
        """The network's output for a minibatch ``x`` [batch, features]."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, x: Any) -> Tensor:
        """``forward`` for a tensor, an array or nested lists."""
        return self.forward(self._as_input(x))

    def _as_input(self, x: Any) -> Tensor:
        """Arrays of another float dtype than the parameters' are converted; tensors are taken as they are."""
        if isinstance(x, Tensor):
            return x
        given = as_tensor(x)
        return as_float(x, self.dtype) if is_float(given.dtype) and self.parameters() else given

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters; float32 where there are none."""
        return next((p.dtype for p in self.parameters()), np.dtype(np.float32))

    # What it is made of

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all modules in it, with dotted names."""
        yield prefix, self
        for name, value in _attributes(self):
            if isinstance(value, Module):
                yield from value.named_modules(f"{prefix}.{name}" if prefix else name)

    def is_frozen(self) -> bool:
        """Whether it has parameters and all of them are frozen (``requires_grad`` is False).

        In training such a part of a model computes as at inference: its dropout drops nothing, and its batch
        normalisation uses the running moments, which stay as they are.

        >>> from chainrule import nn
        >>> body, head = nn.Linear(4, 8), nn.Linear(8, 1)
        >>> for parameter in body.parameters():
        ...     parameter.requires_grad = False
        >>> body.is_frozen(), head.is_frozen(), nn.Sequential(body, head).is_frozen()
        (True, False, False)
        """
        parameters = self.parameters()
        return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)

    def _named(self, kind: type[Any]) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, value in _attributes(module):
                if type(value) is Tensor:
                    _need_constant(value, f"{prefix}.{name}" if prefix else name)
                if isinstance(value, kind) and id(value) not in seen:
                    seen.add(id(value))
                    yield f"{prefix}.{name}" if prefix else name, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its dotted name."""
        return self._named(Parameter)

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Every buffer once, with its dotted name."""
        return self._named(Buffer)

    def named_numbers(self) -> Iterator[tuple[str, PerReplica]]:
        """Every number that may differ from replica to replica, with its dotted name; not part of the state."""
        return self._named(PerReplica)

    def parameters(self) -> list[Parameter]:
        """Every parameter once; one that is shared is not repeated."""
        return [parameter for _, parameter in self.named_parameters()]

    def buffers(self) -> list[Buffer]:
        """Every buffer once."""
        return [buffer for _, buffer in self.named_buffers()]

    def named_state(self) -> Iterator[tuple[str, Parameter | Buffer]]:
        """Parameters, then buffers: everything that a saved model holds."""
        yield from self.named_parameters()
        yield from self.named_buffers()

    # What one does with it

    def initialise(self, seed: int, replica: int = 0) -> Self:
        """Draw all parameters and buffers anew; what is drawn depends on (seed, replica) and their order.

        Frozen parameters stay as they are, and so do the buffers of frozen parts.
        """
        kept = self._frozen_state()
        for index, (_, part) in enumerate(self.named_state()):
            if id(part) not in kept:
                part.initialise(generator(seed, replica, index))
        return self

    def _frozen_state(self) -> set[int]:
        """Identities of what training leaves alone: frozen parameters, and the buffers of frozen parts."""
        parts = [module for _, module in self.named_modules() if module.is_frozen()]
        kept = {id(buffer) for part in parts for buffer in part.buffers()}
        return kept | {id(parameter) for parameter in self.parameters() if not parameter.requires_grad}

    def train(self, mode: bool = True) -> Self:
        """Switch to training: dropout drops, batch normalisation uses the minibatch's moments.

        Frozen parts stay at inference; see ``is_frozen``.
        """
        for _, module in self.named_modules():
            module.training = mode
        if mode and not all(parameter.requires_grad for parameter in self.parameters()):
            for _, module in self.named_modules():
                if module.is_frozen():
                    module.eval()
        return self

    def eval(self) -> Self:
        """Switch to inference."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def predict(self, x: Any) -> Array:
        """Outputs [rows, ...] for rows ``x`` [rows, features] at inference, as an array, by machine code.

        The first call for a form of rows compiles; later calls follow whatever changes in the parameters, and
        compile anew where anything else that ``forward`` reads has changed, as with :func:`chainrule.compile`.
        Each row's output must depend on that row alone, as it does with every layer here.

        >>> from chainrule import nn
        >>> nn.MLP([2, 4, 1], seed=0).predict([[1.0, 2.0], [3.0, 4.0]]).shape
        (2, 1)
        """
        if TRACE.get() is not None:
            raise TracingError(
                "predict() gives values, and while a graph is being traced there are none",
                expected="the module called as a function",
                where=describe_line(user_line()),
                hint="y = model(x)",
            )
        predictor = getattr(self, "_predictor", None)
        if predictor is None or not predictor.fits():
            from chainrule.nn.prediction import Predictor

            predictor = self._predictor = Predictor(self)
        if not (isinstance(x, np.ndarray) and x.dtype == predictor.dtype):
            x = self._as_input(x)._number()
        return predictor(x)

    def __setattr__(self, name: str, value: Any) -> None:
        _check_attribute(self, name, value)
        super().__setattr__(name, value)

    def __getstate__(self) -> Any:
        """What copies and pickles hold: machine code is made anew where it is needed."""
        given: Any = super().__getstate__()
        parts = given if isinstance(given, tuple) else (given, None)
        plain, slots = ({n: v for n, v in (part or {}).items() if n != "_predictor"} for part in parts)
        kept = stamped({**plain, "training": self.training})  # whether or not it was ever set
        return (kept, slots) if slots else kept

    def __setstate__(self, state: Any) -> None:
        plain, slots = state if isinstance(state, tuple) else (state, {})
        vars(self).update(unstamped(plain) if STAMP in plain else plain)
        for name, value in slots.items():
            object.__setattr__(self, name, value)

    def summary(self, example: Any = None) -> Summary:
        """Layers, shapes, parameters and multiply-adds; see :func:`chainrule.nn.summary`."""
        from chainrule.nn.summaries import summary

        return summary(self, example)

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers by name."""
        return {name: part.peek().copy() for name, part in self.named_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over all parameters and buffers by name; nothing is changed unless names and shapes agree."""
        own = dict(self.named_state())
        if own.keys() != state.keys():
            raise ModelFileError(
                "the state does not fit this model",
                expected=f"the names {', '.join(own)}",
                got=f"missing {sorted(own.keys() - state.keys())}, extra {sorted(state.keys() - own.keys())}",
                hint="build the model with the layers that it was saved with",
            )
        for name, part in own.items():
            if tuple(np.shape(state[name])) != part.shape:
                raise ShapeError(
                    f"{name} has another shape", expected=part.shape, got=tuple(np.shape(state[name]))
                )
        for name, part in own.items():
            part.assign(Tensor.leaf(np.asarray(state[name]).astype(part.dtype, copy=False)))

    def __repr__(self) -> str:
        inner = [(name, value) for name, value in _attributes(self) if isinstance(value, Module)]
        if not inner:
            return f"{type(self).__name__}({self.describe()})"
        rows = [f"  ({name}): {value!r}".replace("\n", "\n  ") for name, value in inner]
        return "\n".join([f"{type(self).__name__}(", *rows, ")"])

    def _repr_html_(self) -> str:
        try:
            return self.summary()._repr_html_()
        except (SettingError, ShapeError):  # its input cannot be told from its layers
            return preformatted(repr(self))

    def describe(self) -> str:
        """The settings shown between the brackets of ``repr``."""
        return ""


def _attributes(module: Module) -> Iterator[tuple[str, Any]]:
    """Attributes in the order they were set; what is in lists, tuples and dicts instead of these."""
    for name, value in vars(module).items():
        if isinstance(value, _SINGLE):
            yield name, value
        else:
            yield from _within(name, value)


def _within(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, _SEQUENCES):
        parts: Iterable[tuple[Any, Any]] = enumerate(value)
    elif isinstance(value, Mapping):
        parts = value.items()
    else:
        if isinstance(value, set | frozenset) and any(isinstance(item, Module | Tensor) for item in value):
            raise _lost(name, "a set, which has no order", "use a list or a dict")
        yield name, value
        return
    for key, item in parts:
        if isinstance(item, _SINGLE):
            yield f"{name}.{key}", item
        else:
            yield from _within(f"{name}.{key}", item)


#: what most attributes are, and what holds no others
_SINGLE = (Tensor, Module, int, float, str, type(None), np.dtype, np.ndarray)
_SEQUENCES = (list, tuple, deque)


def _check_attribute(module: Module, name: str, value: Any) -> None:
    """SettingError for what would silently not be trained, or no longer."""
    before = vars(module).get(name)
    numbers = isinstance(value, Tensor | np.ndarray | float | int) and not isinstance(
        value, Parameter | Buffer
    )
    if numbers and isinstance(before, Parameter | Buffer):
        kind = "parameter" if isinstance(before, Parameter) else "buffer"
        raise SettingError(
            f"attribute {name!r} is a {kind}, and something else came in its place",
            expected=f"the same {kind} with another value, or a new one",
            got=repr(value.node) if isinstance(value, Tensor) else type(value).__name__,
            where=describe_line(user_line()),
            hint=f"{name}.assign(new), or {name} -= ... under cr.no_grad(), or nn.Parameter(new)",
        )
    if type(value) is Tensor:
        _need_constant(value, name)
    elif isinstance(value, GeneratorType | map | filter | zip):
        raise _lost(name, "an iterator, which is gone after one pass", "make it a list")


def _need_constant(value: Tensor, name: str) -> None:
    """SettingError for a tensor that looks as if it were trained."""
    if value.requires_grad and value.node.owner is not None and not value.node.inputs:
        raise _lost(
            name,
            "a tensor that requires a gradient and is no parameter",
            "nn.Parameter(array) in its place, or detach() it if it is a constant",
        )


def _lost(name: str, what: str, hint: str) -> SettingError:
    return SettingError(
        f"attribute {name!r} would not be trained",
        expected="parameters, and modules, in lists, tuples or dicts if there are several",
        got=what,
        where=describe_line(user_line()),
        hint=hint,
    )


@contextmanager
def at_inference(model: Module) -> Iterator[None]:
    """The model in inference mode; afterwards every part of it is in its former mode."""
    modes = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def flatten_parameters(model: Module) -> Array:
    """All parameters as one vector theta, in the order of ``named_parameters`` (row C1).

    >>> from chainrule import nn
    >>> nn.flatten_parameters(nn.MLP([2, 3, 2, 2])).shape
    (23,)
    """
    return np.concatenate([p.peek().ravel() for p in model.parameters()] or [np.zeros(0, np.float32)])


def unflatten_parameters(model: Module, theta: Any) -> None:
    """Write a vector made by :func:`flatten_parameters` back into the model.

    >>> from chainrule import nn
    >>> model = nn.Linear(2, 1)
    >>> nn.unflatten_parameters(model, [1.0, 2.0, 3.0])
    >>> model.weight, model.bias
    (tensor([[1., 2.]], requires_grad=True), tensor([3.], requires_grad=True))
    """
    flat = np.asarray(theta)
    total = sum(p.size for p in model.parameters())
    if flat.shape != (total,):
        raise ShapeError("theta does not fit this model", expected=(total,), got=flat.shape)
    start = 0
    for p in model.parameters():
        p.assign(Tensor.leaf(flat[start : start + p.size].reshape(p.shape).astype(p.dtype)))
        start += p.size
