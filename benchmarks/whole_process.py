"""Seconds from starting Python to a saved network that knows 97% of the held-out digits: import, compile, train, save.

    python benchmarks/whole_process.py               about three minutes
    python benchmarks/whole_process.py --rounds 9

Each engine is a process of its own that reads the same rows from a file, trains a 64-128-10 network (relu, Adam at
0.01, minibatches of 128 rows, shuffled), looks at the held-out rows after every epoch, stops at 97% and writes its
parameters with safetensors. Rounds are interleaved; shown is the median. "first" is chainrule with an empty cache
of compiled code, as on the first run ever.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

READ = """
import sys
import numpy as np
from safetensors.numpy import save_file
data = np.load(sys.argv[1])
X, y, Xv, yv = (data[name] for name in ("X", "y", "Xv", "yv"))
"""
CHAINRULE = (
    READ
    + """
import chainrule as cr
from chainrule import nn, optim
model = nn.MLP([64, 128, 10], activation="relu", seed=0)
def good(epoch):
    return (epoch.model.predict(Xv).argmax(1) == yv).mean() >= 0.97
cr.fit(model, (X, y), loss=nn.cross_entropy, optimizer=optim.Adam(0.01), epochs=200, batch_size=128,
       callbacks=[good], progress=False)
assert (model.predict(Xv).argmax(1) == yv).mean() >= 0.97
save_file(model.state_dict(), sys.argv[2])
"""
)
SKLEARN = (
    READ
    + """
from sklearn.neural_network import MLPClassifier
model = MLPClassifier((128,), batch_size=128, learning_rate_init=0.01, alpha=0, random_state=0)
for _ in range(200):
    model.partial_fit(X, y, classes=np.arange(10))
    if model.score(Xv, yv) >= 0.97:
        break
else:
    raise SystemExit("97% not reached")
save_file({f"w{i}": w for i, w in enumerate([*model.coefs_, *model.intercepts_])}, sys.argv[2])
"""
)
TORCH = (
    READ
    + """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer = torch.optim.Adam(model.parameters(), 0.01)
loss = nn.CrossEntropyLoss()
X, y, Xv, yv = map(torch.from_numpy, (X, y, Xv, yv))
for _ in range(200):
    order = torch.randperm(len(X))
    for start in range(0, len(X), 128):
        rows = order[start : start + 128]
        optimizer.zero_grad()
        loss(model(X[rows]), y[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        if (model(Xv).argmax(1) == yv).float().mean() >= 0.97:
            break
else:
    raise SystemExit("97% not reached")
save_file({name: p.numpy() for name, p in model.state_dict().items()}, sys.argv[2])
"""
)
JAX = (
    READ
    + """
import jax
import jax.numpy as jnp
rng = np.random.default_rng(0)
def linear(n, m):
    return [jnp.asarray(rng.uniform(-1, 1, s) / n ** 0.5, jnp.float32) for s in ((n, m), (m,))]
p = [*linear(64, 128), *linear(128, 10)]
def forward(p, x):
    return jax.nn.relu(x @ p[0] + p[1]) @ p[2] + p[3]
def loss(p, x, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(forward(p, x)), y[:, None], 1).mean()
def step(state, rows):
    p, m, v, t = state
    g = jax.grad(loss)(p, Xd[rows], yd[rows])
    t = t + 1
    m = [0.9 * a + 0.1 * b for a, b in zip(m, g)]
    v = [0.999 * a + 0.001 * b * b for a, b in zip(v, g)]
    p = [a - 0.01 * (b / (1 - 0.9**t)) / (jnp.sqrt(c / (1 - 0.999**t)) + 1e-8) for a, b, c in zip(p, m, v)]
    return (p, m, v, t), None
Xd, yd, Xvd, yvd = map(jnp.asarray, (X, y, Xv, yv))
@jax.jit
def epoch(state, order):
    state, _ = jax.lax.scan(step, state, order)
    return state, (forward(state[0], Xvd).argmax(1) == yvd).mean()
zeros = [jnp.zeros_like(a) for a in p]
state = (p, zeros, zeros, jnp.float32(0))
for _ in range(200):
    order = rng.permutation(len(X))[: len(X) // 128 * 128].reshape(-1, 128)
    state, accuracy = epoch(state, order)
    if accuracy >= 0.97:
        break
else:
    raise SystemExit("97% not reached")
save_file({f"p{i}": np.asarray(a) for i, a in enumerate(state[0])}, sys.argv[2])
"""
)
ENGINES = {
    "chainrule": CHAINRULE,
    "chainrule, first": CHAINRULE,
    "scikit-learn": SKLEARN,
    "PyTorch": TORCH,
    "JAX": JAX,
}


def rows(path: Path) -> None:
    """The bundled digits, a fifth of them held out."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = (X[order] / 16).astype(np.float32), y[order].astype(np.int64)
    np.savez(path, X=X[359:], y=y[359:], Xv=X[:359], yv=y[:359])


def seconds(script: str, data: Path, folder: Path, cache: Path) -> float:
    """Wall time of one process."""
    environment = {**os.environ, "CHAINRULE_CACHE": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed library has its bytecode
    start = time.perf_counter()
    arguments = [sys.executable, "-c", script, str(data), str(folder / "model.safetensors")]
    subprocess.run(arguments, check=True, cwd=folder, env=environment)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    times: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows(data := folder / "digits.npz")
        for number in range(options.rounds + 1):
            for engine, script in ENGINES.items():
                fresh = folder / f"cache{number}"
                cache = fresh if engine.endswith("first") else folder / "cache"
                spent = seconds(script, data, folder, cache)
                if number:  # the first round fills caches
                    times[engine].append(spent)
    found = {engine: median(spent) for engine, spent in times.items()}
    print("| engine | seconds | / chainrule |\n|---|---|---|")
    for engine, spent in found.items():
        print(f"| {engine} | {spent:.2f} | {spent / found['chainrule']:.2f} |")
    if options.json:
        options.json.write_text(json.dumps(times, indent=1) + "\n")


if __name__ == "__main__":
    main()
