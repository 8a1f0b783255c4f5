"""Text whose columns are set apart by spaces, made into text whose cells are separated by tabs.

Either runs of spaces separate cells, or columns stand at the same places in every line (fixed width).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

AROUND = re.compile(rb"^[ \t]+|[ \t]+(?=\r?$)", re.MULTILINE)
RUN = re.compile(rb'"(?:[^"\n]|"")*"|[ \t]+')
LINE_END = re.compile(r"\r\n|\r|\n")
FEWEST_LINES = 3  # that tell where columns stand


def by_runs(text: bytes) -> bytes:
    """The same lines with one tab for each run of spaces and tabs outside quotes.

    >>> by_runs(b"  a   b\\n 1 'x  2\\n")
    b"a\\tb\\n1\\t'x\\t2\\n"
    """
    text = AROUND.sub(b"", text)
    if b'"' not in text:
        return re.sub(rb"[ \t]+", b"\t", text)
    return RUN.sub(lambda found: found[0] if found[0].startswith(b'"') else b"\t", text)


def by_places(text: bytes, starts: tuple[int, ...]) -> bytes:
    """The same lines cut at the places where columns start, counted in characters.

    >>> by_places("Köln   12\\nUlm     3\\n".encode(), (0, 7)).decode()
    'Köln\\t12\\nUlm\\t3\\n'
    """
    lines = []
    for line in LINE_END.split(text.decode()):
        if not line.strip():
            lines.append("")
            continue
        cells = [line[start:stop].strip() for start, stop in zip(starts, [*starts[1:], None], strict=True)]
        lines.append(
            "\t".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' if '"' in cell else cell for cell in cells)
        )
    return "\n".join(lines).encode()


def find_places(lines: list[str]) -> tuple[int, ...]:
    """Where columns start: after places at which every line has a space; nothing where there is but one column.

    >>> find_places(["town      n", "New York  1", "Rome     12"])
    (0, 9)
    """
    if len(lines) < FEWEST_LINES or any("\t" in line for line in lines):
        return ()
    width = max(map(len, lines))
    blank = [all(line[place : place + 1] in {"", " "} for line in lines) for place in range(width)]
    starts = [place for place in range(width) if not blank[place] and (place == 0 or blank[place - 1])]
    return tuple(starts) if len(starts) > 1 else ()


def separated(blocks: Iterable[bytes], places: tuple[int, ...]) -> Iterator[bytes]:
    """Blocks of whole lines with tabs between their cells."""
    for block in blocks:
        yield by_places(block, places) if places else by_runs(block)
