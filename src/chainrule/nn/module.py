"""What every layer is: parameters, buffers and a forward function; found by looking at its attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from chainrule.errors import DtypeError, ModelFileError, SettingError, ShapeError
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


class Parameter(Tensor):
    """A tensor that training changes; it knows how to draw its first value again.

    ``penalised`` says whether penalties and weight decay of the whole model apply to it (not to biases).

    >>> from chainrule import nn
    >>> weight = nn.Linear(2, 3).weight
    >>> weight.shape, weight.requires_grad, weight.penalised
    ((3, 2), True, True)
    """

    initialiser: Initialiser
    penalised: bool

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

    training: bool = True
    _predictor: Predictor | None = None  # a cache
    _changes = 0  # attributes ever set on any module: tells the cache when to look whether it is still right

    def forward(self, x: Tensor) -> Tensor:
        """The network's output for a minibatch ``x`` [batch, features]."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, x: Any) -> Tensor:
        """``forward`` for a tensor, an array or nested lists."""
        trace = TRACE.get()
        if trace is not None:
            trace.called[id(self)] = self
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

    def _named(self, kind: type[Any]) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, value in _attributes(module):
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
        """Draw all parameters and buffers anew; what is drawn depends on (seed, replica) and their order."""
        for index, (_, part) in enumerate(self.named_state()):
            part.initialise(generator(seed, replica, index))
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch to training: dropout drops, batch normalisation uses the minibatch's moments."""
        for _, module in self.named_modules():
            module.training = mode
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

        The first call for a form of rows compiles; later calls follow whatever changes in the parameters.
        Each row's output must depend on that row alone, as it does with every layer here.

        >>> from chainrule import nn
        >>> nn.MLP([2, 4, 1], seed=0).predict([[1.0, 2.0], [3.0, 4.0]]).shape
        (2, 1)
        """
        predictor = self._predictor
        if predictor is None or not predictor.fits(Module._changes):
            from chainrule.nn.prediction import Predictor

            predictor = Predictor(self)
            vars(self)["_predictor"] = predictor
        if not (isinstance(x, np.ndarray) and x.dtype == predictor.dtype):
            x = self._as_input(x).numpy()
        return predictor(x)

    def __setattr__(self, name: str, value: Any) -> None:
        Module._changes += 1
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        Module._changes += 1
        super().__delattr__(name)

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
        return {name: part.numpy().copy() for name, part in self.named_state()}

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
    """Attributes in the order they were set; lists, tuples and dicts are looked into."""
    for name, value in vars(module).items():
        if isinstance(value, list | tuple):
            yield from ((f"{name}.{i}", item) for i, item in enumerate(value))
        elif isinstance(value, dict):
            yield from ((f"{name}.{key}", item) for key, item in value.items())
        else:
            yield name, value


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
    return np.concatenate([p.numpy().ravel() for p in model.parameters()] or [np.zeros(0, np.float32)])


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
