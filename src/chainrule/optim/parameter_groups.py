"""Parameter groups: an optimizer for each part of a model, used like a single one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from fnmatch import fnmatchcase
from typing import Any, Never, Self

from chainrule.errors import SettingError
from chainrule.optim.optimizer import HasParameters, Optimizer
from chainrule.optim.schedules import Rates
from chainrule.tensor import Tensor

Key = str | HasParameters | Tensor


def groups(optimizers: Mapping[Any, Optimizer]) -> Groups:
    """An optimizer for each part of a model: ``{part: optimizer}``, for ``attach`` and ``cr.fit``.

    A part is a pattern of parameter names as ``model.named_parameters()`` gives them ("*.bias", "0.weight"), the
    name of a module in the model ("body" stands for everything in it), a module, or a parameter. A parameter
    belongs to the first part that it fits; "*" last takes the rest. Each optimizer keeps its own settings, step
    size and state; where one step size is asked for (a history, a progress bar), that is the first one's.

    Raises SettingError, on ``attach``, where a parameter fits no part or a part has no parameter. To leave a part
    alone, freeze it: ``parameter.requires_grad = False``.

    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> model = nn.Sequential(nn.Linear(4, 8, seed=0), nn.Tanh(), nn.Linear(8, 1, seed=1))
    >>> opt = optim.groups({"0": optim.SGD(1e-4), "*.bias": optim.SGD(0.1), "*": optim.Adam(1e-3)}).attach(model)
    >>> [names for names in opt.members()]
    [['0.weight', '0.bias'], ['2.bias'], ['2.weight']]
    """
    return Groups(optimizers)


class Groups(Optimizer):
    """What :func:`groups` gives: an optimizer whose every method goes to those of its parts.

    >>> from chainrule import optim
    >>> optim.groups({"*.bias": optim.SGD(0.1), "*": optim.Adam(0.01)}).describe()["*"]["name"]
    'Adam'
    """

    def __init__(self, optimizers: Mapping[Any, Optimizer]) -> None:
        for key, optimizer in optimizers.items():
            plain = isinstance(optimizer, Optimizer) and not isinstance(optimizer, Groups)
            if not plain or isinstance(optimizer.lr, tuple):
                raise SettingError(
                    f"groups: {_label(key)} has no optimizer of its own",
                    expected="such as optim.Adam(1e-3), with one step size",
                    got=repr(optimizer),
                    hint="freeze what is not to be trained: parameter.requires_grad = False",
                )
            if not (isinstance(key, str | Tensor) or hasattr(key, "named_parameters")):
                raise SettingError(
                    "groups: a part is named by a pattern, a module or a parameter", got=type(key).__name__
                )
        if len({id(optimizer) for optimizer in optimizers.values()}) < len(optimizers):
            raise SettingError("groups: an optimizer is given twice", hint="make one for each part")
        if not optimizers:
            raise SettingError("groups: there are no parts", expected='such as {"*": optim.Adam(1e-3)}')
        self.optimizers = dict(optimizers)
        self._members: list[list[str]] = [[] for _ in self.optimizers]
        self.names, self.parameters, self._model = [], [], None
        self._lr = 0.0  # each part has its own

    def __copy__(self) -> Self:
        """Another one for the same parameters, whose parts have states of their own."""
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        twin.optimizers = {key: copy(optimizer) for key, optimizer in self.optimizers.items()}
        return twin

    def parts(self) -> list[Optimizer]:
        """The optimizers, in the order in which they were given."""
        return list(self.optimizers.values())

    def members(self) -> list[list[str]]:
        """The names of each part's parameters."""
        return self._members

    @property
    def lr(self) -> Rates:
        """The first part's step size."""
        return self.parts()[0].lr

    @lr.setter
    def lr(self, lr: Rates) -> Never:
        raise SettingError(
            "each part has a step size of its own",
            got=repr(lr),
            hint="for part in optimizer.parts(): part.lr = ...",
        )

    def rate(self) -> Tensor:
        """The size of the first part's next step, a float64 scalar."""
        return self.parts()[0].rate()

    def attach(self, model: HasParameters | Iterable[Tensor]) -> Self:
        """Divide the parameters of a model, or single tensors named "0", "1", ..., among the parts."""
        named = self._named(model)
        chosen: list[list[tuple[str, Any]]] = [[] for _ in self.optimizers]
        for name, p in named:
            fitting = (i for i, key in enumerate(self.optimizers) if _fits(key, name, p))
            if (first := next(fitting, None)) is None:
                raise SettingError(
                    f"groups: parameter {name} belongs to no part",
                    expected=f"a name that fits one of {', '.join(map(_label, self.optimizers))}",
                    got=name,
                    hint='add a last part for the rest: "*": optim.Adam(1e-3)',
                )
            chosen[first].append((name, p))
        for key, own in zip(self.optimizers, chosen, strict=True):
            if not own:
                raise SettingError(
                    f"groups: no parameter belongs to {_label(key)}",
                    expected=f"some of {', '.join(name for name, _ in named)}",
                    hint="a parameter belongs to the first part that it fits: put the narrower ones first",
                )
        for optimizer, own in zip(self.parts(), chosen, strict=True):
            optimizer.attach([p for _, p in own])
            optimizer.names = [name for name, _ in own]
        self._members = [[name for name, _ in own] for own in chosen]
        return self

    def step(self) -> None:
        """Update the parameters that have a gradient, each by its part's optimizer.

        Raises SettingError without parameters, GradientError without any gradient.
        """
        self._check_step()
        for part in self.parts():
            if any(p.grad is not None and p.requires_grad for p in part.parameters):
                part.step()

    def counters(self) -> list[Tensor]:
        """Step counts and shared scalars of all parts."""
        return [counter for part in self.parts() for counter in part.counters()]

    def own(self, steps: int) -> Self:
        """A copy whose parts have a state of their own."""
        return type(self)({key: part.own(steps) for key, part in self.optimizers.items()})

    def named_state(self) -> Iterator[tuple[str, Tensor]]:
        """The state of each part, under "group 0.", "group 1.", ..."""
        for i, part in enumerate(self.parts()):
            yield from ((f"group {i}.{name}", tensor) for name, tensor in part.named_state())

    def describe(self) -> dict[str, Any]:
        """Name and settings of each part's optimizer."""
        found = {_label(key): part.describe() for key, part in self.optimizers.items()}
        return {"name": "groups", "lr": self.parts()[0].describe()["lr"]} | found

    def __repr__(self) -> str:
        inner = ", ".join(f"{_label(key)!r}: {part!r}" for key, part in self.optimizers.items())
        return f"groups({{{inner}}})"


def _label(key: Any) -> str:
    return key if isinstance(key, str) else repr(key)


def _fits(key: Any, name: str, parameter: Any) -> bool:
    """Whether a parameter of this name belongs to the part."""
    if isinstance(key, str):
        return fnmatchcase(name, key) or name.startswith(f"{key}.")
    if isinstance(key, Tensor):
        return key is parameter
    return any(p is parameter for _, p in key.named_parameters())
