"""The same training, and the same prediction, by chainrule and by each library that ``training.py`` compares with.

An engine runs in a process of its own. It is made for one case and one number of threads, holds the data, and is
given the networks' first parameters. ``train`` starts from these and times whole epochs; ``predict`` times calls
on one row. Libraries are imported where they are used: thread settings come first.
"""

from __future__ import annotations

import os
import time
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

BETAS, EPS = (0.9, 0.999), 1e-8
#: weights [restarts, inputs, outputs] and biases [restarts, outputs] of each layer
Layers = list[tuple[np.ndarray, np.ndarray]]
#: seconds, and the mean loss of each epoch [restarts, epochs] or the class probabilities
Outcome = tuple[float, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A network with relu and cross-entropy, trained by Adam in float32, or asked about single rows."""

    name: str
    widths: tuple[int, ...]
    batch: int
    rows: int
    bar: float
    restarts: int = 1
    one_row: bool = False
    check_rate: float = (
        1e-3  #: learning rate of the equal-work check; rounding grows with it, most in wide networks
    )

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return self.rows // self.batch

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows [rows, features] and labels [rows] among which every class occurs."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.rows, self.widths[0])).astype(np.float32)
        y = np.arange(self.rows) % self.widths[-1]
        return x, y[rng.permutation(self.rows)]

    def order(self, rng: np.random.Generator | None) -> np.ndarray:
        """Row numbers of an epoch's minibatches [steps, restarts, batch], in turn without a generator."""
        turn = np.arange(self.rows)
        each = [turn if rng is None else rng.permutation(self.rows) for _ in range(self.restarts)]
        return np.stack([rows.reshape(self.steps, self.batch) for rows in each], axis=1)


class Chainrule:
    """``cr.fit``, and ``model.predict``. It draws the first parameters that all engines start from."""

    def __init__(self, case: Case, threads: int) -> None:
        from chainrule import nn

        self.case, self.threads, self.data = case, threads, case.data()
        self.model = nn.MLP(case.widths, activation="relu", seed=0)
        self.state = {name: value.copy() for name, value in self.model.state_dict().items()}

    def draw(self) -> Layers:
        """The first parameters of every network."""
        from chainrule import nn

        drawn = []
        for replica in range(self.case.restarts):
            if self.case.restarts > 1:
                self.model.initialise(0, replica)
            layers = [layer for layer in self.model if isinstance(layer, nn.Linear)]
            drawn.append([(layer.weight.numpy().T.copy(), layer.bias.numpy().copy()) for layer in layers])
        return [(np.stack([w for w, _ in s]), np.stack([b for _, b in s])) for s in zip(*drawn, strict=True)]

    def start(self, layers: Layers) -> None:
        """The parameters are its own."""

    def train(self, epochs: int, rate: float, shuffle: bool) -> Outcome:
        import chainrule as cr
        from chainrule import nn, optim

        self.model.load_state_dict(self.state)
        began = time.perf_counter()
        history = cr.fit(
            self.model,
            self.data,
            loss=nn.cross_entropy,
            optimizer=optim.Adam(rate, betas=BETAS, eps=EPS),
            epochs=epochs,
            batch_size=self.case.batch,
            shuffle=shuffle,
            restarts=self.case.restarts,
            threads=self.threads,
            progress=False,
        )
        return time.perf_counter() - began, history.loss

    def predict(self, count: int) -> Outcome:
        self.model.load_state_dict(self.state)
        row = self.data[0][:1]
        self.model.predict(row)
        began = time.perf_counter()
        for _ in range(count):
            result = self.model.predict(row)
        seconds = time.perf_counter() - began
        return seconds, softmax(result)


class Torch:
    """PyTorch, eager: stacked networks are one batched product; Adam is the fused one."""

    def __init__(self, case: Case, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        x, y = case.data()
        self.case, self.x, self.y = case, torch.from_numpy(x), torch.from_numpy(y)

    def start(self, layers: Layers) -> None:
        import torch

        # [in, out] seen as the transpose of [out, in], which is how PyTorch itself lays weights out
        shape = (lambda a: a) if self.case.restarts > 1 else (lambda a: a[0])
        self.first = [
            (torch.from_numpy(shape(w.swapaxes(-1, -2).copy())), torch.from_numpy(shape(b)))
            for w, b in layers
        ]

    def parameters(self) -> list[Any]:
        """A fresh copy of the first ones, w and b in turn."""
        return [p.clone().requires_grad_() for pair in self.first for p in pair]

    def forward(self, parameters: list[Any], x: Any) -> Any:
        import torch
        from torch.nn import functional

        pairs = list(zip(parameters[::2], parameters[1::2], strict=True))
        for i, (w, b) in enumerate(pairs):
            u = torch.baddbmm(b.unsqueeze(1), x, w.mT) if w.ndim == 3 else functional.linear(x, w, b)
            x = u.relu() if i < len(pairs) - 1 else u
        return x

    def losses(self, parameters: list[Any], x: Any, y: Any) -> Any:
        """Of each network [restarts], and their sum to differentiate."""
        import torch

        logits = self.forward(parameters, x)
        if self.case.restarts == 1:
            value = torch.nn.functional.cross_entropy(logits, y)
            return value, value
        flat = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
        value = flat.view(y.shape).mean(1)
        return value, value.sum()

    def batches(self, shuffle: bool) -> list[tuple[Any, Any]]:
        """An epoch's minibatches: one gather, and views of it."""
        import torch

        case = self.case
        if case.restarts == 1:
            order = torch.randperm(case.rows) if shuffle else None
            x, y = (self.x, self.y) if order is None else (self.x[order], self.y[order])
            return list(zip(x.split(case.batch), y.split(case.batch), strict=True))
        order = torch.from_numpy(case.order(np.random.default_rng() if shuffle else None))
        return list(zip(self.x[order], self.y[order], strict=True))

    def stepper(self, rate: float) -> Any:
        """A function of a minibatch that takes a step from the first parameters on and gives the losses."""
        import torch

        parameters = self.parameters()
        optimizer = torch.optim.Adam(parameters, lr=rate, betas=BETAS, eps=EPS, fused=True)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            value, total = self.losses(parameters, x, y)
            total.backward()
            optimizer.step()
            return value.detach()

        return step

    def train(self, epochs: int, rate: float, shuffle: bool) -> Outcome:
        import torch

        step = self.stepper(rate)
        began, curve = time.perf_counter(), []
        for _ in range(epochs):
            found = [step(x, y) for x, y in self.batches(shuffle)]
            curve.append(torch.stack(found).mean(0))
        seconds = time.perf_counter() - began
        return seconds, torch.stack(curve).view(epochs, self.case.restarts).T.numpy()

    def caller(self) -> Any:
        """The model as a function of rows."""
        parameters = self.parameters()
        return lambda x: self.forward(parameters, x)

    def predict(self, count: int) -> Outcome:
        import torch

        call, row = self.caller(), self.x[:1]
        with torch.inference_mode():
            call(row)
            began = time.perf_counter()
            for _ in range(count):
                result = call(row)
            seconds = time.perf_counter() - began
        return seconds, softmax(result.numpy())


class TorchCompile(Torch):
    """``torch.compile`` of the whole step: loss, gradient and Adam in one graph."""

    compiled: Any = None

    def stepper(self, rate: float) -> Any:
        import torch

        state = [p.detach() for p in self.parameters()]
        means, squares = ([torch.zeros_like(p) for p in state] for _ in range(2))
        t, lr = torch.zeros(()), torch.tensor(rate)
        self.compiled = self.compiled or torch.compile(self.step, fullgraph=True, dynamic=False)
        return lambda x, y: self.compiled(state, means, squares, t, lr, x, y)

    def step(self, state: Any, means: Any, squares: Any, t: Any, lr: Any, x: Any, y: Any) -> Any:
        import torch

        def total(parameters: Any) -> Any:
            value, summed = self.losses(parameters, x, y)
            return summed, value

        gradients, value = torch.func.grad(total, has_aux=True)(state)
        t.add_(1)
        rate, root = lr / (1 - BETAS[0] ** t), torch.sqrt(1 - BETAS[1] ** t)
        for p, g, m, v in zip(state, gradients, means, squares, strict=True):
            m.lerp_(g, 1 - BETAS[0])
            v.mul_(BETAS[1]).add_(g * g * (1 - BETAS[1]))
            p.sub_(rate * m / (v.sqrt() / root + EPS))
        return value

    def caller(self) -> Any:
        import torch

        parameters = [p.detach() for p in self.parameters()]
        return torch.compile(lambda x: self.forward(parameters, x), fullgraph=True, dynamic=False)


class Jax:
    """``jit`` of ``lax.scan`` over an epoch's minibatches; ``vmap`` over the networks."""

    def __init__(self, case: Case, threads: int) -> None:
        import jax

        self.case, (x, y) = case, case.data()
        self.x, self.y = jax.numpy.asarray(x), jax.numpy.asarray(y, "int32")
        several = jax.vmap(self.run, ((0, 0, 0, None), 1, None, None, None), ((0, 0, 0, None), 0))
        self.epoch = jax.jit(several if case.restarts > 1 else self.run, donate_argnums=0)
        self.call = jax.jit(self.forward)

    def start(self, layers: Layers) -> None:
        self.first = layers if self.case.restarts > 1 else [(w[0], b[0]) for w, b in layers]

    @staticmethod
    def forward(layers: Any, x: Any) -> Any:
        import jax

        for w, b in layers[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = layers[-1]
        return x @ w + b

    def step(self, state: Any, rows: Any, rate: Any, x: Any, y: Any) -> Any:
        import jax
        import jax.numpy as jnp

        layers, mean, square, t = state

        def loss(layers: Any) -> Any:
            logits, labels = self.forward(layers, x[rows]), y[rows]
            picked = jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
            return jnp.mean(jax.nn.logsumexp(logits, axis=1) - picked)

        value, gradient = jax.value_and_grad(loss)(layers)
        t = t + 1
        mean = jax.tree.map(lambda m, g: BETAS[0] * m + (1 - BETAS[0]) * g, mean, gradient)
        square = jax.tree.map(lambda v, g: BETAS[1] * v + (1 - BETAS[1]) * g * g, square, gradient)
        root = jnp.sqrt(1 - BETAS[1] ** t)
        size, eps = rate * root / (1 - BETAS[0] ** t), EPS * root
        layers = jax.tree.map(lambda p, m, v: p - size * m / (jnp.sqrt(v) + eps), layers, mean, square)
        return (layers, mean, square, t), value

    def run(self, state: Any, order: Any, rate: Any, x: Any, y: Any) -> Any:
        """An epoch of one network."""
        import jax

        return jax.lax.scan(lambda state, rows: self.step(state, rows, rate, x, y), state, order)

    def train(self, epochs: int, rate: float, shuffle: bool) -> Outcome:
        import jax
        import jax.numpy as jnp

        case, rng = self.case, np.random.default_rng() if shuffle else None
        first = jax.tree.map(jnp.array, self.first)
        zeros = (jax.tree.map(jnp.zeros_like, first) for _ in range(2))
        state, curve = jax.block_until_ready((first, *zeros, jnp.zeros(()))), []
        began = time.perf_counter()
        for _ in range(epochs):
            order = case.order(rng).astype(np.int32)
            state, found = self.epoch(
                state, order if case.restarts > 1 else order[:, 0], rate, self.x, self.y
            )
            curve.append(found)
        jax.block_until_ready(state)
        seconds = time.perf_counter() - began
        return seconds, np.stack([np.asarray(c).reshape(case.restarts, -1).mean(1) for c in curve], axis=1)

    def predict(self, count: int) -> Outcome:
        import jax

        layers, row = jax.tree.map(jax.numpy.array, self.first), self.x[:1]
        jax.block_until_ready(self.call(layers, row))
        began = time.perf_counter()
        for _ in range(count):
            result = self.call(layers, row).block_until_ready()
        return time.perf_counter() - began, softmax(np.asarray(result))


class ScikitLearn:
    """``MLPClassifier``, one network after the other. Two classes it does with one output, which is other work."""

    def __init__(self, case: Case, threads: int) -> None:
        self.case, self.data = case, case.data()

    def start(self, layers: Layers) -> None:
        self.layers = layers
        self.models = [self._model(replica) for replica in range(self.case.restarts)]

    def _model(self, replica: int) -> Any:
        from sklearn.neural_network import MLPClassifier

        hidden = self.case.widths[1:-1]
        model = MLPClassifier(hidden, batch_size=self.case.batch, max_iter=1, alpha=0.0, tol=0.0)
        model.set_params(warm_start=True, beta_1=BETAS[0], beta_2=BETAS[1], epsilon=EPS)
        with warnings.catch_warnings(action="ignore"):
            model.fit(*self.data)
        self._reset(model, replica)
        return model

    def _reset(self, model: Any, replica: int) -> None:
        for i, (w, b) in enumerate(self.layers):
            model.coefs_[i][...], model.intercepts_[i][...] = w[replica], b[replica]

    def train(self, epochs: int, rate: float, shuffle: bool) -> Outcome:
        settings = {"max_iter": epochs, "learning_rate_init": rate, "shuffle": shuffle}
        for replica, model in enumerate(self.models):
            self._reset(model, replica)
            model.set_params(**settings, n_iter_no_change=epochs + 1)
            model.loss_curve_, model.best_loss_ = [], np.inf
        with warnings.catch_warnings(action="ignore"):  # not converged, which is not asked for
            began = time.perf_counter()
            for model in self.models:
                model.fit(*self.data)  # a warm start keeps the parameters and makes a fresh Adam
            seconds = time.perf_counter() - began
        return seconds, np.array([model.loss_curve_ for model in self.models])

    def predict(self, count: int) -> Outcome:
        call, row = self.models[0].predict_proba, self.data[0][:1]
        call(row)
        began = time.perf_counter()
        for _ in range(count):
            result = call(row)
        return time.perf_counter() - began, result


class OnnxRuntime:
    """A session on the network as ONNX; it predicts only."""

    def __init__(self, case: Case, threads: int) -> None:
        self.threads, self.row = threads, case.data()[0][:1]

    def start(self, layers: Layers) -> None:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        nodes, constants, name = [], [], "x"
        for i, (w, b) in enumerate(layers):
            constants += [numpy_helper.from_array(w[0], f"w{i}"), numpy_helper.from_array(b[0], f"b{i}")]
            nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], [f"u{i}"]))
            nodes.append(helper.make_node("Relu", [f"u{i}"], [f"v{i}"]))
            name = f"v{i}"
        del nodes[-1]
        ends = [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, width])
            for n, width in (("x", layers[0][0].shape[1]), (f"u{len(layers) - 1}", layers[-1][0].shape[2]))
        ]
        graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def predict(self, count: int) -> Outcome:
        given = {"x": self.row}
        self.session.run(None, given)
        began = time.perf_counter()
        for _ in range(count):
            (result,) = self.session.run(None, given)
        return time.perf_counter() - began, softmax(result)


ENGINES: dict[str, type[Any]] = {
    "chainrule": Chainrule,
    "PyTorch": Torch,
    "torch.compile": TorchCompile,
    "JAX": Jax,
    "scikit-learn": ScikitLearn,
    "onnxruntime": OnnxRuntime,
}
REQUIRES = {
    "PyTorch": ("torch",),
    "torch.compile": ("torch",),
    "JAX": ("jax",),
    "onnxruntime": ("onnx", "onnxruntime"),
}


def why_not(engine: str, case: Case) -> str:
    """Why an engine cannot do the case's work, or nothing."""
    if engine == "onnxruntime" and not case.one_row:
        return "does not train"
    if engine == "scikit-learn" and case.widths[-1] == 2:
        return "has one output for two classes"
    return ""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Class probabilities [rows, classes]."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def serve(pipe: Connection, engine: str, case: Case, threads: int) -> None:
    """A child process: do what the pipe asks for until it asks for nothing; an error travels as text."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    made: Any = None
    while (request := pipe.recv()) is not None:
        name, arguments = request
        try:
            made = made or ENGINES[engine](case, threads)
            pipe.send((True, getattr(made, name)(*arguments)))
        except Exception:
            pipe.send((False, traceback.format_exc()))
