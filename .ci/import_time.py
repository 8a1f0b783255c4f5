"""Fails if `import chainrule` loads more modules than it may; prints how long it takes, which no check depends on."""

import subprocess
import sys
import tempfile
import time

GOAL = 0.15  # seconds, on a quiet machine
MOST = 250  # modules beyond a bare Python process: 203 at present, and most of them are NumPy's
ROUNDS = 7
COUNT = "import sys; before = set(sys.modules); import chainrule; print(len(set(sys.modules) - before))"


def seconds(code: str, folder: str) -> float:
    """Wall time of a child process that runs the code outside the checkout."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)
    return time.perf_counter() - start


def main() -> None:
    """Count the modules, which no load changes; show the best time of several, which load changes least."""
    with tempfile.TemporaryDirectory() as folder:
        counted = subprocess.run(
            [sys.executable, "-c", COUNT], check=True, cwd=folder, stdout=subprocess.PIPE
        )
        bare, whole = (
            min(seconds(code, folder) for _ in range(ROUNDS)) for code in ("pass", "import chainrule")
        )
    modules = int(counted.stdout)
    print(f"import chainrule: {modules} modules (at most {MOST}), {whole - bare:.3f} s (goal {GOAL} s)")
    if modules > MOST:
        sys.exit(f"importing chainrule loads {modules} modules, more than {MOST}")


if __name__ == "__main__":
    main()
