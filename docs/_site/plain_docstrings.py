"""Docstrings are plain text, where * and | mean themselves; their last line may name rows of the lectures, as links."""

import re
from typing import Any

from sphinx.application import Sphinx

LECTURES = re.compile(r"(\s*)(Lectures: .*\.)")
ROW = re.compile(r"\b([A-E])(\d+)\b")


def linked(line: str) -> str:
    """A line such as "Lectures: A26, E23; erratum 7." with links to the rows' sections and to the errata."""
    rows, word, numbers = line.partition("errat")
    rows = ROW.sub(lambda found: f":ref:`{found[0]} <{found[0].lower()}>`", rows)
    return rows + word + re.sub(r"\d+", lambda found: f":ref:`{found[0]} <err{found[0]}>`", numbers)


def escape(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Escape the characters outside ``literals`` and examples."""
    example = False
    for i, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and line.strip() != "")
        if not example:
            parts = line.split("``")
            parts[::2] = [re.sub(r"([*|])", r"\\\1", part) for part in parts[::2]]
            lines[i] = "``".join(parts)
        if LECTURES.fullmatch(line):
            lines[i] = linked(line)


def skip(app: Sphinx, what: str, name: str, obj: object, skipped: bool, options: object) -> bool | None:
    """Leave out what scikit-learn puts into estimators."""
    return True if re.fullmatch(r"set_\w+_request|get_metadata_routing", name) else None


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", escape)
    app.connect("autodoc-skip-member", skip)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
