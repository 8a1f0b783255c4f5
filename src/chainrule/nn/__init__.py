"""Networks: modules, layers, losses, initialisers."""

from chainrule.nn.module import (
    Buffer,
    Module,
    Parameter,
    flatten_parameters,
    unflatten_parameters,
)

__all__ = ["Buffer", "Module", "Parameter", "flatten_parameters", "unflatten_parameters"]
