"""Time of a training step of a sparse network: chainrule beside PyTorch and JAX, and as the network grows.

    python benchmarks/graph_network.py                     both tables; about 10 minutes
    python benchmarks/graph_network.py --only peers        the same network in three libraries
    python benchmarks/graph_network.py --only scaling      10 thousand to 10 million edges, chainrule alone

Networks have levels of equally many relu neurons, each with edges from random neurons of the level before, and a
bias. A step is a minibatch of 64 rows forward and backward, mean squared error, plain gradient descent, float32.

Everyone starts from the same weights, and before anything is timed has to give chainrule's losses of three steps to
1e-4. PyTorch computes a level as a sparse product (CSR; the backward pass is written with a transposed CSR matrix and
``sampled_addmm``, which is faster here than what its autograd does) or as a dense product with a mask; JAX gathers
and adds up with ``segment_sum`` under ``jit``. Each engine runs with 1 and with 2 threads, in processes of its own
that take turns; shown is the median of the rounds, with the better number of threads.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
import traceback
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

BATCH, RATE, CHECK_STEPS, TOLERANCE = 64, 5.0, 3, 1e-4


@dataclass(frozen=True)
class Case:
    """``levels`` times ``width`` neurons; those beyond the first level have ``fan_in`` edges from the level before."""

    name: str
    levels: int
    width: int
    fan_in: int
    rate: float = RATE

    @property
    def edges(self) -> int:
        return (self.levels - 1) * self.width * self.fan_in

    def sources(self) -> np.ndarray:
        """Which neurons of the level before each neuron reads: [levels - 1, width, fan_in], ascending."""
        rng = np.random.default_rng(0)
        shape = (self.levels - 1, self.width)
        if self.width <= 4000:
            found = [rng.permutation(self.width)[: self.fan_in] for _ in range(shape[0] * shape[1])]
            return np.sort(np.array(found).reshape(*shape, self.fan_in), axis=-1)
        # one from each of so many equal parts of the level: distinct, and quickly drawn
        part = self.width // self.fan_in
        return rng.integers(0, part, (*shape, self.fan_in)) + part * np.arange(self.fan_in)

    def pairs(self) -> np.ndarray:
        """All edges, (from, to), neurons numbered level by level: [edges, 2]."""
        level = np.arange(self.levels - 1)[:, None, None] * self.width
        source = self.sources() + level
        target = np.broadcast_to(level + self.width + np.arange(self.width)[:, None], source.shape)
        return np.stack([source.ravel(), target.ravel()], axis=1)

    def weights(self) -> np.ndarray:
        """First weights in the order of ``pairs``."""
        rng = np.random.default_rng(1)
        return (rng.standard_normal(self.edges) * np.sqrt(2 / self.fan_in)).astype(np.float32)

    def data(self, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets for so many steps: [steps * BATCH, width]."""
        rng = np.random.default_rng(2)
        x = rng.standard_normal((steps * BATCH, self.width), dtype=np.float32)
        return x, np.abs(rng.standard_normal((steps * BATCH, self.width), dtype=np.float32))


PEERS = Case("million", 11, 2000, 50)
SCALING = [  # at a rate at which a network of a hundred levels stays finite
    Case("10 thousand", 3, 100, 50, 1e-3),
    Case("100 thousand", 3, 1000, 50, 1e-3),
    Case("1 million", 11, 2000, 50, 1e-3),
    Case("10 million, deep", 101, 2000, 50, 1e-3),
    Case("10 million, wide", 11, 20000, 50, 1e-3),
]


