"""Pairs of places in the sources that share lines: ``python -m tests.duplicates [LINES]``.

Imports, docstrings, comments and closing brackets do not count. What is one thought in two places belongs in one.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "src" / "chainrule"
FEWEST = 6  # lines that a pair has in common


@dataclass(frozen=True)
class Pair:
    """Two places, as file and line, that share so many lines."""

    first: str
    second: str
    lines: int


def pairs(root: Path = SOURCES, fewest: int = FEWEST) -> list[Pair]:
    """All pairs of places with at least so many lines in common, longest first."""
    files = {path: counted_lines(path.read_text()) for path in sorted(root.rglob("*.py"))}
    windows: dict[tuple[str, ...], list[tuple[Path, int]]] = defaultdict(list)
    for path, lines in files.items():
        for start in range(len(lines) - fewest + 1):
            windows[tuple(text for _, text in lines[start : start + fewest])].append((path, start))
    starts: dict[tuple[Path, Path, int], set[int]] = defaultdict(set)
    for places in windows.values():
        for (p, a), (q, b) in combinations(places, 2):
            if p != q or b - a >= fewest:
                starts[p, q, b - a].add(a)
    found = []
    for (p, q, shift), begun in starts.items():
        for a in sorted(begun):
            if a - 1 not in begun:
                length = next(n for n in range(1, len(begun) + 2) if a + n not in begun) + fewest - 1
                names = (
                    f"{path.relative_to(root)}:{files[path][at][0]}" for path, at in ((p, a), (q, a + shift))
                )
                found.append(Pair(*names, length))
    return sorted(found, key=lambda pair: -pair.lines)


def counted_lines(source: str) -> list[tuple[int, str]]:
    """The lines that count, with their numbers."""
    left_out: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            left_out.update(range(node.lineno, (node.end_lineno or 0) + 1))
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            text = node.body[0]
            left_out.update(range(text.lineno, (text.end_lineno or 0) + 1))
    lines = ((number, line.split("  # ")[0].strip()) for number, line in enumerate(source.splitlines(), 1))
    return [(n, text) for n, text in lines if n not in left_out and text.strip("()[]{}, ") and text[0] != "#"]


if __name__ == "__main__":
    every = pairs(fewest=int(sys.argv[1]) if len(sys.argv) > 1 else FEWEST)
    for pair in every:
        print(f"{pair.lines:4} lines  {pair.first}  {pair.second}")
    print(len(every), "pairs")
