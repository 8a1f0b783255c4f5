"""``python -m tests.survival.damage --minutes 60 --seed 0``: files that are damaged or forged.

Each is read in a process of its own kind, which may end in nothing but an error of ours that fits on a screen, or in a
result that can be used: within ten seconds, within four times the memory that a good file takes. Whatever else
happens, a crash or a hang included, is a find; its file is kept and can be made again from the seed and its number.
"""

import argparse
import contextlib
import os
import random
import resource
import select
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECONDS, TIMES = 10, 4  # for each file; of a good file's memory
BATCH = 300  # files read by one process
STARTING = 120  # seconds to start, to train and to read the good file on a busy machine
CODE = "import sys; from tests.survival.damage import work; work(*sys.argv[1:])"
ROOT = Path(__file__).parents[2]


@dataclass
class Tally:
    """How many files were read, how many of them were refused, and what went wrong."""

    files: int = 0
    refused: int = 0
    finds: list[str] = field(default_factory=list)


def spoilt(kind: str, seed: int, number: int, good: bytes) -> bytes:
    """The file of that number."""
    from tests.survival.readers import READERS

    return READERS[kind].spoil(random.Random(f"{kind} {seed} {number}"), good)


# In the process that reads


def work(kind: str, seed: str, first: str, count: str, folder: str) -> None:
    """Read files one after the other, and say on standard output what came of each."""
    from tests.survival.readers import READERS

    warnings.simplefilter("ignore")
    reader, place = READERS[kind], Path(folder)
    path = place / f"file{reader.suffix}"
    with standard_error_to(place / "stderr"):
        reader.make(path)
        good = path.read_bytes()
        reader.read(path)
    say("ready")
    limit = TIMES * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(int(first), int(first) + int(count)):
        path.write_bytes(spoilt(kind, int(seed), number, good))
        say(f"begin {number}")
        began = time.monotonic()
        refused, wrong = outcome(reader, path)
        seconds, memory = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if seconds > SECONDS:
            wrong = wrong or f"took {seconds:.1f} s"
        if memory > limit:
            wrong = wrong or f"took {memory >> 10} MB, of {limit >> 10}"
        if wrong:  # kept before the next file takes its place
            path.with_name(f"find{number}{reader.suffix}").write_bytes(spoilt(kind, int(seed), number, good))
        say(f"end {number} {refused:d} {wrong}")
        if memory > limit:
            return  # the high-water mark stays, so that what comes next needs another process
    say("done")


def outcome(reader, path: Path) -> tuple[bool, str]:
    """Whether the file was refused, and what is wrong with how it was read."""
    from chainrule.errors import ChainruleError
    from chainrule.foreign_text import HEIGHT, WIDTH

    error_text = path.with_name("stderr")
    try:
        with standard_error_to(error_text):
            shown = reader.read(path)
    except ChainruleError as error:
        shown, text = "", str(error)
        if (
            len(text) > HEIGHT * WIDTH
            or text.count("\n") >= HEIGHT
            or not text.replace("\n", "").isprintable()
        ):
            return True, f"an error of {len(text)} characters: {text[:300]!a}"
        refused = True
    except BaseException as error:  # whatever it is, it is not ours: that is what is looked for
        return False, f"{type(error).__name__}: {str(error)[:300]!a}"
    else:
        refused = False
    if "q" * (WIDTH + 1) in shown or len(shown) > 100_000:
        return refused, f"showed {len(shown)} characters"
    steering = {c for c in shown if not c.isprintable() and c not in "\n\u202f"}
    if steering:
        return refused, f"showed {steering!r}"
    said = error_text.stat().st_size
    return refused, f"{said} bytes on standard error" if said > HEIGHT * WIDTH else ""


@contextlib.contextmanager
def standard_error_to(path: Path) -> Iterator[None]:
    """With what anything writes to standard error, in whatever language, in a file."""
    sys.stderr.flush()
    kept = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def say(line: str) -> None:
    """A line for the process that watches."""
    print(line.replace("\n", " ")[:600], flush=True)


