"""The functions of ``functions.py`` as methods of tensors: ``x.exp()`` is ``cr.exp(x)``.

What a type checker and an editor know of them stands in ``methods.pyi``, written by ``python -m tests.stubs``.
"""

from chainrule import functions
from chainrule.ops.operators import Operators
from chainrule.torch_names import hinting


class Methods(Operators):
    """Arithmetic, and a method for each function whose first operand it is about."""

    __slots__ = ()


for _name, _function in functions.METHODS.items():
    setattr(Methods, _name, hinting(_function))
