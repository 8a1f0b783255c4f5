"""L-BFGS for small problems with full batches: SciPy's L-BFGS-B on the flat vector of all parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Never, Self

import numpy as np

from chainrule.errors import GradientError, SettingError
from chainrule.ops.record import Array
from chainrule.optim.settings import check_count, check_number

EPS = float(np.finfo(np.float64).eps)

#: theta [parameters] to its loss and gradient [parameters]
ValueAndGradient = Callable[[Array], tuple[float, Array]]
#: called after each iteration with (iteration, theta, loss); a true result ends the search
Callback = Callable[[int, Array, float], object]


@dataclass(frozen=True)
class LBFGSResult:
    """Where the search ended: the parameters of the lowest loss, and why it ended there.

    ``converged`` says that a critical point was reached as closely as ``tolerance``, or as float64, allows;
    it need not be a minimum (row A10).

    >>> from chainrule import optim
    >>> result = optim.LBFGS().minimise(lambda theta: (((theta - 3) ** 2).sum(), 2 * (theta - 3)), [0.0, 9.0])
    >>> result.theta.round(6).tolist(), result.converged
    ([3.0, 3.0], True)
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
    """Limited-memory quasi-Newton steps with a line search (Liu & Nocedal, 1989), for ``cr.fit``.

    ``max_iterations`` bounds the iterations, ``history`` the remembered pairs of steps and gradient changes.
    The search ends where no component of the gradient is larger than ``tolerance``. It needs the loss of all
    rows at once, hence no minibatches and no ``step()``. Raises SettingError for settings out of range.

    >>> from chainrule import optim
    >>> result = optim.LBFGS().minimise(lambda theta: (((theta - 3) ** 2).sum(), 2 * (theta - 3)), [0.0, 9.0])
    >>> result.converged, result.theta.round(6)
    (True, array([3., 3.]))
    """

    max_iterations: int = 200
    history: int = 10
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        check_count("max_iterations", self.max_iterations)
        check_count("history", self.history)
        check_number("tolerance", self.tolerance, least=0)

    def attach(self, model: Any) -> Self:
        """Nothing to keep: ``cr.fit`` passes the parameters as one vector."""
        return self

    def step(self) -> Never:
        """LBFGS has no single steps: raises SettingError."""
        raise SettingError(
            "LBFGS has no single steps: its line search evaluates the loss of all rows several times",
            hint="cr.fit(model, (X, y), loss=..., optimizer=optim.LBFGS())",
        )

    def minimise(
        self, value_and_gradient: ValueAndGradient, theta0: Any, callback: Callback | None = None
    ) -> LBFGSResult:
        """Search for a critical point from ``theta0`` [parameters], in float64.

        Raises GradientError where loss or gradient at theta0 are not finite, or the shapes differ.
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
            self._message(steepest, exhausted, search.stopped, found),
        )

    def _message(self, steepest: float, exhausted: bool, stopped: bool, found: Any) -> str:
        if steepest <= self.tolerance:
            return f"critical point reached: no component of the gradient is larger than {self.tolerance:g}"
        if exhausted:
            return "critical point reached: what a further step would change is lost in rounding"
        if stopped:
            return f"stopped by the callback after {found.nit} iterations"
        if found.status == 1:
            return f"stopped after {found.nit} iterations, before a critical point"
        return "the line search found no lower loss: the gradient may be wrong, or the loss not smooth here"

    def describe(self) -> dict[str, Any]:
        """Name and settings, for reports and checkpoints."""
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

    def is_finite(self) -> bool:
        return bool(np.isfinite(self.loss) and np.isfinite(self.gradient).all())


class _Search:
    """Counts evaluations and keeps the best point seen, whatever the line search does afterwards."""

    def __init__(self, value_and_gradient: ValueAndGradient, callback: Callback | None) -> None:
        self.value_and_gradient, self.callback = value_and_gradient, callback
        self.iterations = self.evaluations = 0
        self.stopped = False

    def begin(self, theta: Array) -> Array:
        """Evaluate the first point, which must be sound."""
        self.best = self.first = first = self._at(theta)
        if first.gradient.shape != theta.shape:
            raise GradientError(
                "the gradient has another shape than theta", expected=theta.shape, got=first.gradient.shape
            )
        if not first.is_finite():
            raise GradientError(
                "loss or gradient are not finite at the first point",
                got=f"loss {first.loss}",
                hint="look for non-finite values in X and y, or start from smaller weights",
            )
        return theta

    def evaluate(self, theta: Array) -> tuple[float, Array]:
        """Loss and gradient as the line search is to see them."""
        if self.evaluations == 1 and np.array_equal(theta, self.first.theta):
            return self.first.loss, self.first.gradient
        point = self._at(theta)
        if not point.is_finite():  # a wall, from which the line search turns back
            return self.first.loss, np.zeros_like(theta)
        if point.loss < self.best.loss:
            self.best = point
        return point.loss, point.gradient

    def _at(self, theta: Array) -> _Point:
        self.evaluations += 1
        value, gradient = self.value_and_gradient(theta)
        return _Point(theta.copy(), float(value), np.array(gradient, np.float64))

    def after_iteration(self, intermediate_result: Any) -> None:
        """Tell the callback (SciPy asks for this parameter name)."""
        self.iterations += 1
        if self.callback and self.callback(
            self.iterations, intermediate_result.x.copy(), float(intermediate_result.fun)
        ):
            self.stopped = True
            raise StopIteration
