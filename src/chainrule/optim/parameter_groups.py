"""Parameter groups: an optimizer for each part of a model, used like a single one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Never, Self

from chainrule.data.describe import list_some
from chainrule.errors import SettingError
from chainrule.foreign_text import clipped, quoted
from chainrule.optim.optimizer import HasParameters, Optimizer
from chainrule.optim.schedules import Rates
from chainrule.tensor import Tensor

Key = str | HasParameters | Tensor


def groups(optimizers: Mapping[Key, Optimizer]) -> Groups:
    """Train each part of a model by an optimizer of its own: ``{part: optimizer}``, for ``attach`` and ``cr.fit``.

    A part is a pattern of parameter names as in ``model.named_parameters()`` ("*.bias", "0.weight"), the name of a
    module in the model ("body" stands for everything in it), a module, or a parameter. A parameter belongs to the first
    part that it fits; "*" as the last part takes the rest. Each optimizer has its own settings, learning rate and
    state. Where one learning rate is shown (a history, a log), it is the first optimizer's.

    ``attach`` raises SettingError if a parameter fits no part or a part has no parameter. To leave a part alone, freeze
    it: ``parameter.requires_grad = False``.

    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> model = nn.Sequential(nn.Linear(4, 8, seed=0), nn.Tanh(), nn.Linear(8, 1, seed=1))
    >>> opt = optim.groups({"0": optim.SGD(1e-4), "*.bias": optim.SGD(0.1), "*": optim.Adam(1e-3)}).attach(model)
    >>> [names for names in opt.members()]
    [['0.weight', '0.bias'], ['2.bias'], ['2.weight']]
    """
    return Groups(optimizers)


class Groups(Optimizer):
    """What :func:`groups` returns: an optimizer that passes every call on to those of its parts.

    >>> from chainrule import optim
    >>> optim.groups({"*.bias": optim.SGD(0.1), "*": optim.Adam(0.01)}).describe()["*"]["name"]
    'Adam'
    """

    def __init__(self, optimizers: Mapping[Key, Optimizer]) -> None:
        for key, optimizer in optimizers.items():
            plain = isinstance(optimizer, Optimizer) and not isinstance(optimizer, Groups)
            if not plain or isinstance(optimizer.lr, tuple):
                raise SettingError(
                    f"groups: {_label(key)} has no optimizer of its own",
                    expected="such as optim.Adam(1e-3), with one learning rate",
                    got=quoted(optimizer),
                    hint="freeze what is not to be trained: parameter.requires_grad = False",
                )
            if not (isinstance(key, str | Tensor) or hasattr(key, "named_parameters")):
                raise SettingError(
                    "groups: a part is named by a pattern, a module or a parameter", got=type(key).__name__
                )
        if len({id(optimizer) for optimizer in optimizers.values()}) < len(optimizers):
            raise SettingError(
                "groups: the same optimizer is given for two parts", hint="make one for each part"
            )
        if not optimizers:
            raise SettingError("groups: there are no parts", expected='such as {"*": optim.Adam(1e-3)}')
        self.optimizers = dict(optimizers)
        self._members: list[list[str]] = [[] for _ in self.optimizers]
        self.names, self.parameters, self._model = [], [], None
        self._lr = 0.0  # each part has its own

    def __copy__(self) -> Self:
        """A copy for the same parameters, whose parts have states of their own."""
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
        """The first part's learning rate."""
        return self.parts()[0].lr

    @lr.setter
    def lr(self, lr: Rates) -> Never:
        raise SettingError(
            "each part has a learning rate of its own",
            got=quoted(lr),
            hint="for part in optimizer.parts(): part.lr = ...",
        )

    def rate(self) -> Tensor:
        """The learning rate of the first part's next step, a float64 scalar."""
        return self.parts()[0].rate()

    def attach(self, model: HasParameters | Iterable[Tensor]) -> Self:
        """Divide the parameters of a model, or of a list of tensors named "0", "1", ..., among the parts."""
        named = self._named(model)
        chosen: list[list[tuple[str, Tensor]]] = [[] for _ in self.optimizers]
        for name, p in named:
            fitting = (i for i, key in enumerate(self.optimizers) if _fits(key, name, p))
            if (first := next(fitting, None)) is None:
                raise SettingError(
                    f"groups: parameter {clipped(name)} belongs to no part",
                    expected=f"a name that fits one of {list_some(list(map(_label, self.optimizers)))}",
                    got=clipped(name),
                    hint='add a last part for the rest: "*": optim.Adam(1e-3)',
                )
            chosen[first].append((name, p))
        for key, own in zip(self.optimizers, chosen, strict=True):
            if not own:
                raise SettingError(
                    f"groups: no parameter belongs to {clipped(_label(key))}",
                    expected=f"some of {list_some([name for name, _ in named])}",
                    hint="a parameter belongs to the first part that it fits: put the narrower ones first",
                )
        for optimizer, own in zip(self.parts(), chosen, strict=True):
            optimizer.attach(_Part(own))
        self._members = [[name for name, _ in own] for own in chosen]
        return self

    def step(self) -> None:
        """Update the parameters that have a gradient, each by its part's optimizer.

        Raises SettingError if nothing is attached, GradientError if no parameter has a gradient.
        """
        self._check_step()
        for part in self.parts():
            if any(p.grad is not None and p.requires_grad for p in part.parameters):
                part.step()

    def counters(self) -> list[Tensor]:
        """Step counts and shared scalars of all parts."""
        return [counter for part in self.parts() for counter in part.counters()]

    def fresh(self, lr: Rates | None = None) -> Self:
        """A copy whose parts are fresh copies; SettingError for an ``lr``: each part has its own."""
        other = type(self)({key: part.fresh() for key, part in self.optimizers.items()})
        if lr is not None:
            other.lr = lr
        return other

    def fresh_for(self, steps: int, at_once: int) -> Self:
        """The same for a run of so many steps, ``at_once`` to an epoch."""
        parts = {key: part.fresh_for(steps, at_once) for key, part in self.optimizers.items()}
        return type(self)(parts)

    def named_state(self) -> Iterator[tuple[str, Tensor]]:
        """The state of each part, under "group 0.", "group 1.", ..."""
        for i, part in enumerate(self.parts()):
            yield from ((f"group {i}.{name}", tensor) for name, tensor in part.named_state())

    def describe(self) -> dict[str, object]:
        """The name and settings of each part's optimizer."""
        found = {_label(key): part.describe() for key, part in self.optimizers.items()}
        return {"name": "groups", "lr": self.parts()[0].describe()["lr"]} | found

    def __repr__(self) -> str:
        inner = ", ".join(f"{quoted(_label(key))}: {part!r}" for key, part in self.optimizers.items())
        return f"groups({{{inner}}})"


@dataclass(frozen=True)
class _Part:
    """The parameters of one part, under the names that the model gives them."""

    named: Sequence[tuple[str, Tensor]]

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter once, with its name."""
        return iter(self.named)


def _label(key: object) -> str:
    return key if isinstance(key, str) else repr(key)


def _fits(key: Key, name: str, parameter: Tensor) -> bool:
    """Whether a parameter of this name belongs to the part."""
    if isinstance(key, str):
        return fnmatchcase(name, key) or name.startswith(f"{key}.")
    if isinstance(key, Tensor):
        return key is parameter
    return any(p is parameter for _, p in key.named_parameters())
