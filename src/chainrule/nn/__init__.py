"""Networks: modules, layers, activations, initialisers, losses and penalties."""

from chainrule.nn import activations, initialisers
from chainrule.nn.activations import (
    ELU,
    GELU,
    Identity,
    LeakyReLU,
    Logistic,
    ReLU,
    Sigmoid,
    Sign,
    SiLU,
    Softmax,
    Softplus,
    Step,
    Tanh,
    elu,
    gelu,
    leaky_relu,
    silu,
    step,
)
from chainrule.nn.dropout import Dropout, WeightDropout
from chainrule.nn.layers import Flatten, Linear, Sequential
from chainrule.nn.mlp import MLP
from chainrule.nn.module import (
    Buffer,
    Module,
    Parameter,
    flatten_parameters,
    unflatten_parameters,
)
from chainrule.nn.normalisation import BatchNorm1d

__all__ = [
    "ELU",
    "GELU",
    "MLP",
    "BatchNorm1d",
    "Buffer",
    "Dropout",
    "Flatten",
    "Identity",
    "LeakyReLU",
    "Linear",
    "Logistic",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Sign",
    "Softmax",
    "Softplus",
    "Step",
    "Tanh",
    "WeightDropout",
    "activations",
    "elu",
    "flatten_parameters",
    "gelu",
    "initialisers",
    "leaky_relu",
    "silu",
    "step",
    "unflatten_parameters",
]
