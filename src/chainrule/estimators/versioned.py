"""What every estimator is: one of scikit-learn's, whose pickles say which version of chainrule made them."""

from __future__ import annotations

from sklearn.base import BaseEstimator

from chainrule.pickles import stamped, unstamped


class Versioned(BaseEstimator):  # type: ignore[misc]
    """An estimator; ModelFileError where a pickle of another version is read."""

    def __getstate__(self) -> dict[str, object]:
        return stamped(super().__getstate__())

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(unstamped(state))
