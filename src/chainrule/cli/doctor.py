"""``chainrule doctor``: what is installed here, and whether it works."""

from __future__ import annotations

import json as text_format
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule._version import __version__
from chainrule.cli import options
from chainrule.cli.self_test import TOLERANCE
from chainrule.cli.terminal import Terminal

BROKEN = 1
PATIENCE = 120  # seconds for the self-test
PACKAGES = (
    "numpy",
    "scipy",
    "llvmlite",
    "scikit-learn",
    "threadpoolctl",
    "safetensors",
    "polars",
    "typer",
    "rich",
)
EXTRAS = {
    "plot": ("matplotlib",),
    "onnx": ("onnx",),
    "tensorboard": ("tensorboard",),
    "excel": ("fastexcel", "xlsxwriter"),
    "sql": ("connectorx",),
    "zstd": ("zstandard",),
}
"""The modules that each extra of the package brings."""
LEVELS = {64: "AVX-512", 32: "AVX2", 16: "SSE2 or NEON"}


@dataclass
class Health:
    """What was found, and what is wrong: ``problems`` is empty where all is well."""

    chainrule: str
    python: str
    platform: str
    packages: dict[str, str | None]
    processor: dict[str, Any] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)
    extras: dict[str, bool] = field(default_factory=dict)
    self_test: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def doctor_command(json: Annotated[bool, options.option("doctor", "json", "--json")] = False) -> None:
    """Show what is installed, for which processor code is made, and train for a moment as a test.

    The exit status is 1 if something is wrong.
    """
    terminal = Terminal(json)
    health = examine()
    for name, text in describe(health):
        terminal.entry(name, text)
    for problem in health.problems:
        terminal.entry("wrong", problem)
    if not health.problems:
        terminal.say("all is well")
    terminal.finish(asdict(health))
    raise typer.Exit(BROKEN if health.problems else 0)


def examine() -> Health:
    """Look at everything; a part that is broken does not keep the others from being looked at."""
    health = Health(
        __version__,
        platform.python_version(),
        platform.platform(terse=True),
        {name: _version_of(name) for name in PACKAGES},
        extras={name: all(map(find_spec, modules)) for name, modules in EXTRAS.items()},
    )
    health.problems += [
        f"{name} is not installed" for name, found in health.packages.items() if found is None
    ]
    if not health.problems:
        _look_at_processor(health)
        _look_at_cache(health)
        _run_self_test(health)
    return health


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _look_at_processor(health: Health) -> None:
    from chainrule.compiler.host import available_cores, host
    from chainrule.errors import ChainruleError

    try:
        target = host()
    except (ChainruleError, OSError) as error:
        health.problems.append(str(error))
        return
    health.processor = {
        "name": target.cpu,
        "vector_bits": 8 * target.vector_bytes,
        "threads": available_cores(),
    }


def _look_at_cache(health: Health) -> None:
    from chainrule.compiler.cache import LIMIT_BYTES, folder, is_usable, usage

    place = folder()
    files, size = usage()
    health.cache = {
        "folder": None if place is None else str(place),
        "files": files,
        "bytes": size,
        "limit_bytes": LIMIT_BYTES,
    }
    with warnings.catch_warnings(action="ignore"):  # of a folder that others may write to: it is said below
        usable = place is None or is_usable()
    if not usable:
        health.problems.append(
            f"compiled code cannot be kept in {place}: make the folder yours and writable, "
            "or let CHAINRULE_CACHE name another one"
        )


def _run_self_test(health: Health) -> None:
    """Compile, train and compare in another process, without the cache."""
    package = Path(__file__).parents[2]
    code = (
        f"import sys; sys.path.insert(0, {str(package)!r}); from chainrule.cli.self_test import main; main()"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "CHAINRULE_CACHE": "off"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        health.problems.append(f"the self-test did not end: {error}")
        return
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        health.problems.append(f"the self-test ended with {_ending(done.returncode)}: {' '.join(last)}")
        return
    health.self_test = text_format.loads(done.stdout.splitlines()[-1])
    if not health.self_test["difference"] <= TOLERANCE:
        health.problems.append(
            f"compiled steps and the interpreter disagree: the losses differ by {health.self_test['difference']:.2g}"
        )


def _describe_cache(cache: dict[str, Any]) -> str:
    if cache["folder"] is None:
        return "off"
    size = f"{cache['bytes'] / 2**20:.1f} of {cache['limit_bytes'] >> 20} MiB"
    return f"{cache['folder']}: {size} in {cache['files']} files"


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"


def describe(health: Health) -> Iterator[tuple[str, str]]:
    """The lines that are shown, each with the name that stands before it."""
    yield "chainrule", health.chainrule
    yield "Python", f"{health.python} on {health.platform}"
    yield "packages", ", ".join(f"{name} {found or 'missing'}" for name, found in health.packages.items())
    if health.processor:
        bits = health.processor["vector_bits"]
        name = f"{health.processor['name']}, vectors of {bits} bits ({LEVELS[bits // 8]})"
        yield "processor", f"{name}, {health.processor['threads']} threads"
    if health.cache:
        yield "cache", _describe_cache(health.cache)
    for name, found in health.extras.items():
        yield f"{name}", "installed" if found else f"missing; pip install 'chainrule[{name}]'"
    if health.self_test:
        figures = health.self_test
        yield (
            "self-test",
            f"compiled and interpreted losses differ by {figures['difference']:.1g} ({figures['seconds']:.1f} s)",
        )
