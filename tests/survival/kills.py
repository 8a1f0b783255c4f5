"""``python -m tests.survival.kills --minutes 60``: kill runs at random moments, resume them, and compare to the bit.

Each run is drawn at random, trained once without interruption, and then in processes that are ended by SIGKILL, SIGTERM
or SIGINT: at any time, or inside of a save, before or after a call of the system. Each process goes on from what
the one before has left, with another number of threads. What comes out must be the run that was never interrupted,
and no temporary file may be left. Some of the runs are those of the command line.

Processes are forked from this one, which has everything imported, and neither trains nor reads a table: it has none of
the threads, of ours and of polars', that would be missing in them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tests.survival.runs import Plan, Trap, facts

import chainrule.cli
import chainrule.compiler.program
import chainrule.optim.lbfgs
import chainrule.training.progress

DONE, INTERRUPTED, FAILED = 0, 10, 11  # exit statuses of the processes
CALLS = ("write", "replace", "fsync", "open", "chmod", "close")  # of the system, by which files are written
MOST_KILLS = 6  # of one run
COMMAND_SHARE = 0.08
SIGNALS = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


@dataclass
class Found:
    """What came of it."""

    runs: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    equal: int = 0  # resumes after a kill, of runs that ended as those without
    between: int = 0  # temporary files that lay there after a kill
    left: list[str] = field(default_factory=list)  # after the run had ended
    finds: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "runs": self.runs,
            "kills": sum(self.kills.values()),
            "equal": self.equal,
            "by": dict(sorted(self.kills.items())),
            "temporary files after kills": self.between,
            "temporary files left": len(self.left),
            "finds": len(self.finds),
        }


@dataclass(frozen=True)
class Job:
    """A run as a piece of work: with a folder to go on from and to write to, and what it gave as text."""

    what: str
    go_on: Callable[[Path, int], bool]  # in a folder, with so many threads; whether it came to its end
    result: Callable[[Path], dict[str, str]]
    trap: Trap | None = None


def training(plan: Plan) -> Job:
    """``cr.fit`` with a checkpoint."""

    def go_on(folder: Path, threads: int) -> bool:
        history, model = plan.run(folder / "run", threads)
        if not history.interrupted:
            unhooked()
            (folder / "result").write_text(json.dumps(facts(history, model)))
        return not history.interrupted

    return Job(str(plan), go_on, lambda folder: json.loads((folder / "result").read_text()), plan.trap)


def command(rng: np.random.Generator) -> Job:
    """``chainrule train`` with a checkpoint, on a table of its own."""
    rows = rng.normal(size=(60, 3))
    lines = [f"{a},{b},{'yes' if a + b > c else 'no'}" for a, b, c in rows]
    settings = ["--epochs", rng.integers(3, 30), "--restarts", rng.integers(1, 4), "--seed", rng.integers(9)]
    settings += ["--no-ensemble"] if rng.random() < 0.5 else ["--folds", 2]
    arguments = [
        "train",
        "t.csv",
        "--target",
        "z",
        "--hidden",
        "4",
        "--no-report",
        "--quiet",
        *map(str, settings),
    ]

    def go_on(folder: Path, threads: int) -> bool:
        os.chdir(folder)
        Path("t.csv").write_text("\n".join(["x,y,z", *lines]))
        status = chainrule.cli.main([*arguments, "--checkpoint", "run", "--resume", "--out", "result"])
        if status not in (0, 130, 143):
            raise AssertionError(f"exit status {status}")
        return status == 0

    def result(folder: Path) -> dict[str, str]:
        return {"model": (folder / "result").read_bytes().hex()}

    return Job(" ".join(arguments), go_on, result)


HOOKED = {name: getattr(os, name) for name in CALLS}


def unhooked() -> None:
    """Let calls of the system be what they are."""
    for name, call in HOOKED.items():
        setattr(os, name, call)


def hook(number: int, which: int, after: bool) -> None:
    """Send this process a signal at its so many-th call of the system that has to do with files."""
    left = [which]

    def hooked(call: Callable[..., Any]) -> Callable[..., Any]:
        def with_signal(*args: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and not after:
                os.kill(os.getpid(), number)
            value = call(*args, **named)
            if left[0] == 0 and after:
                os.kill(os.getpid(), number)
            return value

        return with_signal

    for name, call in HOOKED.items():
        setattr(os, name, hooked(call))


def forked(job: Job, folder: Path, threads: int, prepare: Callable[[], None] = lambda: None) -> int:
    """The process that goes on with a job."""
    child = os.fork()
    if child:
        return child
    status = FAILED
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with (folder.parent / "output").open("w") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        prepare()
        status = DONE if job.go_on(folder, threads) else INTERRUPTED
    except KeyboardInterrupt:  # before training began, or after it
        status = INTERRUPTED
    except BaseException:
        unhooked()
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def ended(child: int) -> int:
    """How it ended: a signal's number below 0, else its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Hunt:
    """One run after the other."""

    def __init__(self, folder: Path, seed: int, say: Callable[[str], None]) -> None:
        self.folder, self.seed, self.say, self.found = folder, seed, say, Found()

    def one(self, number: int) -> None:
        """Draw a run, kill it some times, and compare."""
        rng = np.random.default_rng([self.seed, number])
        job = command(rng) if rng.random() < COMMAND_SHARE else training(Plan.draw(rng))
        place = Path(tempfile.mkdtemp(dir=self.folder))
        straight, killed = place / "straight", place / "killed"
        straight.mkdir()
        killed.mkdir()
        self.found.runs += 1
        for threads in (1, 3):  # the second time everything is compiled: that is how long it takes
            began = time.monotonic()
            if ended(forked(job, straight, threads)) != DONE:
                self._report(number, job, "it fails without any kill", place)
                return
            for left in ("run", "t.csv"):
                (straight / left).unlink(missing_ok=True)
        usual, kills = time.monotonic() - began, list[str]()
        while True:
            how, child = self._start(job, killed, rng, usual, alone=len(kills) == MOST_KILLS)
            status = ended(child)
            self.found.between += len(_temporaries(killed))
            if status == DONE:
                break
            if status not in (INTERRUPTED, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
                self._report(number, job, f"status {status} after {', '.join([*kills, how])}", place)
                return
            kills.append(how)
            self.found.kills[how] += 1
        self._compare(number, job, place, kills)

    def _start(
        self, job: Job, folder: Path, rng: np.random.Generator, usual: float, alone: bool
    ) -> tuple[str, int]:
        """A process that goes on, and what will happen to it."""
        threads, number = int(rng.integers(1, 4)), signal.Signals(rng.choice(SIGNALS))
        if alone:
            return "left alone", forked(job, folder, threads)
        place = rng.random()
        if place < 0.3 and (trap := job.trap) is not None:
            calls = int(rng.integers(1, 12))
            return f"{number.name} in a callback", forked(
                job, folder, threads, lambda: trap.set(number, calls)
            )
        if place < 0.7:
            which, after = int(1 + rng.exponential(25)), bool(rng.random() < 0.5)
            return f"{number.name} inside of a save", forked(
                job, folder, threads, lambda: hook(number, which, after)
            )
        child = forked(job, folder, threads)
        for _ in range(1 + (number != signal.SIGKILL and rng.random() < 0.3)):  # some press Ctrl-C twice
            time.sleep(rng.uniform(0, 1.1 * usual))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
        return f"{number.name} at any time", child

    def _compare(self, number: int, job: Job, place: Path, kills: list[str]) -> None:
        expected, given = job.result(place / "straight"), job.result(place / "killed")
        other = [name for name in {**expected, **given} if expected.get(name) != given.get(name)]
        left = _temporaries(place / "killed")
        self.found.left += left
        if other:
            lines = [f"{name}: {given.get(name)} instead of {expected.get(name)}" for name in other]
            self._report(number, job, "\n".join([f"other bits after {', '.join(kills)}", *lines]), place)
        elif left:
            self._report(number, job, f"left behind: {left}", place)
        else:
            self.found.equal += len(kills)

    def _report(self, number: int, job: Job, what: str, place: Path) -> None:
        with contextlib.suppress(OSError):
            what += "\n" + (place / "output").read_text()[-3000:]
        self.found.finds.append(what)
        self.say(f"--seed {self.seed} --only {number}: {what}\n  {job.what}")


def _temporaries(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir() if entry.name.startswith(".")]


def hunt(seed: int, runs: range, seconds: float, say: Callable[[str], None] = print) -> Found:
    """Kill runs until the time is over or all have been."""
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        found = Hunt(Path(folder), seed, say)
        for number in runs:
            if time.monotonic() > until:
                break
            found.one(number)
    return found.found


def main() -> int:
    """Kill runs until the time is over; 1 if one of them was not what it would have been."""
    parser = argparse.ArgumentParser(prog="python -m tests.survival.kills", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=int, default=1 << 60, help="so many at most")
    parser.add_argument("--only", type=int, help="this run alone")
    given = parser.parse_args()
    runs = range(given.runs) if given.only is None else range(given.only, given.only + 1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CHAINRULE_CACHE"] = folder
        found = hunt(given.seed, runs, 60 * given.minutes, lambda text: print(text, flush=True))
    print(json.dumps(found.summary() | {"seconds": round(time.monotonic() - began, 1)}, indent=1))
    return bool(found.finds)


if __name__ == "__main__":
    sys.exit(main())
