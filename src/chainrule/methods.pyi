# Written by `python -m tests.stubs` from functions.py: a test compares.
"""The functions as methods of tensors."""

from collections.abc import Sequence

from numpy.typing import DTypeLike

from chainrule.functions import Axis
from chainrule.ops.operators import Operators
from chainrule.tensor import Tensor, TensorLike

class Methods(Operators):
    """Arithmetic, and a method for each function whose first operand it is about."""

    def exp(self) -> Tensor:
        """Exponential of each element."""

    def expm1(self) -> Tensor:
        """exp(x) - 1, accurate for small x."""

    def log(self) -> Tensor:
        """Natural logarithm; -inf at 0, NaN below."""

    def log1p(self) -> Tensor:
        """log(1 + x), accurate for small x."""

    def sqrt(self) -> Tensor:
        """Square root; NaN below 0."""

    def square(self) -> Tensor:
        """The square of each element, x * x."""

    def abs(self) -> Tensor:
        """Absolute value; its derivative at 0 is 0."""

    def sign(self) -> Tensor:
        """The sign of each element: -1, 0 or 1; its derivative is 0."""

    def floor(self) -> Tensor:
        """Round down to the nearest integer, in the dtype of x; the derivative is 0."""

    def sin(self) -> Tensor:
        """Sine, in radians."""

    def cos(self) -> Tensor:
        """Cosine, in radians."""

    def tanh(self) -> Tensor:
        """Hyperbolic tangent; its derivative keeps full relative accuracy where tanh saturates."""

    def logistic(self) -> Tensor:
        """1 / (1 + exp(-x)), the sigmoid of the lectures."""

    def erf(self) -> Tensor:
        """The error function."""

    def relu(self) -> Tensor:
        """max(x, 0); its derivative at 0 is 0."""

    def softplus(self) -> Tensor:
        """log(1 + exp(x)), without overflow."""

    def maximum(self, y: TensorLike) -> Tensor:
        """The larger of two values, element by element; where they are equal, each gets half of the derivative."""

    def minimum(self, y: TensorLike) -> Tensor:
        """The smaller of two values, element by element; where they are equal, each gets half of the derivative."""

    def clip(self, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
        """Limit x to [min, max], either of which may be left out."""

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Sum over axes."""

    def prod(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Product over axes; the derivative is exact where elements are 0, too."""

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The largest element over axes; equal largest elements share the derivative equally."""

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The smallest element over axes; equal smallest elements share the derivative equally."""

    def logsumexp(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """log(sum(exp(x))) over axes, without overflow; -inf for an empty axis."""

    def argmax(self, axis: int | None = None) -> Tensor:
        """Index of the first largest element, along one axis or among all elements."""

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Arithmetic mean over axes; that of integers and booleans is taken in 64 bits and rounded to float32."""

    def var(self, axis: Axis = None, keepdims: bool = False, correction: float = 0.0) -> Tensor:
        """Variance over axes: the sum of squared deviations from the mean, divided by count - ``correction``."""

    def std(self, axis: Axis = None, keepdims: bool = False, correction: float = 0.0) -> Tensor:
        """Standard deviation, the square root of the variance; the derivative is 0 where all elements are equal."""

    def norm(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Euclidean norm over axes; its derivative at 0 is 0."""

    def softmax(self, axis: int = -1) -> Tensor:
        """exp(x) / sum(exp(x)) along an axis, without overflow."""

    def log_softmax(self, axis: int = -1) -> Tensor:
        """Logarithm of the softmax, exact where the softmax rounds to 0."""

    def matmul(self, y: TensorLike) -> Tensor:
        """Matrix product over the last two axes; leading axes broadcast, one axis alone is a vector."""

    def reshape(self, shape: int | Sequence[int], *more: int) -> Tensor:
        """The same elements in another shape; one length may be -1, and is worked out from the others."""

    def transpose(self, axes: Sequence[int] | None = None) -> Tensor:
        """Permute the axes; without an order they are reversed."""

    def broadcast_to(self, shape: Sequence[int]) -> Tensor:
        """Repeat x along new leading axes and along axes of length 1, without a copy."""

    def expand_dims(self, axis: int | tuple[int, ...]) -> Tensor:
        """Insert axes of length 1 at the given positions of the result."""

    def squeeze(self, axis: Axis = None) -> Tensor:
        """Remove axes of length 1: the given ones, or all."""

    def astype(self, dtype: DTypeLike) -> Tensor:
        """Convert x to another dtype."""

    def flip(self, axis: Axis = None) -> Tensor:
        """Reverse the order of the elements along axes, along all of them by default."""

    def take(self, indices: TensorLike, axis: int = 0) -> Tensor:
        """Select elements at integer indices along an axis; negative indices count from the end."""
