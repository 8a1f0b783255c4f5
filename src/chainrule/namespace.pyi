# Written by `python -m tests.stubs` from functions.py: a test compares.
"""The functions as users call them."""

from collections.abc import Sequence

from numpy.typing import DTypeLike

from chainrule.functions import Axis
from chainrule.tensor import Tensor, TensorLike

__all__ = [
    "abs",
    "argmax",
    "astype",
    "broadcast_to",
    "clip",
    "concat",
    "cos",
    "equal",
    "erf",
    "exp",
    "expand_dims",
    "expm1",
    "flip",
    "floor",
    "log",
    "log1p",
    "log_softmax",
    "logistic",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "norm",
    "not_equal",
    "one_hot",
    "pad",
    "prod",
    "relu",
    "reshape",
    "sign",
    "sin",
    "softmax",
    "softplus",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sum",
    "take",
    "tanh",
    "transpose",
    "var",
    "where",
]

def exp(x: TensorLike) -> Tensor:
    """Exponential of each element."""

def expm1(x: TensorLike) -> Tensor:
    """exp(x) - 1, accurate for small x."""

def log(x: TensorLike) -> Tensor:
    """Natural logarithm; -inf at 0, NaN below."""

def log1p(x: TensorLike) -> Tensor:
    """log(1 + x), accurate for small x."""

def sqrt(x: TensorLike) -> Tensor:
    """Square root; NaN below 0."""

def square(x: TensorLike) -> Tensor:
    """The square of each element, x * x."""

def abs(x: TensorLike) -> Tensor:
    """Absolute value; its derivative at 0 is 0."""

def sign(x: TensorLike) -> Tensor:
    """The sign of each element: -1, 0 or 1; its derivative is 0."""

def floor(x: TensorLike) -> Tensor:
    """Round down to the nearest integer, in the dtype of x; the derivative is 0."""

def sin(x: TensorLike) -> Tensor:
    """Sine, in radians."""

def cos(x: TensorLike) -> Tensor:
    """Cosine, in radians."""

def tanh(x: TensorLike) -> Tensor:
    """Hyperbolic tangent; its derivative keeps full relative accuracy where tanh saturates."""

def logistic(x: TensorLike) -> Tensor:
    """1 / (1 + exp(-x)), the sigmoid of the lectures."""

def erf(x: TensorLike) -> Tensor:
    """The error function."""

def relu(x: TensorLike) -> Tensor:
    """max(x, 0); its derivative at 0 is 0."""

def softplus(x: TensorLike) -> Tensor:
    """log(1 + exp(x)), without overflow."""

def maximum(x: TensorLike, y: TensorLike) -> Tensor:
    """The larger of two values, element by element; where they are equal, each gets half of the derivative."""

def minimum(x: TensorLike, y: TensorLike) -> Tensor:
    """The smaller of two values, element by element; where they are equal, each gets half of the derivative."""

def where(condition: TensorLike, x: TensorLike, y: TensorLike) -> Tensor:
    """Choose from x where the boolean condition is true, from y elsewhere."""

def clip(x: TensorLike, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
    """Limit x to [min, max], either of which may be left out."""

def equal(x: TensorLike, y: TensorLike) -> Tensor:
    """Compare element by element: True where x equals y. Truth values have no derivative."""

def not_equal(x: TensorLike, y: TensorLike) -> Tensor:
    """Compare element by element: True where x differs from y. Truth values have no derivative."""

def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over axes."""

def prod(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Product over axes; the derivative is exact where elements are 0, too."""

def max(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element over axes; equal largest elements share the derivative equally."""

def min(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element over axes; equal smallest elements share the derivative equally."""

def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over axes, without overflow; -inf for an empty axis."""

def argmax(x: TensorLike, axis: int | None = None) -> Tensor:
    """Index of the first largest element, along one axis or among all elements."""

def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean over axes; that of integers and booleans is taken in 64 bits and rounded to float32."""

def var(x: TensorLike, axis: Axis = None, keepdims: bool = False, correction: float = 0.0) -> Tensor:
    """Variance over axes: the sum of squared deviations from the mean, divided by count - ``correction``."""

def std(x: TensorLike, axis: Axis = None, keepdims: bool = False, correction: float = 0.0) -> Tensor:
    """Standard deviation, the square root of the variance; the derivative is 0 where all elements are equal."""

def norm(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Euclidean norm over axes; its derivative at 0 is 0."""

def softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along an axis, without overflow."""

def log_softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """Logarithm of the softmax, exact where the softmax rounds to 0."""

def matmul(x: TensorLike, y: TensorLike) -> Tensor:
    """Matrix product over the last two axes; leading axes broadcast, one axis alone is a vector."""

def reshape(x: TensorLike, shape: int | Sequence[int], *more: int) -> Tensor:
    """The same elements in another shape; one length may be -1, and is worked out from the others."""

def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """Permute the axes; without an order they are reversed."""

def broadcast_to(x: TensorLike, shape: Sequence[int]) -> Tensor:
    """Repeat x along new leading axes and along axes of length 1, without a copy."""

def expand_dims(x: TensorLike, axis: int | tuple[int, ...]) -> Tensor:
    """Insert axes of length 1 at the given positions of the result."""

def squeeze(x: TensorLike, axis: Axis = None) -> Tensor:
    """Remove axes of length 1: the given ones, or all."""

def concat(xs: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Join arrays along an axis that they have."""

def stack(xs: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Join arrays of one shape along a new axis."""

def pad(x: TensorLike, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """Pad x with ``value``; ``widths`` has a pair (before, after) for each axis."""

def astype(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """Convert x to another dtype."""

def flip(x: TensorLike, axis: Axis = None) -> Tensor:
    """Reverse the order of the elements along axes, along all of them by default."""

def take(x: TensorLike, indices: TensorLike, axis: int = 0) -> Tensor:
    """Select elements at integer indices along an axis; negative indices count from the end."""

def one_hot(labels: TensorLike, classes: int, dtype: DTypeLike = ...) -> Tensor:
    """Labels [...] as indicator rows [..., classes]: 1 at the label, 0 elsewhere."""
