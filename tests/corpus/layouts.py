"""Random tables in random layouts: what is read is what was written, or refused, and never silently different.

A table of some columns (integers, numbers, words, dates) is written in an encoding, with a separator, quotes, with
or without a header, titles above it, units under it, a total and a note at the end, line ends, compression. A file that
the reader takes for another table without saying so is printed with its seed.

    python -m tests.corpus.layouts --minutes 5 --seed 0
"""

from __future__ import annotations

import argparse
import bz2
import csv
import gzip
import io
import lzma
import random
import tempfile
import time
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.corpus.words import LANGUAGES

from chainrule.data.tables import read_assuming
from chainrule.errors import ChainruleError

WESTERN = ("german", "french", "spanish", "portuguese", "swedish")
ENCODINGS = {
    **dict.fromkeys(LANGUAGES, ("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le")),
}
NAMES = [
    "name",
    "size",
    "price (EUR)",
    "town",
    "value",
    "weight",
    "day",
    "count",
    "group",
    "code",
    "x1",
    "x2",
    "height",
]


@dataclass(frozen=True)
class Written:
    """A file's name and bytes, and the table in it: its names, None without a header, and its cells as texts."""

    name: str
    content: bytes
    names: list[str] | None
    rows: list[list[str]]
    layout: str


def write(random_: random.Random) -> Written:
    """A random table in a random layout."""
    language = random_.choice(list(LANGUAGES))
    words = LANGUAGES[language][0].split()
    encoding = random_.choice([*ENCODINGS[language], *LANGUAGES[language][1]])
    kinds = [
        random_.choice(["integer", "number", "word", "date", "group"]) for _ in range(random_.randint(2, 7))
    ]
    if not set(kinds) & {"integer", "number"}:
        kinds[-1] = random_.choice(["integer", "number"])
    groups = random_.sample(words, 3)
    rows = [
        [_cell(kind, words, groups, random_) for kind in kinds]
        for _ in range(random_.choice([4, 12, 60, 400]))
    ]
    rows = [[_encodable(cell, encoding) for cell in row] for row in rows]
    names = random_.sample(NAMES, len(kinds))
    has_header = random_.random() < 0.8
    separator = random_.choice([",", ",", ";", ";", "\t", "|"])
    lines = _lines(random_, rows, names if has_header else None, separator, kinds)
    layout = f"{language} {encoding} {separator!r} header={has_header} {kinds}"
    end = random_.choice(["\n", "\n", "\r\n", "\r"])
    text = end.join(lines) + (end if random_.random() < 0.8 else "")
    name, content = _compressed(random_, text.encode(encoding), separator)
    return Written(name, content, names if has_header else None, rows, layout)


def _cell(kind: str, words: list[str], groups: list[str], random_: random.Random) -> str:
    if random_.random() < 0.05:
        return ""
    return {
        "integer": lambda: str(random_.randint(-50, 5000)),
        "number": lambda: f"{random_.gauss(0, 30):.2f}",
        "word": lambda: " ".join(random_.sample(words, 2)) + random_.choice(["", "", ", x", '; "y"', " 5"]),
        "group": lambda: random_.choice(groups),
        "date": lambda: (
            f"20{random_.randint(10, 24)}-{random_.randint(1, 12):02}-{random_.randint(1, 28):02}"
        ),
    }[kind]()


def _encodable(cell: str, encoding: str) -> str:
    return cell.encode(encoding, "ignore").decode(encoding)


def _lines(
    random_: random.Random, rows: list[list[str]], names: list[str] | None, separator: str, kinds: list[str]
) -> list[str]:
    """The lines of the file: titles, header, units, rows, and what is at the end."""
    quoting = random_.choice([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    padding = separator * (len(kinds) - 1) if random_.random() < 0.5 else ""
    lines = []
    if names is not None and random_.random() < 0.3:
        lines += random_.choice(
            [["# from a logger"], ["Report of 2024" + padding, padding], [""], ["# a", "# b", ""]]
        )
    if names is not None:
        lines.append(_line(names, separator, quoting))
    if names is not None and len(rows) > 5 and random_.random() < 0.2:
        units = {"integer": "[kg]", "number": "[m]"}
        lines.append(separator.join(units.get(kind, "") for kind in kinds))
    lines += [_line(row, separator, quoting) for row in rows]
    if len(kinds) > 2 and len(rows) > 5 and random_.random() < 0.2:
        total = ["Total", *map(_total, kinds[1:], list(zip(*rows, strict=True))[1:])]
        lines += [separator.join(total)] if random_.random() < 0.5 else []
        lines += random_.choice(
            [["Source: an office" + padding], ["", "Note: as of May" + padding], [padding, padding]]
        )
    return lines


def _total(kind: str, column: tuple[str, ...]) -> str:
    numbers = [float(cell) for cell in column if cell] if kind in {"integer", "number"} else []
    return f"{max(sum(numbers), *numbers, 0):.2f}" if numbers else ""


def _line(cells: list[str], separator: str, quoting: int) -> str:
    written = io.StringIO()
    csv.writer(written, delimiter=separator, quoting=quoting, lineterminator="").writerow(cells)  # type: ignore[arg-type]
    return written.getvalue()


def _compressed(random_: random.Random, content: bytes, separator: str) -> tuple[str, bytes]:
    name = (
        "t.tsv"
        if separator == "\t" and random_.random() < 0.5
        else random_.choice(["t.csv", "t.csv", "t.txt"])
    )
    kind = random_.choice(["", "", "", ".gz", ".bz2", ".xz", ".zip"])
    if kind == ".zip":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr(name, content)
        return "t.zip", archive.getvalue()
    return name + kind, {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[kind](
        content
    )


def outcome(written: Written, folder: Path) -> tuple[str, str]:
    """What became of a file: ``read``, ``refused``, ``said`` (another table, which is said) or ``wrong``; and why."""
    path = folder / written.name
    path.write_bytes(written.content)
    width = len(written.rows[0])
    names = written.names or [f"column_{place}" for place in range(1, width + 1)]
    try:
        frame, assumed = read_assuming(path, names)
    except ChainruleError as error:
        return "refused", str(error)
    finally:
        path.unlink()
    rows = [[(cell or "") for cell in row] for row in frame.rows()] if frame.columns == names else None
    if rows == written.rows:
        return "read", ""
    where = f"{frame.shape} {frame.columns} instead of {(len(written.rows), width)} {names}; {assumed}"
    if rows is not None and len(rows) == len(written.rows):
        where += f"; first: {next((a, b) for a, b in zip(rows, written.rows, strict=True) if a != b)}"
    doubted = any(
        word in what for what in assumed for word in ("fits as well", "though it is like the others")
    )
    left = any("left out" in what for what in assumed)
    return ("said" if doubted or (left and rows is not None) else "wrong"), where


def main() -> None:
    """Write and read files for some minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", default="wrong")
    given = parser.parse_args()
    until, found, seed = time.monotonic() + 60 * given.minutes, Counter[str](), given.seed
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < until:
            written = write(random.Random(seed))
            kind, why = outcome(written, Path(folder))
            found[kind] += 1
            if kind in given.show.split(","):
                print(f"seed {seed}: {kind}: {written.layout}: {why}", flush=True)
            seed += 1
    print(f"{seed - given.seed} files: {dict(found)}")


if __name__ == "__main__":
    main()
