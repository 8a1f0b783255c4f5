"""scikit-learn's callbacks (version 1.9 and later): they are told of a fit and of each of its epochs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before 1.9
    CallbackSupportMixin = object

CallbackSupport: type = CallbackSupportMixin


class Context(Protocol):
    """scikit-learn's context of a fit, or of an epoch of it."""

    def subcontext(self, *, task_name: str) -> Context:
        """That of a part of the task."""

    def call_on_fit_task_begin(self, *, estimator: object, **given: object) -> None:
        """Tell all callbacks that the task begins."""

    def call_on_fit_task_end(
        self, *, estimator: object, reconstruction_attributes: object, **given: object
    ) -> object:
        """Tell all callbacks that the task has ended; true where one of them asks to stop."""


class Observed(Protocol):
    """An estimator that callbacks may be set for."""

    def _init_callback_context(self, *, max_subtasks: int) -> Context: ...
    def _fitted_attributes(self) -> dict[str, object]: ...


class Hooks:
    """Tells the callbacks set by ``set_callbacks``; costs nothing where there are none."""

    def __init__(self, estimator: Observed, X: object, y: object, sample_weight: object) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._estimator = estimator
        self._given = {"X": X, "y": y, "metadata": metadata}
        self.wanted = bool(getattr(estimator, "_skl_callbacks", None))
        self._context: Context | None = None
        self._epoch: Context | None = None

    @contextmanager
    def fit_task(self, epochs: int) -> Iterator[None]:
        """Tell the callbacks of the fit, of at most so many epochs, that runs in this block."""
        if not self.wanted:
            yield
            return
        self._context = self._estimator._init_callback_context(max_subtasks=epochs)
        self._context.call_on_fit_task_begin(estimator=self._estimator, **self._given)
        yield
        self._end(self._context)

    def before_epoch(self) -> None:
        """Tell that an epoch begins."""
        if self._context is not None:
            self._epoch = self._context.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(estimator=self._estimator, **self._given)

    def after_epoch(self) -> bool:
        """Tell of a finished epoch; whether a callback asks to stop."""
        return self._epoch is not None and bool(self._end(self._epoch))

    def _end(self, context: Context) -> object:
        return context.call_on_fit_task_end(
            estimator=self._estimator,
            **self._given,
            reconstruction_attributes=self._estimator._fitted_attributes,
        )