# In the process that watches


def batch(kind: str, seed: int, first: int, count: int, tally: Tally, keep: Path | None = None) -> None:
    """Have so many files read, by as many processes as it takes."""
    end = first + count
    while first < end:
        first = watch(kind, seed, first, end - first, tally, keep)


def watch(kind: str, seed: int, first: int, count: int, tally: Tally, keep: Path | None) -> int:
    """One process; returns the number of the next file to be read."""
    command = [sys.executable, "-c", CODE, kind, str(seed), str(first), str(count)]
    number, next_number, ready, wrong = first, first, False, ""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([*command, folder], cwd=ROOT, stdout=subprocess.PIPE) as worker,
    ):
        for line in lines_of(worker, ready_in=STARTING):
            word, *rest = line.split(" ", 3)
            if word == "ready":
                ready, wrong = True, "the process died"
            elif word == "begin":
                number, wrong = int(rest[0]), "the process died"
            elif word == "end":
                next_number, wrong = number + 1, ""
                tally.files += 1
                tally.refused += rest[1] == "1"
                if len(rest) > 2 and rest[2]:
                    note(tally, kind, seed, number, rest[2], Path(folder), keep)
            elif word == "late":
                wrong = f"no answer after {2 * SECONDS} s"
        worker.kill()
        worker.wait()
        if not ready:
            raise RuntimeError(
                f"the process that reads a {kind} ended with {worker.returncode} before it began"
            )
        if wrong:
            tally.files += 1
            note(tally, kind, seed, number, f"{wrong}, status {worker.returncode}", Path(folder), keep)
            next_number = number + 1
    return next_number


def lines_of(worker: subprocess.Popen, ready_in: float) -> Iterator[str]:
    """What it says, until it ends; ``late`` where it says nothing for too long."""
    assert worker.stdout is not None
    descriptor, rest, wait = worker.stdout.fileno(), b"", ready_in
    while select.select([descriptor], [], [], wait)[0]:
        more = os.read(descriptor, 1 << 16)
        if not more:
            return
        *lines, rest = (rest + more).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
        wait = 2.0 * SECONDS
    yield "late"


def note(
    tally: Tally, kind: str, seed: int, number: int, wrong: str, folder: Path, keep: Path | None
) -> None:
    """Remember a find, and its file."""
    find = f"{kind}, seed {seed}, number {number}: {wrong}"
    tally.finds.append(find)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        for path in list(folder.glob(f"find{number}.*")) or folder.glob("file.*"):
            (keep / f"{kind}-{seed}-{number}{''.join(path.suffixes)}").write_bytes(path.read_bytes())


def main() -> int:
    """Go on until the time is over; 1 if something was found."""
    from tests.survival.readers import READERS

    parser = argparse.ArgumentParser(prog="python -m tests.survival.damage", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=READERS, help="only these files")
    parser.add_argument("--batch", type=int, default=BATCH, help="files read by one process")
    parser.add_argument("--keep", type=Path, help="a folder for the files of finds")
    given = parser.parse_args()
    kinds = [given.kind] if given.kind else list(READERS)
    tallies = {kind: Tally() for kind in kinds}
    end, first = time.monotonic() + 60 * given.minutes, 0
    while time.monotonic() < end:
        for kind in kinds:
            before = len(tallies[kind].finds)
            if time.monotonic() < end:
                batch(kind, given.seed, first, given.batch, tallies[kind], given.keep)
            for find in tallies[kind].finds[before:]:
                print(find, flush=True)
        first += given.batch
    for kind, tally in tallies.items():
        print(f"{kind}: {tally.files} files, {tally.refused} refused, {len(tally.finds)} finds")
    return any(tally.finds for tally in tallies.values())


if __name__ == "__main__":
    sys.exit(main())
