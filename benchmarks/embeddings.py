"""A training step of a table's network with embeddings, beside the same in PyTorch: CPU time, one thread, interleaved.

Both train 8 numbers or 8 categories, then 128-128-1 with ReLU, by AdamW in minibatches of 256 rows; "plain" has no
embedding. ``python benchmarks/embeddings.py --rounds 9`` prints the median and the least of all rounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import nn, optim

COLUMNS, LEVELS, SIZE, ROWS, BATCH, EPOCHS = 8, 50, 3, 256 * 40, 256, 5
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(ROWS, COLUMNS)).astype(np.float32)
CODES = RNG.integers(0, LEVELS, size=(ROWS, COLUMNS)).astype(np.float32)
Y = np.sin(NUMBERS.sum(1, keepdims=True) + CODES.sum(1, keepdims=True)).astype(np.float32)
KINDS = ("plain", "periodic", "piecewise", "categories")

Epochs = Callable[[int], None]  # trains so many epochs


def own_layer(kind: str) -> nn.Module:
    """The first layer of the network."""
    if kind == "plain":
        return nn.Identity()
    if kind == "categories":
        return nn.CategoryEmbedding(dict.fromkeys(range(COLUMNS), LEVELS), SIZE, unseen="error", seed=0)
    layer = nn.NumberEmbedding(COLUMNS, kind, size=SIZE, seed=0)
    return layer.fit_edges(NUMBERS) if kind == "piecewise" else layer


def own(kind: str) -> Epochs:
    """Training by ``cr.fit``."""
    layer, x = own_layer(kind), CODES if kind == "categories" else NUMBERS
    width = getattr(layer, "out_features", COLUMNS)
    model = nn.Sequential(layer, nn.MLP([width, 128, 128, 1], seed=0))

    def epochs(count: int) -> None:
        cr.fit(
            model, (x, Y), loss=nn.squared_error, optimizer=optim.AdamW(5e-3, weight_decay=0.01), epochs=count,
            batch_size=BATCH, threads=1, progress=False,
        )  # fmt: skip

    return epochs


def peer_layer(torch: Any, kind: str) -> Any:
    """The same layer as one would write it in PyTorch, with the same first values."""
    layer = own_layer(kind)

    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for i, (name, p) in enumerate(layer.named_parameters()):
                value = torch.nn.Parameter(torch.tensor(p.numpy()))
                self.register_parameter(f"p{i}" if kind == "categories" else name, value)
            if kind == "piecewise":
                edges = torch.tensor(layer.edges.numpy())
                self.left, self.width = edges[:, :-1], edges[:, 1:] - edges[:, :-1]

        def forward(self, x: Any) -> Any:
            if kind == "plain":
                return x
            if kind == "categories":
                codes, tables = x.long(), self.parameters()
                return torch.cat(
                    [torch.nn.functional.embedding(codes[:, i], t) for i, t in enumerate(tables)], 1
                )
            if kind == "periodic":
                codes = torch.cos(x[:, :, None] * self.frequency + self.phase)
            else:
                codes = torch.clamp((x[:, :, None] - self.left) / self.width, 0, 1)
            vectors = torch.einsum("nch,chd->ncd", codes, self.weight) + self.bias
            return torch.cat([x, vectors.flatten(1)], 1)

    return Layer()


def peer(torch: Any, kind: str) -> Epochs:
    """Training by a loop in PyTorch."""
    mlp = cr.to_torch(nn.MLP([getattr(own_layer(kind), "out_features", COLUMNS), 128, 128, 1], seed=0))
    model = torch.nn.Sequential(peer_layer(torch, kind), mlp)
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3, weight_decay=0.01, foreach=True)
    x, y = torch.tensor(CODES if kind == "categories" else NUMBERS), torch.tensor(Y)

    def epochs(count: int) -> None:
        for _ in range(count):
            for rows in torch.randperm(ROWS).split(BATCH):
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(model(x[rows]), y[rows]).backward()
                optimizer.step()

    return epochs


def main() -> None:
    """Print microseconds of CPU time a step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    import torch

    torch.set_num_threads(1)
    for kind in KINDS:
        both = {"chainrule": own(kind), "PyTorch": peer(torch, kind)}
        spent: dict[str, list[float]] = {name: [] for name in both}
        for epochs in both.values():
            epochs(1)
        for _ in range(rounds):
            for name, epochs in both.items():
                begun = time.process_time()
                epochs(EPOCHS)
                spent[name].append((time.process_time() - begun) / EPOCHS / (ROWS // BATCH) * 1e6)
        shown = ", ".join(f"{name} {np.median(t):.0f} us (least {min(t):.0f})" for name, t in spent.items())
        ratio = np.median(np.divide(spent["PyTorch"], spent["chainrule"]))
        print(f"{kind:10} {shown}, ratio {ratio:.1f}", flush=True)


if __name__ == "__main__":
    main()
