"""What a user has in modules of their own: layers, functions, and work for other processes."""

from __future__ import annotations

import pickle

import numpy as np

import chainrule as cr
from chainrule import nn, optim


def back(thing):
    return thing


def predicted(model, x):
    return model.predict(x)


def trained(model, rows, seed):
    optimizer = optim.Adam(optim.CosineDecay(0.05, steps=20), weight_decay=1e-3)
    history = cr.fit(
        model, rows, loss=nn.squared_error, optimizer=optimizer, epochs=3, batch_size=8, seed=seed
    )
    return model, history


def steps(model, optimizer, rows, count):
    """So many steps on all rows; leaves the last gradient in place."""
    x, y = rows
    for _ in range(count):
        model.zero_grad()
        nn.squared_error(model(x), y).backward()
        optimizer.step()


def called(f, *args):
    return f(*args)


def repeated(pickled, count, *args):
    f = pickle.loads(pickled)
    return [f(*args) for _ in range(count)]


def failing(error):
    raise error


def doubled(x):
    return (x * x).sum()


def half_plane(x):
    return 2.0 * x


class Twice:
    def __init__(self, factor):
        self.factor = factor

    def loss(self, x):
        return self.factor * (x * x).sum()


@cr.compile
def compiled_here(x):
    return x * 3.0


class Residual(nn.Module):
    """Blocks in lists and dicts, a shared layer, tied weights, a parameter of three axes, a slot."""

    __slots__ = ("kept",)

    def __init__(self, width=4):
        self.blocks = [nn.Linear(width, width, seed=0), nn.Dropout(0.25, seed=0)]
        self.heads = {"a": nn.Linear(width, 1, seed=1)}
        self.again = self.blocks[0]
        self.tied = nn.Linear(width, width, seed=2)
        self.tied.weight = self.blocks[0].weight
        cube = np.random.default_rng(0).normal(size=(2, 3, width)).astype(np.float32).transpose(1, 0, 2)
        self.cube = nn.Parameter.leaf(np.array(cube), requires_grad=True)
        self.cube.penalised, self.cube.initialiser = True, nn.initialisers.zeros()
        self.kept = "in a slot"

    def forward(self, x):
        for block in self.blocks:
            x = x + cr.tanh(block(x))
        x = x + self.again(x) * self.tied(x)
        return self.heads["a"](x) + (x * self.cube.sum((0, 1))).sum(1).reshape((-1, 1))


class Remembering(nn.Module):
    """Keeps what it computed last, as one does to look at it."""

    def __init__(self):
        self.linear = nn.Linear(4, 1, seed=0)
        self.last = None

    def forward(self, x):
        self.last = self.linear(x)
        return self.last


class Caching(nn.Module):
    """Leaves something behind, in the way that Python's own documentation shows."""

    def __init__(self):
        self.linear = nn.Linear(4, 1, seed=0)
        self.cache = lambda: 1

    def forward(self, x):
        return self.linear(x)

    def __getstate__(self):
        state = super().__getstate__()
        del state["cache"]
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.cache = None


class SignDescent(optim.Optimizer):
    def slots(self):
        return {"before": 0.0}

    def rule(self, p, g, state, scalars):
        return p - scalars["lr"] * cr.sign(g + state["before"]), {"before": g}


class OwnError(cr.errors.DataError):
    def __init__(self, number, y):
        super().__init__(f"number {number} of {y}")
        self.number = number


def asked(model, what, x):
    return getattr(model, what)(x)
