"""L-BFGS for small problems on the full batch: SciPy's L-BFGS-B on the flat vector of all parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Never, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from chainrule.errors import GradientError, SettingError
from chainrule.ops.record import Array
from chainrule.optim.settings import check_count, check_number, keep_checked

MOST_ITERATIONS = 2**53  # a float cannot hold every larger count
MOST_PAIRS = 10_000  # of so many, all but the last few change nothing
EPS = float(np.finfo(np.float64).eps)

#: maps theta [parameters] to the loss and its gradient [parameters]
ValueAndGradient = Callable[[Array], tuple[float, Array]]
#: called after each iteration with (iteration, theta, loss); a true result ends the search
Callback = Callable[[int, Array, float], object]


@dataclass(frozen=True)
class LBFGSResult:
    """Where a search ended: ``theta`` [parameters], its ``loss``, and in ``message`` why the search ended there.

    ``gradient_norm`` is the largest absolute component of the gradient. ``converged`` says that a critical point
    was reached as closely as ``tolerance``, or float64, allows; it need not be a minimum.

    >>> from chainrule import optim
    >>> result = optim.LBFGS().minimise(lambda theta: (((theta - 3) ** 2).sum(), 2 * (theta - 3)), [0.0, 9.0])
    >>> result.theta.round(6).tolist(), result.converged
    ([3.0, 3.0], True)

    Lectures: A10.
    """

    theta: Array
    loss: float
    gradient_norm: float
    iterations: int
    evaluations: int
    converged: bool
    message: str


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory quasi-Newton method with a line search (Liu & Nocedal, 1989), for ``cr.fit``.

    At most ``max_iterations`` iterations; ``history`` is the number of past steps and gradient changes that model the
    curvature. The search ends where no component of the gradient is larger than ``tolerance``. It evaluates the loss of
    all rows at once, so there are no minibatches and no ``step()``. Raises SettingError for settings out of range.

    >>> from chainrule import optim
    >>> result = optim.LBFGS().minimise(lambda theta: (((theta - 3) ** 2).sum(), 2 * (theta - 3)), [0.0, 9.0])
    >>> result.converged, result.theta.round(6)
    (True, array([3., 3.]))
    """

    max_iterations: int = 200
    history: int = 10
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        keep_checked(
            self,
            max_iterations=check_count("max_iterations", self.max_iterations, most=MOST_ITERATIONS),
            history=check_count("history", self.history, most=MOST_PAIRS),
            tolerance=check_number("tolerance", self.tolerance, least=0),
        )

    def attach(self, model: object) -> Self:
        """Do nothing: ``cr.fit`` passes the parameters as one vector."""
        return self

    def step(self) -> Never:
        """Raise SettingError: LBFGS has no single steps."""
        raise SettingError(
            "LBFGS has no step(): each of its iterations evaluates the loss of all rows several times",
            hint="cr.fit(model, (X, y), loss=..., optimizer=optim.LBFGS())",
        )

    def minimise(
        self, value_and_gradient: ValueAndGradient, theta0: ArrayLike, callback: Callback | None = None
    ) -> LBFGSResult:
        """Search for a critical point from ``theta0`` [parameters], in float64.

        Raises GradientError if the loss or its gradient at theta0 is not finite, or their shapes do not fit.
        """
        from scipy.optimize import minimize

        search = _Search(value_and_gradient, callback)
        options = {
            "maxiter": self.max_iterations,
            "maxfun": 20 * self.max_iterations + 20,
            "maxcor": self.history,
            "gtol": self.tolerance,
            "ftol": 0.0,  # as long as the loss falls at all
            "maxls": 50,
        }
        with _one_thread_in_scipy():
            found = minimize(
                search.evaluate,
                search.begin(np.array(theta0, np.float64)),
                method="L-BFGS-B",
                jac=True,
                callback=search.after_iteration,
                options=options,
            )
        best = search.best if found.status else _Point(found.x, float(found.fun), found.jac)
        steepest = float(np.abs(best.gradient).max(initial=0.0))
        # what the next step can gain, by the curvature found: below rounding, there is no seeing any further
        gain = 0.5 * best.gradient @ found.hess_inv.matvec(best.gradient)
        exhausted = bool(gain <= 64 * EPS * max(abs(best.loss), 1.0))
        return LBFGSResult(
            best.theta,
            best.loss,
            steepest,
            int(found.nit),
            search.evaluations,
            steepest <= self.tolerance or exhausted,
            self._message(steepest, exhausted, search.stopped, int(found.nit), found.status),
        )

    def _message(self, steepest: float, exhausted: bool, stopped: bool, iterations: int, status: int) -> str:
        if steepest <= self.tolerance:
            return f"critical point reached: no component of the gradient is larger than {self.tolerance:g}"
        if exhausted:
            return "critical point reached: what a further step would change is lost in rounding"
        if stopped:
            return f"stopped by the callback after {iterations} iterations"
        if status == 1:
            return f"stopped after {iterations} iterations, before a critical point"
        return "the line search found no lower loss: the gradient may be wrong, or the loss not smooth here"

    def describe(self) -> dict[str, object]:
        """Its name and settings, for reports and checkpoints."""
        return {"name": "LBFGS", **asdict(self)}


