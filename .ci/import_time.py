"""Prints what `import chainrule` adds to a bare Python process; fails above the limit."""

import statistics
import subprocess
import sys
import tempfile
import time

GOAL = 0.15  # seconds, on a quiet machine
LIMIT = 4 * GOAL  # machines that run checks are noisy: this catches only what is grossly wrong
ROUNDS = 7


def seconds(code: str, folder: str) -> float:
    """Wall time of a child process that runs the code outside the checkout."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)
    return time.perf_counter() - start


def main() -> None:
    """Measure in turn, so that both see the same load."""
    with tempfile.TemporaryDirectory() as folder:
        seconds("import chainrule", folder)  # the first one reads from disk
        differences = [seconds("import chainrule", folder) - seconds("pass", folder) for _ in range(ROUNDS)]
    median = statistics.median(differences)
    print(f"import chainrule: {median:.3f} s (median of {ROUNDS}; goal {GOAL} s, limit {LIMIT} s)")
    if median > LIMIT:
        sys.exit(f"importing chainrule takes longer than {LIMIT} s")


if __name__ == "__main__":
    main()
