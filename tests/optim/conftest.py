import numpy as np
import pytest

import chainrule as cr
from chainrule.interpret import Interpreted
from chainrule.trace import tracing


@pytest.fixture
def network():
    """Parameters of a 4-3-1 network and its loss on fixed data, far from a minimum."""

    def make(dtype=np.float64):
        rng = np.random.default_rng(7)
        x, y = rng.normal(size=(12, 4)).astype(dtype), rng.normal(size=(12, 1)).astype(dtype)
        shapes = [(4, 3), (3,), (3, 1), (1,)]
        parameters = [cr.tensor(rng.normal(size=s).astype(dtype), requires_grad=True) for s in shapes]

        def loss():
            v, a, w, b = parameters
            return cr.mean((cr.tanh(cr.tensor(x) @ v + a) @ w + b - y) ** 2)

        return parameters, loss

    return make


@pytest.fixture
def traced():
    """A step (a function without arguments) as a program that runs its graph and then updates all buffers."""

    def make(step):
        with tracing() as trace:
            step()
        program = Interpreted([], [after for _, _, after in trace.updates])

        def run():
            values = [np.array(value) for value in program()]
            for (tensor, _, _), value in zip(trace.updates, values, strict=True):
                np.copyto(tensor.data, value)

        run.trace = trace
        return run

    return make
