"""The functions of ``functions.py`` as users call them: arrays and numbers are welcome where a tensor is.

What a type checker and an editor know of them stands in ``namespace.pyi``, written by ``python -m tests.stubs``.
"""

from collections.abc import Callable
from functools import wraps

from chainrule import functions
from chainrule.tensor import Tensor, as_tensor
from chainrule.torch_names import hinting

_JOINS = (functions.concat, functions.stack)


def _lifted(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same function, which makes tensors of what it is given first."""

    hinted = hinting(function)

    @wraps(function)
    def call(x: object, *args: object, **kwargs: object) -> Tensor:
        if isinstance(x, list | tuple) and function in _JOINS:
            x = [as_tensor(item) for item in x]
        elif isinstance(x, list | tuple) or not any(isinstance(value, Tensor) for value in (x, *args)):
            x = as_tensor(x)
        return hinted(x, *args, **kwargs)

    call.__module__ = __name__  # where a pickle finds it
    return call


globals().update({name: _lifted(function) for name, function in functions.PUBLIC.items()})
__all__ = [*functions.PUBLIC]  # noqa: PLE0604 - names
