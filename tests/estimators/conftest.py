"""Small tables, and the warning that a test's few epochs call forth."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris


def pytest_collection_modifyitems(items):
    """max_iter is small in most tests: that the last epoch was reached is no news."""
    for item in items:
        if "tests/estimators" in item.nodeid.replace("\\", "/"):
            item.add_marker(
                pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"), append=False
            )


@pytest.fixture(scope="session")
def iris():
    """Standardised: [150, 4], 3 classes."""
    X, y = load_iris(return_X_y=True)
    return (X - X.mean(0)) / X.std(0), y


@pytest.fixture(scope="session")
def diabetes():
    """Standardised: [442, 10]."""
    X, y = load_diabetes(return_X_y=True)
    return (X - X.mean(0)) / X.std(0), (y - y.mean()) / np.std(y)
