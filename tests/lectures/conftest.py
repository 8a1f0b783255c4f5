"""For the lectures' rows: the worked numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

FILE = Path(__file__).parents[1] / "data" / "golden.json"


def arrays(value: Any) -> Any:
    """Dicts as namespaces, lists of numbers as float64 arrays, everything else as it is."""
    if isinstance(value, dict):
        return SimpleNamespace(**{key: arrays(item) for key, item in value.items()})
    if isinstance(value, list):
        if value and isinstance(value[0], dict):
            return [arrays(item) for item in value]
        try:
            return np.array(value, np.float64)
        except ValueError:
            return value
    return value


@pytest.fixture
def golden() -> Callable[[str], SimpleNamespace]:
    """``golden("A_relu_ramp")``: the case's ``.inputs`` and ``.expected``, lists as float64 arrays."""
    cases = json.loads(FILE.read_text())
    return lambda name: arrays(cases[name])
