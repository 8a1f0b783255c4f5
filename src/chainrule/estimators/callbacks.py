"""scikit-learn's callbacks (from version 1.9 on), told of a fit and of each of its epochs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before 1.9
    CallbackSupportMixin = object

CallbackSupport: Any = CallbackSupportMixin


class Hooks:
    """Tells the callbacks set by ``set_callbacks``; costs nothing where there are none."""

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._estimator = estimator
        self._given: dict[str, Any] = {"X": X, "y": y, "metadata": metadata}
        self._wanted = bool(getattr(estimator, "_skl_callbacks", None))
        self._context: Any = None
        self._epoch: Any = None

    @contextmanager
    def fit_task(self, epochs: int) -> Iterator[None]:
        """Around a fit of at most so many epochs."""
        if not self._wanted:
            yield
            return
        self._context = self._estimator._init_callback_context(max_subtasks=epochs)
        self._context.call_on_fit_task_begin(estimator=self._estimator, **self._given)
        yield
        self._end(self._context)

    def before_epoch(self) -> None:
        """Tell that an epoch begins."""
        if self._wanted:
            self._epoch = self._context.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(estimator=self._estimator, **self._given)

    def after_epoch(self) -> bool:
        """Tell of a finished epoch; whether a callback asks to stop."""
        return self._wanted and bool(self._end(self._epoch))

    def _end(self, context: Any) -> Any:
        return context.call_on_fit_task_end(
            estimator=self._estimator,
            **self._given,
            reconstruction_attributes=self._estimator._fitted_attributes,
        )
