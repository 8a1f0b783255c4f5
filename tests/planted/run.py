"""One fault: a copy of the sources, the patch, the tests until one fails."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COMPILER = [*(ROOT / "tests/compiler").glob("test_*.py")]
SEARCHES = 10  # as many as tests/fuzz/test_programs.py has
RANDOM = "tests/fuzz/test_programs.py::test_random_programs"
QUICK = (
    "tests/compiler/test_simplify.py",
    *(f"{RANDOM}[{number}]" for number in range(4)),
    "tests/compiler/test_cache.py",
    "tests/compiler/test_keys.py",
    "tests/compiler/test_moves.py",
    "tests/compiler/test_shuffle.py",
    "tests/compiler/test_threads.py",
    "tests/nn/test_graph_network.py",
    "tests/compiler/test_matmul.py",
    "tests/compiler/test_programs.py",
)
#: what may catch a fault, in this order; no name may be part of another one, for pytest would change the order
TESTS = (
    *QUICK,
    *(f"{RANDOM}[{number}]" for number in range(4, SEARCHES)),
    "tests/fuzz/test_programs.py::test_random_networks",
    "tests/fuzz/test_programs.py::test_programs_that_once_failed",
    *(file for file in sorted(f"tests/compiler/{path.name}" for path in COMPILER) if file not in QUICK),
    "tests/test_compiled.py",
    "tests/test_random_graphs.py",
    "tests/ops",
)
#: the tests of a file, which come first where the fault is in it
NEAREST = {
    "compiler/codegen/matmul/": "tests/compiler/test_matmul.py",
    "compiler/codegen/mathfn.py": "tests/compiler/test_mathfn.py",
    "compiler/cache.py": "tests/compiler/test_cache.py",
    "compiler/pipeline.py": "tests/compiler/test_keys.py",
    "compiler/arrange.py": "tests/compiler/test_programs.py",
    "compiler/codegen/moves.py": "tests/compiler/test_moves.py",
    "compiler/shuffle.py": "tests/compiler/test_shuffle.py",
    "compiler/partition.py": "tests/compiler/test_threads.py",
    "compiler/driver.py": "tests/compiler/test_threads.py",
    "compiler/codegen/edges.py": "tests/nn/test_graph_network.py",
}
SILENCE = 600  # seconds without a test that ends: the fault makes it hang


@dataclass(frozen=True)
class Fault:
    """A patch and the words above it."""

    name: str
    kind: str
    words: str
    files: tuple[str, ...]  # that it changes

    @property
    def path(self) -> Path:
        return HERE / f"{self.name}.patch"


@dataclass(frozen=True)
class Verdict:
    """What became of a fault: the first test that failed, or none."""

    name: str
    kind: str
    caught_by: str
    seconds: float
    output: str


def patches() -> list[Fault]:
    """All faults, by name."""
    found = []
    for path in sorted(HERE.glob("*.patch")):
        head, _, diff = path.read_text().partition("\n--- ")
        kind, _, words = head.partition("\n")
        files = re.findall(r"^\+\+\+ b/(\S+)", diff, re.MULTILINE)
        found.append(Fault(path.stem, kind.removeprefix("kind: "), words.strip(), tuple(files)))
    return found


def plant(fault: Fault, root: Path) -> subprocess.CompletedProcess[str]:
    """Apply a fault to a copy of the sources that has no repository of its own."""
    command = ["git", "apply", "-C1", "--recount", str(fault.path)]
    outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(root.parent)}
    return subprocess.run(command, cwd=root, env=outside, text=True, capture_output=True, check=False)


def copied(folder: str) -> Path:
    """The sources as they are now, copied into a folder."""
    root = Path(folder) / "copy"
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def untouched(tests: Sequence[str]) -> Verdict:
    """The same tests without a fault: none may fail."""
    with tempfile.TemporaryDirectory() as folder:
        return _tested("(none)", "", copied(folder), tests)


def run_all(
    faults: Sequence[Fault], tests: Sequence[str], at_once: int, say: Callable[[Verdict], None]
) -> list[Verdict]:
    """Try all faults, some side by side, and say what became of each as soon as it is known."""
    verdicts = []
    with ThreadPoolExecutor(at_once) as pool:
        for done in as_completed([pool.submit(run_one, fault, tests) for fault in faults]):
            verdicts.append(done.result())
            say(verdicts[-1])
    return verdicts


def run_one(fault: Fault, tests: Sequence[str]) -> Verdict:
    """Plant one fault and look for the first test that fails."""
    with tempfile.TemporaryDirectory() as folder:
        root = copied(folder)
        applied = plant(fault, root)
        if applied.returncode:
            raise ValueError(f"{fault.path.name} does not apply any more: {applied.stderr}")
        near = [test for place, test in NEAREST.items() if any(place in file for file in fault.files)]
        return _tested(fault.name, fault.kind, root, list(dict.fromkeys([*near, *tests])))


def _tested(name: str, kind: str, root: Path, tests: Sequence[str]) -> Verdict:
    """Run the tests against a copy until one fails, ends the process or hangs."""
    start = time.monotonic()
    environment = {
        **os.environ,
        "PYTHONPATH": str(root / "src"),
        "CHAINRULE_CACHE": str(root / "cache"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(root / "hypothesis"),
    }
    options = ["-x", "-v", "-n", "0", "-p", "no:cacheprovider", "-p", "tests.planted.no_shrinking"]
    chosen = ["-m", "not peers and not browser", "--hypothesis-seed=0", "--tb=short"]
    with (root / "output").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *chosen, *tests],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        status = _wait(process, root / "output")
    text = (root / "output").read_text(errors="replace")
    caught = "" if status == 0 else _first_failure(text, status)
    return Verdict(name, kind, caught, time.monotonic() - start, text[-4000:])


def _wait(process: subprocess.Popen[bytes], output: Path) -> int | None:
    """The exit status; None where nothing was said for so long that it must hang."""
    size, since = -1, time.monotonic()
    while process.poll() is None:
        time.sleep(0.2)
        if output.stat().st_size != size:
            size, since = output.stat().st_size, time.monotonic()
        if time.monotonic() - since > SILENCE:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None
    return process.returncode


def _first_failure(text: str, status: int | None) -> str:
    """The test that failed, or was running when the process ended."""
    found = re.search(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", text, re.MULTILINE)
    if found and status == 1:
        return found[1]
    *_, last = ["(while it was imported)", *_tests_in(text)]
    return f"{last} ({'hangs' if status is None else f'ends the process, status {status}'})"


def _tests_in(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith("tests/") and "::" in line:
            yield line.split(" PASSED")[0].strip()