class Chainrule:
    """``cr.fit`` of an ``nn.GraphNetwork``."""

    def __init__(self, case: Case, threads: int) -> None:
        from chainrule import nn

        self.case, self.threads = case, threads
        last = (case.levels - 1) * case.width
        self.net = nn.GraphNetwork(
            case.pairs(), range(case.width), range(last, last + case.width), activation="relu", seed=0
        )
        self.steps, self.rows = 0, case.data(CHECK_STEPS)

    def reset(self) -> None:
        self.net.load_state_dict(
            {"weight": self.case.weights(), "bias": np.zeros(self.net.bias.shape, np.float32)}
        )

    def train(self, steps: int) -> tuple[float, list[float]]:
        import chainrule as cr
        from chainrule import nn, optim

        self.reset()
        x, y = self.rows
        began = time.perf_counter()
        history = cr.fit(
            self.net,
            (x[:BATCH], y[:BATCH]),
            loss=nn.squared_error,
            optimizer=optim.SGD(self.case.rate),
            epochs=steps,
            batch_size=BATCH,
            shuffle=False,
            threads=self.threads,
            progress=False,
        )
        return time.perf_counter() - began, history.loss[0].tolist()


class Torch:
    """PyTorch: what both ways of computing a level share."""

    def __init__(self, case: Case, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        warnings.filterwarnings("ignore", message=".*[Ss]parse")
        self.torch, self.case = torch, case
        self.x, self.y = (torch.from_numpy(a[:BATCH].T.copy()) for a in case.data(CHECK_STEPS))
        self.prepare(case.sources())

    def train(self, steps: int) -> tuple[float, list[float]]:
        torch = self.torch
        weights = self.levels(self.case.weights().reshape(self.case.levels - 1, self.case.width, -1))
        biases = [torch.zeros(self.case.width, 1, requires_grad=True) for _ in weights]
        optimizer = torch.optim.SGD([*weights, *biases], lr=RATE, fused=True)
        losses = []
        began = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad()
            v = self.x
            for level, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                v = torch.relu(self.product(level, weight, v) + bias)
            loss = ((v - self.y) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return time.perf_counter() - began, [loss.item() for loss in losses]


class TorchSparse(Torch):
    """A level is the product of a CSR matrix with the values; its weights are the matrix' values."""

    def prepare(self, sources: np.ndarray) -> None:
        torch, width, fan_in = self.torch, self.case.width, self.case.fan_in
        rows = torch.arange(0, width * fan_in + 1, fan_in, dtype=torch.int32)
        self.structure = []
        for source in sources:
            columns = torch.from_numpy(source.reshape(-1).astype(np.int32))
            order = torch.from_numpy(np.argsort(source.reshape(-1), kind="stable"))
            counts = np.bincount(source.reshape(-1), minlength=width)
            starts = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
            targets = (order // fan_in).to(torch.int32)
            zero = torch.sparse_csr_tensor(rows, columns, torch.zeros(width * fan_in), (width, width))
            self.structure.append((rows, columns, starts, targets, order, zero))

        class Product(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, weight: Any, v: Any, structure: Any) -> Any:
                ctx.save_for_backward(weight, v)
                ctx.structure = structure
                matrix = torch.sparse_csr_tensor(
                    structure[0], structure[1], weight, (width, width), check_invariants=False
                )
                return matrix @ v

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                weight, v = ctx.saved_tensors
                _, _, starts, targets, order, zero = ctx.structure
                transposed = torch.sparse_csr_tensor(
                    starts, targets, weight[order], (width, width), check_invariants=False
                )
                dots = torch.sparse.sampled_addmm(zero, g, v.t(), beta=0.0)
                return dots.values(), transposed @ g if ctx.needs_input_grad[1] else None, None

        self.apply = Product.apply

    def levels(self, weights: np.ndarray) -> list[Any]:
        return [self.torch.from_numpy(w.reshape(-1).copy()).requires_grad_() for w in weights]

    def product(self, level: int, weight: Any, v: Any) -> Any:
        return self.apply(weight, v, self.structure[level])


class TorchDense(Torch):
    """A level is a dense product; a mask keeps the weights of edges that there are not at zero."""

    def prepare(self, sources: np.ndarray) -> None:
        width = self.case.width
        self.sources = self.torch.from_numpy(sources)
        self.masks = [self.torch.zeros(width, width).scatter_(1, source, 1.0) for source in self.sources]

    def levels(self, weights: np.ndarray) -> list[Any]:
        found = self.torch.from_numpy(weights.copy())
        return [
            self.torch.zeros_like(mask).scatter_(1, source, w).requires_grad_()
            for mask, source, w in zip(self.masks, self.sources, found, strict=True)
        ]

    def product(self, level: int, weight: Any, v: Any) -> Any:
        return (weight * self.masks[level]) @ v


class Jax:
    """JAX: values are gathered along the edges, and added up where they arrive."""

    def __init__(self, case: Case, threads: int) -> None:
        import jax
        import jax.numpy as jnp

        self.jnp, self.case = jnp, case
        self.x, self.y = (jnp.asarray(a[:BATCH].T) for a in case.data(CHECK_STEPS))
        sources = jnp.asarray(case.sources().reshape(case.levels - 1, -1).astype(np.int32))
        target = jnp.repeat(jnp.arange(case.width, dtype=jnp.int32), case.fan_in)

        def loss(parameters: Any, x: Any, y: Any) -> Any:
            def level(v: Any, at: Any) -> Any:
                weight, bias, source = at
                products = weight[:, None] * v[source]
                total = jax.ops.segment_sum(
                    products, target, num_segments=case.width, indices_are_sorted=True
                )
                return jax.nn.relu(total + bias[:, None])

            v = x
            for i in range(case.levels - 1):
                v = level(v, (parameters[0][i], parameters[1][i], sources[i]))
            return jnp.mean((v - y) ** 2)

        def step(parameters: Any, x: Any, y: Any) -> Any:
            value, gradients = jax.value_and_grad(loss)(parameters, x, y)
            return value, jax.tree.map(lambda p, g: p - RATE * g, parameters, gradients)

        self.step = jax.jit(step, donate_argnums=0)

    def train(self, steps: int) -> tuple[float, list[float]]:
        jnp, case = self.jnp, self.case
        weights = jnp.asarray(case.weights().reshape(case.levels - 1, -1))
        parameters = (list(weights), [jnp.zeros(case.width) for _ in weights])
        losses = []
        began = time.perf_counter()
        for _ in range(steps):
            value, parameters = self.step(parameters, self.x, self.y)
            losses.append(value)
        parameters[0][0].block_until_ready()
        return time.perf_counter() - began, [float(loss) for loss in losses]


ENGINES = {"chainrule": Chainrule, "torch CSR": TorchSparse, "torch masked": TorchDense, "jax": Jax}
REQUIRES = {"torch CSR": "torch", "torch masked": "torch", "jax": "jax"}


def serve(pipe: Any, engine: str, case: Case, threads: int) -> None:
    """An engine's process: it answers every question with what ``train`` gives, or with an error's text."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    try:
        made = ENGINES[engine](case, threads)
        while True:
            pipe.send((True, made.train(pipe.recv())))
    except EOFError:
        pass
    except Exception:
        pipe.send((False, traceback.format_exc()))


@dataclass
class Runner:
    """An engine in its process, and the seconds of a step that were found."""

    engine: str
    threads: int
    pipe: Any
    times: list[float] = field(default_factory=list)
    steps: int = 1

    def train(self, steps: int) -> tuple[float, list[float]]:
        self.pipe.send(steps)
        good, answer = self.pipe.recv()
        if not good:
            raise SystemExit(f"{self.engine} failed\n{answer}")
        return answer

    def prepare(self, seconds: float) -> None:
        self.train(1)
        spent, _ = self.train(2)
        self.steps = max(2, round(2 * seconds / spent))
        spent, _ = self.train(self.steps)
        self.steps = max(2, round(self.steps * seconds / spent))


@contextmanager
def started(engine: str, case: Case, threads: int) -> Any:
    """An engine's process, with thread settings in its environment."""
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, engine, case, threads), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Runner(engine, threads, ours)
    finally:
        process.terminate()
        process.join()


def measured(runners: list[Runner], rounds: int, seconds: float) -> None:
    """Let them take turns."""
    for runner in runners:
        runner.prepare(seconds)
    for _ in range(rounds):
        for runner in runners:
            spent, _ = runner.train(runner.steps)
            runner.times.append(spent / runner.steps)


def check_equal_work(runners: list[Runner]) -> float:
    """The largest relative difference from chainrule's losses; SystemExit beyond 1e-4."""
    reference = np.array(runners[0].train(CHECK_STEPS)[1])
    if abs(reference[-1] / reference[0] - 1) < 10 * TOLERANCE:
        raise SystemExit(f"the loss hardly moves, so equal losses would not show equal work: {reference}")
    largest = 0.0
    for runner in runners[1:]:
        found = np.array(runner.train(CHECK_STEPS)[1])
        largest = max(largest, float(np.abs(found / reference - 1).max()))
        if not largest <= TOLERANCE:
            raise SystemExit(f"{runner.engine}'s losses are {found}, not {reference}")
    return largest


def peers(options: argparse.Namespace) -> dict[str, Any]:
    """The same network in each library."""
    engines = []
    for engine in ENGINES:
        if engine in REQUIRES and find_spec(REQUIRES[engine]) is None:
            print(f"{engine} is left out: {REQUIRES[engine]} is not installed", file=sys.stderr)
        else:
            engines.append(engine)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ExitStack() as stack:
        runners = [
            stack.enter_context(started(engine, PEERS, threads))
            for engine in engines
            for threads in (1, 2)
            if threads <= cores
        ]
        difference = check_equal_work(runners)
        measured(runners, options.rounds, options.seconds)
    best: dict[str, tuple[float, int]] = {}
    for runner in runners:
        found = (1e3 * median(runner.times), runner.threads)
        best[runner.engine] = min(best.get(runner.engine, found), found)
    ours = best["chainrule"][0]
    print(f"\n{PEERS.edges} edges, {PEERS.levels} levels of {PEERS.width}, {PEERS.fan_in} into each neuron\n")
    print("| engine | ms a step (threads) | engine / chainrule |\n|---|---|---|")
    for engine, (milliseconds, threads) in best.items():
        print(f"| {engine} | {milliseconds:.1f} ({threads}) | {milliseconds / ours:.2f} |")
    rounds = {f"{r.engine}, {r.threads}": [1e3 * t for t in r.times] for r in runners}
    return {"case": asdict(PEERS), "milliseconds": rounds, "largest difference": difference}


def scaling(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time per edge as the network grows, with one thread and with two."""
    with ExitStack() as stack:
        rows = [
            (case, [stack.enter_context(started("chainrule", case, threads)) for threads in (1, 2)])
            for case in SCALING
        ]
        measured([runner for _, pair in rows for runner in pair], options.rounds, options.seconds)
    columns = [
        "edges",
        "levels",
        "neurons a level",
        "ns an edge, 1 thread",
        "to the first",
        "2 threads",
        "best to best",
    ]
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    found, first = [], None
    for case, pair in rows:
        one, two = (1e9 * median(runner.times) / case.edges for runner in pair)
        first = first or (one, min(one, two))
        print(
            f"| {case.name} | {case.levels} | {case.width} | {one:.2f} | {one / first[0]:.2f} | {two:.2f} "
            f"| {min(one, two) / first[1]:.2f} |"
        )
        milliseconds = {runner.threads: [1e3 * t for t in runner.times] for runner in pair}
        found.append({"case": asdict(case), "milliseconds": milliseconds})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["peers", "scaling"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of an engine's work in a round")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tables = {"peers": peers, "scaling": scaling}
    found = {name: table(options) for name, table in tables.items() if options.only in (None, name)}
    modules = ("numpy", "torch", "jax")
    versions = {name: version(name) for name in modules if find_spec(name)}
    print(f"\nPython {platform.python_version()}, " + ", ".join(f"{n} {v}" for n, v in versions.items()))
    if options.json:
        options.json.write_text(json.dumps({"versions": versions, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
