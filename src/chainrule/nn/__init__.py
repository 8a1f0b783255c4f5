"""Networks: modules, layers, activations, initialisers, losses and penalties."""

from typing import TYPE_CHECKING

from chainrule.nn import activations, initialisers
from chainrule.nn.absorbed_loss import AbsorbedLoss
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
from chainrule.nn.as_function import as_function
from chainrule.nn.averaged import Averaged
from chainrule.nn.category_embedding import CategoryEmbedding
from chainrule.nn.dropout import Dropout, WeightDropout
from chainrule.nn.embedding import Embedding
from chainrule.nn.features import PolynomialFeatures, polynomial_kernel
from chainrule.nn.focal import binary_focal_cross_entropy, focal_cross_entropy
from chainrule.nn.graph_network import GraphNetwork
from chainrule.nn.layers import Flatten, Linear, Sequential
from chainrule.nn.losses import (
    absolute_error,
    binary_cross_entropy,
    cross_entropy,
    half_squared_error,
    huber,
    log_loss,
    squared_error,
    with_reference_class,
    zero_one,
)
from chainrule.nn.masked import MaskedLinear, group_mask
from chainrule.nn.mlp import MLP
from chainrule.nn.module import (
    Buffer,
    Module,
    Parameter,
    flatten_parameters,
    unflatten_parameters,
)
from chainrule.nn.normalisation import BatchNorm1d
from chainrule.nn.number_embedding import NumberEmbedding
from chainrule.nn.penalties import Penalty, l1, l2
from chainrule.nn.reference_class import ReferenceClass
from chainrule.nn.regression_losses import poisson, quantile
from chainrule.nn.summaries import Summary, summary
from chainrule.nn.targets import check_binary_targets, check_labels

if not TYPE_CHECKING:
    from chainrule.torch_names import missing

    def __getattr__(name: str) -> object:
        """Say what is in place of one of PyTorch's names."""
        raise missing(__name__, name)


__all__ = [
    "ELU",
    "GELU",
    "MLP",
    "AbsorbedLoss",
    "Averaged",
    "BatchNorm1d",
    "Buffer",
    "CategoryEmbedding",
    "Dropout",
    "Embedding",
    "Flatten",
    "GraphNetwork",
    "Identity",
    "LeakyReLU",
    "Linear",
    "Logistic",
    "MaskedLinear",
    "Module",
    "NumberEmbedding",
    "Parameter",
    "Penalty",
    "PolynomialFeatures",
    "ReLU",
    "ReferenceClass",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Sign",
    "Softmax",
    "Softplus",
    "Step",
    "Summary",
    "Tanh",
    "WeightDropout",
    "absolute_error",
    "activations",
    "as_function",
    "binary_cross_entropy",
    "binary_focal_cross_entropy",
    "check_binary_targets",
    "check_labels",
    "cross_entropy",
    "elu",
    "flatten_parameters",
    "focal_cross_entropy",
    "gelu",
    "group_mask",
    "half_squared_error",
    "huber",
    "initialisers",
    "l1",
    "l2",
    "leaky_relu",
    "log_loss",
    "poisson",
    "polynomial_kernel",
    "quantile",
    "silu",
    "squared_error",
    "step",
    "summary",
    "unflatten_parameters",
    "with_reference_class",
    "zero_one",
]