@contextmanager
def _one_thread_in_scipy() -> Iterator[None]:
    """SciPy's own BLAS on one thread; NumPy's, which evaluates the loss, keeps its threads.

    Its matrices here are as small as the history, and BLAS threads that wait for work keep their processor.
    """
    from threadpoolctl import ThreadpoolController

    libraries = ThreadpoolController()
    files = [library.filepath for library in libraries.lib_controllers]
    own = [file for file in files if any("scipy" in part for part in Path(file).parts[-3:-1])]
    with libraries.select(filepath=own).limit(limits=1):
        yield


@dataclass(frozen=True)
class _Point:
    theta: Array
    loss: float
    gradient: Array

    @classmethod
    def of(cls, theta: Array, found: tuple[float, Array]) -> _Point:
        """A point whose arrays nobody writes to any more."""
        return cls(theta.copy(), float(found[0]), np.array(found[1], np.float64))

    def is_finite(self) -> bool:
        return bool(np.isfinite(self.loss) and np.isfinite(self.gradient).all())


class Iteration(Protocol):
    """What SciPy tells of an iteration."""

    x: Array
    fun: float


class _Search:
    """Counts evaluations and keeps the best point seen, whatever the line search does afterwards."""

    def __init__(self, value_and_gradient: ValueAndGradient, callback: Callback | None) -> None:
        self.value_and_gradient, self.callback = value_and_gradient, callback
        self.iterations = self.evaluations = 0
        self.stopped = False

    def begin(self, theta: Array) -> Array:
        """Evaluate the first point, which must be sound."""
        self.evaluations += 1
        self.best = self.first = first = _Point.of(theta, self.value_and_gradient(theta))
        if first.gradient.shape != theta.shape:
            raise GradientError(
                "the gradient's shape must be theta's", expected=theta.shape, got=first.gradient.shape
            )
        if not first.is_finite():
            raise GradientError(
                "the loss or its gradient is not finite at the first point",
                got=f"loss {first.loss}",
                hint="look for non-finite values in X and y, or start from smaller weights",
            )
        return theta

    def evaluate(self, theta: Array) -> tuple[float, Array]:
        """Loss and gradient as the line search is to see them."""
        if self.evaluations == 1 and np.array_equal(theta, self.first.theta):
            return self.first.loss, self.first.gradient
        self.evaluations += 1
        point = _Point.of(theta, self.value_and_gradient(theta))
        if not point.is_finite():  # a wall, from which the line search turns back
            return self.first.loss, np.zeros_like(theta)
        if point.loss < self.best.loss:
            self.best = point
        return point.loss, point.gradient

    def after_iteration(self, intermediate_result: Iteration) -> None:
        """Tell the callback (SciPy asks for this parameter name)."""
        self.iterations += 1
        if self.callback and self.callback(
            self.iterations, intermediate_result.x.copy(), float(intermediate_result.fun)
        ):
            self.stopped = True
            raise StopIteration
