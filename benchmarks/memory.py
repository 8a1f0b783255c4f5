"""Peak memory of ``cr.fit`` above that of the process before it, beside the bar.

    python benchmarks/memory.py                      every case; about 2 minutes
    python benchmarks/memory.py --case mnist-size    one of them
    python benchmarks/memory.py --json memory.json

The bar: parameters and optimizer state times R, gradients and the activations of one minibatch for each thread,
and 64 MiB. Each run has a process of its own, which imports chainrule, makes the data (float32, contiguous) and the
model, and then looks at the most memory it ever held while ``cr.fit`` ran (Linux: VmHWM, reset just before).
``cold`` runs compile; ``warm`` ones find the machine code in the cache. ``library`` is the part of it that is pages
of files, nearly all of them LLVM's library: the kernel shares them between processes and takes them back at need.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MIB = 2**20
ALLOWANCE = 64 * MIB


@dataclass(frozen=True)
class Case:
    """A network, its minibatches and rows, and how many replicas are trained how."""

    name: str
    layers: tuple[int, ...]
    batch: int
    rows: int
    restarts: int = 1
    halving: bool = False
    validation: int = 0

    @property
    def parameters(self) -> int:
        """Bytes of all weights and biases."""
        return 4 * sum((a + 1) * b for a, b in zip(self.layers[:-1], self.layers[1:], strict=True))

    def bar(self, threads: int) -> int:
        """The most that fit may need: Adam has two numbers for each parameter."""
        activations = 4 * self.batch * sum(self.layers)
        return 3 * self.restarts * self.parameters + threads * (self.parameters + activations) + ALLOWANCE


MNIST, LARGE = (784, 256, 128, 10), (1024, 1024, 1024, 10)
CASES = [
    Case("small", (20, 64, 64, 10), 32, 3200),
    Case("mnist-size", MNIST, 200, 60000, validation=10000),
    Case("mnist-size-8", MNIST, 200, 12000, restarts=8),
    Case("mnist-size-32", MNIST, 200, 12000, restarts=32),
    Case("mnist-size-32-halving", MNIST, 200, 12000, restarts=32, halving=True),
    Case("large", LARGE, 512, 4096, validation=4096),
    Case("large-8", LARGE, 512, 2048, restarts=8),
    Case("wide", (4096, 4096, 10), 64, 512),
]


def held() -> dict[str, int]:
    """Bytes: the most this process held since the last reset, what it holds now, and how much of that is files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
    return {"peak": found["VmHWM"], "now": found["VmRSS"], "library": found["RssFile"]}


def measure(case: Case, threads: int) -> dict[str, Any]:
    """In a process of its own: bytes that fit needed at its peak."""
    import numpy as np

    import chainrule as cr
    from chainrule import nn, optim

    rng = np.random.default_rng(0)

    def rows(count: int) -> tuple[Any, Any]:
        return rng.normal(size=(count, case.layers[0])).astype(np.float32), rng.integers(0, 10, count)

    data, held_out = rows(case.rows), rows(case.validation) if case.validation else None
    model = nn.MLP(case.layers, seed=0)
    fit, loss, optimizer = cr.fit, nn.cross_entropy, optim.Adam(1e-4)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = held()
    history = fit(
        model,
        data,
        loss=loss,
        optimizer=optimizer,
        epochs=2,
        batch_size=case.batch,
        validation=held_out,
        restarts=cr.Halving(case.restarts, every=1) if case.halving else case.restarts,
        threads=threads,
        progress=False,
    )
    after = held()
    found = {name: after[name] - before[name] for name in ("now", "library")}
    return found | {"peak": after["peak"] - before["now"], "before": before["now"], "steps": history.steps}


def run(case: Case, threads: int, cache: str) -> dict[str, Any]:
    """Start that process."""
    command = [sys.executable, __file__, "--measure", case.name, "--threads", str(threads)]
    environment = {**os.environ, "CHAINRULE_CACHE": cache}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{case.name} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure the cases and print a table, in MiB."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        case = next(case for case in CASES if case.name == arguments.measure)
        print(json.dumps(measure(case, arguments.threads)))
        return
    found = []
    print("| case | layers | batch | rows | R | bar MiB | cold | library | warm | library | kept |")
    print("|" + "---|" * 11)
    for case in CASES:
        if arguments.case and case.name not in arguments.case:
            continue
        with tempfile.TemporaryDirectory() as cache:
            cold, warm = (run(case, arguments.threads, cache) for _ in range(2))
        bar = case.bar(arguments.threads)
        sizes = [bar, cold["peak"], cold["library"], warm["peak"], warm["library"], warm["now"]]
        layers = "-".join(map(str, case.layers))
        row = [case.name, layers, case.batch, case.rows, case.restarts, *(f"{x / MIB:.0f}" for x in sizes)]
        print(f"| {' | '.join(map(str, row))} |", flush=True)
        found.append(asdict(case) | {"cold": cold, "warm": warm, "bar": bar})
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
