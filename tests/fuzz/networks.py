"""Random networks, trained: interpreted and compiled, alone and among replicas, by one thread and by two."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from tests.fuzz.checks import MismatchError
from tests.fuzz.programs import PREAMBLE

import chainrule as cr
from chainrule import nn

WIDTHS = [4, 1, 2, 3, 8, 16, 17, 33]
ROWS = [40, 7, 16, 33, 65]
BATCHES = [16, 8, 5, 64, 1]
ACTIVATIONS = ["cr.tanh", "cr.relu", "nn.silu", "cr.logistic", "cr.softplus"]
#: forward passes of a block: h is its input, {l} and {m} are layers of the input's width, {n} one of another width
BLOCKS = {
    "layer": "{a}({n}(h))",
    "residual": "h + {a}({l}(h))",
    "residual, activated": "{a}(h + {l}(h))",
    "two layers around": "h + {m}({a}({l}(h)))",
    "gate": "cr.logistic({l}(h)) * h + {a}({m}(h))",
    "one layer twice": "{l}({a}({l}(h)))",
    "with the mean": "h - cr.mean(h, axis=1, keepdims=True) + {a}({l}(h))",
    "softmax": "cr.softmax({l}(h)) * h",
    "norm": "{norm}(h)",
    "residual norm": "h + {a}({norm}(h))",
    "dropout": "{drop}(h)",
    "skip": "cr.concat([h, x], axis=1)",
    "numbers": "{num}(h)",
    "bins": "h + {a}({bins}(h))",
    "category": "h + {cat}(cr.floor(2 * x[:, 0]))",
    "attention over the rows": "h + cr.softmax(h @ h.T * 0.1) @ {l}(h)",
}
OPTIMIZERS = [
    "optim.SGD(0.02)",
    "optim.SGD(0.02, momentum=0.9)",
    "optim.SGD(0.02, momentum=0.9, nesterov=True, weight_decay=0.01)",
    "optim.Adam(0.01)",
    "optim.AdamW(0.01)",
    "optim.NAdam(0.01)",
    "optim.RMSprop(0.01)",
    "optim.Adagrad(0.02)",
    "optim.Adam(optim.CosineDecay(0.01, 12))",
]


class Network(NamedTuple):
    """A training as drawn."""

    blocks: list[tuple[str, str, int]]  # kind, activation, width
    features: int
    rows: int
    batch: int
    classes: bool
    optimizer: str
    penalty: bool
    clip: bool
    double: bool
    seed: int

    @property
    def dtype(self) -> str:
        return "float64" if self.double else "float32"

    def __str__(self) -> str:
        layers, lines, width, dtype = [], [], self.features, f"dtype=np.{self.dtype}"
        for i, (kind, activation, other) in enumerate(self.blocks):
            formula, size = BLOCKS[kind], width
            made = {
                "n": f"nn.Linear({width}, {other}, {dtype})",
                "l": f"nn.Linear({width}, {width}, {dtype})",
                "m": f"nn.Linear({width}, {width}, {dtype})",
                "norm": f"nn.BatchNorm1d({width}, {dtype})",
                "drop": "nn.Dropout(0.2)",
                "num": f"nn.NumberEmbedding({width}, size=2, {dtype})",
                "bins": f"nn.NumberEmbedding({width}, 'piecewise', edges=[[-1, 0, 1, 2]] * {width}, size=1, "
                f"keep=False, {dtype})",
                "cat": f"nn.Embedding(3, {width}, unseen='mean', {dtype})",
            }
            layers += [
                f"self.{name}{i} = {value}" for name, value in made.items() if f"{{{name}}}" in formula
            ]
            formula = formula.format(a=activation, **{name: f"self.{name}{i}" for name in made})
            lines.append(f"h = {formula}")
            width = {"layer": other, "skip": size + self.features, "numbers": 3 * size}.get(kind, size)
        outputs = 3 if self.classes else 2
        layers.append(f"self.last = nn.Linear({width}, {outputs}, {dtype})")
        indent = "\n        "
        return (
            f"{PREAMBLE}from chainrule import optim\n\n"
            f"class Net(nn.Module):\n    def __init__(self):{indent}{indent.join(layers)}\n\n"
            f"    def forward(self, x):{indent}h = x{indent}{indent.join(lines)}{indent}return self.last(h)\n\n"
            f"x = np.asarray(rng({self.seed}).normal(size=({self.rows}, {self.features})), np.{self.dtype})\n"
            + (
                f"y = np.arange({self.rows}) % 3\nloss = nn.cross_entropy\n"
                if self.classes
                else f"y = np.asarray(np.tanh(x[:, :1] * [1, -2]), np.{self.dtype})\nloss = nn.squared_error\n"
            )
            + f"optimizer = {self.optimizer}\n"
            f"settings = dict(epochs=3, batch_size={self.batch}, penalty={'nn.l2(0.01)' if self.penalty else None}, "
            f"clip_norm={0.5 if self.clip else None})\n"
        )

    def load(self) -> dict[str, Any]:
        """What the text defines."""
        found: dict[str, Any] = {}
        exec(compile(str(self), "<network>", "exec"), found)
        return found


def networks() -> st.SearchStrategy[Network]:
    """Any training."""
    block = st.tuples(st.sampled_from(list(BLOCKS)), st.sampled_from(ACTIVATIONS), st.sampled_from(WIDTHS))
    return st.builds(
        Network,
        st.lists(block, min_size=1, max_size=5),
        st.sampled_from(WIDTHS),
        st.sampled_from(ROWS),
        st.sampled_from(BATCHES),
        st.booleans(),
        st.sampled_from(OPTIMIZERS),
        st.booleans(),
        st.booleans(),
        st.sampled_from([True, True, False]),
        st.integers(0, 11),
    )


def train(network: Network, index: int | None = None, **settings: Any) -> tuple[nn.Module, Any]:
    """A fresh copy of the network, trained; ``index``: from the start that this replica has, with rows in order."""
    found = network.load()
    model = found["Net"]()
    model.initialise(network.seed, index or 0)
    given = {
        "seed": network.seed,
        "progress": False,
        "shuffle": index is None,
        "threads": 1,
        "nonfinite": "ignore",
    }
    history = cr.fit(
        model,
        (found["x"], found["y"]),
        loss=found["loss"],
        optimizer=found["optimizer"],
        **(found["settings"] | given | settings),
    )
    return model, history


def check_network(network: Network) -> None:
    """Raise MismatchError where two ways to train the network disagree."""
    slow, by_interpreter = train(network, executor="interpreted")
    fast, by_machine = train(network)
    # in float32 what is rounded otherwise grows from step to step, so only the first epoch is compared
    tolerance, epochs = (1e-7, None) if network.double else (2e-2, 1)
    _near("loss", by_machine.loss[:, :epochs], by_interpreter.loss[:, :epochs], tolerance)
    if network.double:
        for name, value in slow.state_dict().items():
            _near(name, np.asarray(fast.state_dict()[name]), np.asarray(value), 1e-5)
    _, alone = train(network, 0)
    _, both = train(network, 0, restarts=2)
    _, by_two = train(network, 0, restarts=2, threads=2)
    if alone.loss.tobytes() != both.loss[:1].tobytes():
        raise MismatchError(f"a replica is not what it is alone: {both.loss[0]} instead of {alone.loss[0]}")
    if both.loss.tobytes() != by_two.loss.tobytes():
        raise MismatchError(f"two threads change bits: {by_two.loss} instead of {both.loss}")


def _near(name: str, got: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    scale = max(1.0, float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)))
    if not np.allclose(got, wanted, rtol=0, atol=tolerance * scale, equal_nan=True):
        raise MismatchError(f"{name}: compiled\n{got}\ninterpreted\n{wanted}")
