import json
from pathlib import Path

import numpy as np
import pytest

from chainrule.graph import new_leaf
from chainrule.interpret import evaluate
from chainrule.tensor import Tensor
from chainrule.trace import tracing


@pytest.fixture(scope="session")
def golden():
    return json.loads((Path(__file__).parents[1] / "data" / "golden.json").read_text())


@pytest.fixture
def traced():
    """Run a function of tensors by tracing it and evaluating the graph; its assignments happen afterwards."""

    def run(function, *arrays):
        arrays = [np.asarray(array) for array in arrays]
        with tracing() as trace:
            leaves = [new_leaf(a.shape, a.dtype) for a in arrays]
            out = function(*(Tensor(None, leaf) for leaf in leaves))
            node = out.node
        after = [node for _, _, node in trace.updates]
        value, *new = evaluate([node, *after], dict(zip(leaves, arrays, strict=True)))
        for (tensor, _, _), update in zip(trace.updates, new, strict=True):
            tensor.assign(Tensor.leaf(np.array(update)))
        return value

    return run
